"""The mail worker, against aiosmtpd (STARTTLS, SMTPS) and Exim."""
import email.utils
import signal
import uuid

import pytest

from support import records
from support.ferry import event, merge
from support.process import holds, until
from support.smtp import PASSWORD, USER


@pytest.fixture
def worker(settings, prefix, mail_server, authority, make):
    """worker(kind, route changes, mail changes) → (worker, mail server), with the welcome mail as its route."""
    def start(kind="starttls", route=None, section=None):
        server = mail_server(kind)
        base = {"name": "welcome", "events": ["user.created"], "to": ".resource.email",
                "subject": r"Welcome to Qlik Cloud, \(.resource.name)", "text": r"Hello \(.resource.name)," + "\n\nwelcome.\n",
                "html": r"<p>Hello <b>\(.resource.name)</b></p>", "once_per": [".tenantid", ".resource.id"]}
        mail = {"group": f"{prefix}-mail", "start": "earliest", "from": "Analytics team <no-reply@example.com>",
                "recipient_domains": ["example.com"], "retry": {"first": "200ms", "max": "1s", "for": "1h"},
                "smtp": {"url": server.url, "username": USER, "password": {"env": "SMTP_PASSWORD"}, "tls": "required"},
                "routes": [merge(base, route or {})]}
        ferry = make(settings, {"mail": merge(mail, section or {}), "ca_file": str(authority.certificate)},
                     env={"SMTP_PASSWORD": PASSWORD})
        return ferry.start("mail"), server
    return start


@pytest.fixture
def publish(kafka, prefix):
    def send(address=None, name="Åsa Öberg", **attributes):
        user = {"id": str(uuid.uuid4()), "name": name, "email": address or f"{uuid.uuid4().hex[:8]}@example.com"}
        sent = event("com.qlik.user.created", data=attributes.pop("data", user), **attributes)
        records.publish(kafka, f"{prefix}.user.created", sent)
        return sent
    return send


def done(program, outcome, count=1, limit=30):
    until(lambda: program.metric("ferry_effects_total", worker="mail", outcome=outcome) >= count, limit, f"{outcome} {count}")


@pytest.mark.parametrize("kind", ["starttls", "implicit", "exim"])
def test_a_new_user_gets_a_welcome_mail(worker, publish, kind):
    program, server = worker(kind)
    publish("asa@example.com")
    mail = server.wait_for(1, "asa@example.com")[0]
    assert mail["Subject"] == "Welcome to Qlik Cloud, Åsa Öberg"
    assert mail["From"] == "Analytics team <no-reply@example.com>" and mail["To"] == "asa@example.com"
    assert email.utils.parsedate_to_datetime(mail["Date"]) and mail["Message-ID"].startswith("<")
    assert mail.get_content_type() == "multipart/alternative"
    assert mail.get_body(("plain",)).get_content().replace("\r\n", "\n").strip() == "Hello Åsa Öberg,\n\nwelcome."
    assert "<b>Åsa Öberg</b>" in mail.get_body(("html",)).get_content()
    raw = server.raw()[0]
    head = raw.replace(b"\r\n", b"\n").split(b"\n\n")[0]
    assert b"=?utf-8?" in head.lower() and head.isascii()
    done(program, "done")


def test_the_mail_went_through_tls_after_a_login(worker, publish):
    _program, server = worker("starttls")
    publish("tls@example.com")
    mail = server.wait_for(1)[0]
    assert mail["X-TLS"] == "True" and mail["X-Auth"] == "True" and mail["X-Env-From"] == "no-reply@example.com"


def test_a_mail_server_that_nobody_vouches_for_gets_no_mail(make, settings, prefix, mail_server, publish):
    server = mail_server("starttls")
    route = {"name": "welcome", "events": ["user.created"], "to": ".resource.email", "subject": "s", "text": "t"}
    mail = {"group": f"{prefix}-mail", "start": "earliest", "from": "no-reply@example.com", "routes": [route],
            "recipient_domains": ["example.com"], "retry": {"first": "200ms", "max": "1s", "for": "1h"},
            "smtp": {"url": server.url, "username": USER, "password": {"env": "SMTP_PASSWORD"}, "tls": "required"}}
    program = make(settings, {"mail": mail}, env={"SMTP_PASSWORD": PASSWORD}).start("mail")
    publish("nobody@example.com")
    until(lambda: "ertificate" in program.text(), 20, "a word about the certificate")
    assert server.mails() == []


def test_loopback_without_tls_is_possible(worker, publish):
    _program, server = worker("none", section={"smtp": {"tls": "none", "username": None, "password": None}})
    publish("plain@example.com")
    server.wait_for(1, "plain@example.com")


