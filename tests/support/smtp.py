"""SMTP servers in processes of their own: aiosmtpd, which refuses on command, and Exim, an MTA that nobody here wrote;
and Scripted, a thread that says or does at any step of the dialogue what a test wants.

Recipients with a meaning: bounce@ → 550; greylist@ → 451 (aiosmtpd: the first time only); slow@ → aiosmtpd takes 5 s at DATA;
drop@ → aiosmtpd takes DATA and hangs up without a word.
"""
import argparse
import asyncio
import email
import email.policy
import mailbox
import os
import pathlib
import shutil
import signal
import socket
import ssl
import sys
import threading

from support.process import Child, free_port, listening, until

TESTS = pathlib.Path(__file__).resolve().parents[1]
USER, PASSWORD = "ferry", "smtp-password-of-the-tests"


class Mailbox:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def files(self):
        return sorted((self.folder / "new").glob("*"), key=lambda p: p.stat().st_mtime_ns)

    def raw(self):
        return [path.read_bytes() for path in self.files()]

    def mails(self, to=None):
        """Parsed mails, oldest first; `to` selects by envelope recipient."""
        parsed = [email.message_from_bytes(text, policy=email.policy.default) for text in self.raw()]
        return [m for m in parsed if to is None or to in (m["X-Env-To"] or m["Envelope-to"] or "")]

    def wait_for(self, count, to=None, limit=30.0):
        until(lambda: len(self.mails(to)) >= count, limit, f"{count} mails to {to or 'anybody'}")
        return self.mails(to)


class Aiosmtpd(Mailbox):
    """tls: "starttls" | "implicit" | "none"."""

    def __init__(self, folder, certificate=None, tls="starttls"):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / "mail")
        self.port, self.tls = free_port(), tls
        arguments = [sys.executable, "-m", "support.smtp", self.port, self.folder, "--tls", tls]
        if tls != "none":
            arguments += ["--cert", certificate.certificate, "--key", certificate.key]
            arguments += ["--user", USER, "--password", PASSWORD]
        self.child = Child(arguments, folder / "log", env={"PYTHONPATH": str(TESTS)})
        self.child.wait_for(lambda: listening(self.port), 20, "aiosmtpd listening")

    @property
    def url(self):
        return f"{'smtps' if self.tls == 'implicit' else 'smtp'}://localhost:{self.port}"

    def stop(self):
        self.child.stop()


EXIM = r"""
exim_user = nobody
exim_group = nogroup
never_users =
primary_hostname = localhost
spool_directory = {base}/spool
log_file_path = {base}/log/%slog
pid_file_path = {base}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
host_lookup =
rfc1413_hosts =
smtp_accept_max = 100
timezone = UTC
begin acl
rcpt:
  deny   message = 5.1.1 no such user
         local_parts = bounce
  defer  message = 4.7.1 try later
         local_parts = greylist
  accept authenticated = *
  deny   message = 5.7.0 authentication required
begin routers
all:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = {base}/mail
  maildir_format
  create_directory
  create_file = anywhere
  envelope_to_add
  return_path_add
  user = nobody
  group = nogroup
begin authenticators
PLAIN:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
LOGIN:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
"""