def test_a_user_without_an_address_is_a_counted_skip(worker, publish):
    program, server = worker()
    publish(data={"id": "bot", "name": "Bot", "clientId": "c"})
    publish(data={"id": "empty", "name": "Nobody", "email": ""})
    done(program, "skipped", 2)
    assert server.mails() == []


def test_another_domain_gets_no_mail(worker, publish, kafka, prefix):
    program, server = worker()
    for address in ("eve@evil.org", "eve@example.com.evil.org", "eve@sub.example.com", "eve@evil.org@example.com"):
        publish(address)
    publish("ok@example.com")
    server.wait_for(1, "ok@example.com")
    until(lambda: program.metric("ferry_effects_total", outcome="dead")
          + program.metric("ferry_effects_total", outcome="skipped") == 4)
    assert len(server.mails()) == 1


@pytest.mark.parametrize("address", ["a@example.com\r\nBcc: eve@example.com", "a@example.com\nRCPT TO:<eve@example.com>",
                                     "a@example.com>, <eve@example.com", "a@example.com, eve@example.com", "a b@example.com"])
def test_line_breaks_and_lists_in_an_address_are_inert(worker, publish, kafka, prefix, address):
    _program, server = worker()
    publish(address)
    letter = records.read(kafka, f"{prefix}.mail.dlq", lambda rs: rs, 30)[0]
    assert letter.headers["ferry-error"]
    assert server.mails() == []


def test_line_breaks_in_a_name_never_make_a_header(worker, publish, kafka, prefix):
    program, server = worker()
    publish("crlf@example.com", name="Eve\r\nBcc: victim@example.com\r\n\r\nbody")
    until(lambda: program.metric("ferry_effects_total", outcome="dead") + len(server.mails()) >= 1)
    assert all(m["Bcc"] is None and "victim" not in (m["X-Env-To"] or "") for m in server.mails())


def test_html_is_escaped(worker, publish):
    _program, server = worker()
    publish("html@example.com", name="<script>alert('x')</script> & co")
    html = server.wait_for(1)[0].get_body(("html",)).get_content()
    assert "<script>" not in html and "&lt;script&gt;" in html and "&amp; co" in html


def test_lines_that_begin_with_a_dot_arrive_as_written(worker, publish):
    _program, server = worker(route={"text": ".\n..\n.dot\nend\n", "html": None})
    publish("dot@example.com")
    mail = server.wait_for(1)[0]
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().replace("\r\n", "\n").strip("\n") == ".\n..\n.dot\nend"


@pytest.mark.parametrize("kind", ["starttls", "exim"])
def test_a_refused_recipient_is_a_dead_letter(worker, publish, kafka, prefix, kind):
    _program, server = worker(kind)
    publish("bounce@example.com")
    letter = records.read(kafka, f"{prefix}.mail.dlq", lambda rs: rs, 30)[0]
    assert letter.headers["ferry-attempts"] == "1" and "550" in letter.headers["ferry-reason"]
    assert server.mails() == []


def test_try_again_later_is_tried_again(worker, publish):
    program, server = worker()
    publish("greylist@example.com")
    server.wait_for(1, "greylist@example.com")
    done(program, "done")


def test_a_mail_whose_fate_is_unknown_is_not_sent_twice(worker, publish, kafka, prefix):
    _program, _server = worker()
    publish("drop@example.com")
    letter = records.read(kafka, f"{prefix}.mail.dlq", lambda rs: rs, 60)[0]
    assert letter.headers["ferry-error"] == "outcome-unknown"


def test_a_user_is_welcomed_once(worker, publish):
    program, server = worker()
    user = {"id": str(uuid.uuid4()), "name": "Once", "email": "once@example.com"}
    for _ in range(3):
        publish(data=user)
    done(program, "duplicate", 2)
    holds(lambda: len(server.mails()) == 1, 0.5)


def test_a_mail_server_that_is_down_is_waited_for(worker, publish):
    program, server = worker()
    server.child.signal(signal.SIGSTOP)
    publish("patient@example.com")
    holds(lambda: program.metric("ferry_effects_total", outcome="dead") == 0, 2)
    server.child.signal(signal.SIGCONT)
    server.wait_for(1, "patient@example.com", 60)


def test_no_address_and_no_password_is_in_the_log(worker, publish):
    program, server = worker()
    publish("private.person@example.com")
    publish("bounce@example.com", name="x")
    server.wait_for(1)
    done(program, "dead")
    assert "private.person@example.com" not in program.text() and PASSWORD not in program.text()