class Exim(Mailbox):
    """Needs root. Exim trusts a configuration only where nobody else can write: the folder must be root's."""

    def __init__(self, folder, certificate):
        folder = pathlib.Path(folder)
        super().__init__(folder / "mail")
        for name in ("spool", "log", "mail", "tls"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            shutil.chown(folder / name, "nobody", "nogroup")
        for parent in [folder, *folder.parents][:5]:
            if parent.stat().st_uid == os.getuid() and parent != pathlib.Path("/"):
                parent.chmod(parent.stat().st_mode | 0o055)
        copies = [shutil.copy(path, folder / "tls") for path in (certificate.certificate, certificate.key)]
        self.port = free_port()
        config = folder / "exim.conf"
        config.write_text(EXIM.format(base=folder, port=self.port, certificate=copies[0], key=copies[1], user=USER,
                                      password=PASSWORD))
        program = shutil.which("exim4", path=os.environ["PATH"] + ":/usr/sbin")
        self.child = Child([program, "-C", config, "-bdf", "-q30m"], folder / "out")
        self.child.wait_for(lambda: listening(self.port), 20, "Exim listening")

    @property
    def url(self):
        return f"smtp://localhost:{self.port}"

    def stop(self):
        self.child.stop()


class Scripted:
    """An SMTP server whose next reply at a step a test has set; without one it is friendly, and takes the mail.

        server.once("rcpt", "450 4.2.0 greylisted")   the next RCPT; steps: greeting ehlo starttls auth mail rcpt data dot
        server.once("dot", server.HANG_UP)            takes the mail, and closes the connection without a word

    `context` for STARTTLS, which then comes before everything else. `messages` are the mails whose final dot arrived.
    """
    HANG_UP = None
    FRIENDLY = {"greeting": "220 test", "starttls": "220 go on", "auth": "235 welcome", "mail": "250 ok", "rcpt": "250 ok",
                "data": "354 go on", "dot": "250 queued"}

    def __init__(self, context=None):
        self.context = context
        self.script, self.messages, self.dialogue = {}, [], []
        self._links = {}  # the newest of each connection's thread: TLS takes the plain one over
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"smtp://localhost:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def once(self, step, reply):
        self.script[step] = reply

    def hang_up(self):
        """Closes what is open, so that the next mail begins with a greeting."""
        for link in list(self._links.values()):
            self._cut(link)

    def stop(self):
        self._listener.close()
        self.hang_up()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.stop()

    def _accept(self):
        while True:
            try:
                link, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    @staticmethod
    def _cut(link):
        try:
            link.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        link.close()

    def _serve(self, link):
        me = threading.get_ident()
        self._links[me] = link
        try:
            self._converse(link)
        except (OSError, EOFError):
            pass
        finally:
            self._cut(self._links.pop(me))

    def _say(self, link, step, friendly=None):
        """True if the reply was the friendly one."""
        reply = self.script.pop(step, friendly or self.FRIENDLY.get(step))
        if reply is self.HANG_UP:
            raise EOFError
        link.sendall(reply.encode() + b"\r\n")
        return reply[0] in "23"

    def _line(self, stream):
        line = stream.readline()
        if not line:
            raise EOFError
        return line.decode().rstrip("\r\n")

    def _converse(self, link):
        stream, secure = link.makefile("rb"), False
        self._say(link, "greeting")
        while True:
            line = self._line(stream)
            verb = line.split()[0].upper() if line else ""
            self.dialogue.append(verb)
            if verb in ("EHLO", "HELO"):
                offers = "250-test\r\n250-STARTTLS\r\n250 8BITMIME" if self.context and not secure else "250-test\r\n250 AUTH PLAIN"
                self._say(link, "ehlo", offers)
            elif verb == "STARTTLS":
                if self._say(link, "starttls"):
                    link = self.context.wrap_socket(link, server_side=True)
                    self._links[threading.get_ident()] = link
                    stream, secure = link.makefile("rb"), True
            elif verb == "AUTH":
                if len(line.split()) < 3:
                    link.sendall(b"334 \r\n")
                    self._line(stream)
                self._say(link, "auth")
            elif verb == "MAIL" or verb == "RCPT":
                self._say(link, verb.lower())
            elif verb == "DATA":
                if self._say(link, "data"):
                    self._take_message(link, stream)
            elif verb == "QUIT":
                link.sendall(b"221 bye\r\n")
                return
            else:
                link.sendall(b"250 ok\r\n")

    def _take_message(self, link, stream):
        lines = list(iter(lambda: self._line(stream), "."))
        message = email.message_from_string("\r\n".join(lines), policy=email.policy.default)
        # A message that is refused after the dot was not taken.
        refused = (self.script.get("dot") or "2")[0] in "45"
        if not refused:
            self.messages.append(message)
        self._say(link, "dot")


# ------------------------------------------------------------------------------------------ the aiosmtpd process


class _Handler:
    def __init__(self, box):
        self.box, self.seen = box, set()

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address.startswith("bounce@"):
            return "550 5.1.1 no such user"
        if address.startswith("greylist@") and address not in self.seen:
            self.seen.add(address)
            return "451 4.7.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if any(r.startswith("drop@") for r in envelope.rcpt_tos):
            server.transport.abort()
            return "421 gone"
        if any(r.startswith("slow@") for r in envelope.rcpt_tos):
            await asyncio.sleep(5)
        mail = mailbox.MaildirMessage(envelope.original_content)
        mail["X-Env-From"], mail["X-Env-To"] = envelope.mail_from, ", ".join(envelope.rcpt_tos)
        mail["X-TLS"], mail["X-Auth"] = str(bool(session.ssl)), str(bool(session.auth_data))
        return "250 2.0.0 stored as " + self.box.add(mail)


async def _serve(options):
    from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

    def authenticate(_server, _session, _envelope, _mechanism, data):
        good = (isinstance(data, LoginPassword) and data.login.decode() == options.user
                and data.password.decode() == options.password)
        return AuthResult(success=good, handled=good, auth_data=options.user if good else None)

    context = None
    if options.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.cert, options.key)
    handler = _Handler(mailbox.Maildir(options.maildir, create=True))

    def session():
        extra = {}
        if options.tls == "starttls":
            extra |= {"tls_context": context, "require_starttls": True}
        if options.user:
            extra |= {"authenticator": authenticate, "auth_required": True,
                      "auth_require_tls": options.tls == "starttls"}
        return SMTP(handler, enable_SMTPUTF8=True, hostname="localhost", **extra)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", options.port,
                                      ssl=context if options.tls == "implicit" else None)
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()
    server.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("maildir")
    parser.add_argument("--tls", choices=("starttls", "implicit", "none"), default="starttls")
    for name in ("--cert", "--key", "--user", "--password"):
        parser.add_argument(name)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
