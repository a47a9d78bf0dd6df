"""Many connections that misbehave, from many loopback addresses, in a process of its own.

    crowd = Crowd(folder, bridge.port, 1000, "headers")     1,000 that send a header byte by byte, and come again
    crowd.wait_full()                                       as many as the server lets in have been opened
    crowd.stop()                                            {"open": …, "opened": …, "closed": …}

Kinds: `headers` a head, `body` a signed-looking body, each a byte a second; `silent` nothing at all; `reader` asks and asks and
never reads an answer. At most `seconds` long, whatever happens. `per_address` connections have one source address, which no
other crowd has; about `rate` are opened a second.
"""
import argparse
import errno
import json
import pathlib
import selectors
import signal
import socket
import sys
import time

from support.process import Child, until

BEGINNINGS = {
    "headers": b"POST /webhooks/qlik HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "body": b"POST /webhooks/qlik HTTP/1.1\r\nHost: localhost\r\nQlik-Signature: %s\r\nContent-Length: 60000\r\n\r\n{" % (b"0" * 64),
    "reader": b"POST /webhooks/qlik HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n" * 50,
    "silent": b"",
}
DRIP = {"headers": b"x", "body": b" ", "reader": BEGINNINGS["reader"], "silent": b""}


class Member:
    def __init__(self, port, source, kind):
        self.link = socket.socket()
        self.link.setblocking(False)
        if kind == "reader":
            self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.link.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        self.link.bind((source, 0))
        self.link.connect_ex(("127.0.0.1", port))
        self.source, self.kind, self.begun = source, kind, False

    def push(self):
        """One more piece; False when the other side has had enough."""
        try:
            self.link.send(DRIP[self.kind] if self.begun else BEGINNINGS[self.kind])
            self.begun = True
        except OSError as problem:
            return problem.errno in (errno.EAGAIN, errno.ENOTCONN)
        return True


class Run:
    """The process: keeps `count` connections open, and replaces those that the server ends."""

    def __init__(self, options):
        self.options, self.members, self.selector = options, set(), selectors.EpollSelector()
        self.counts = {"open": 0, "opened": 0, "closed": 0}
        self.stopping = False

    def add(self, number):
        index = number // self.options.per_address
        member = Member(self.options.port, f"127.{self.options.network + index // 250}.{index % 250}.1", self.options.kind)
        member.number = number
        self.members.add(member)
        self.selector.register(member.link, selectors.EVENT_READ if self.options.kind != "reader" else selectors.EVENT_WRITE, member)
        self.counts["opened"] += 1

    def drop(self, member):
        self.selector.unregister(member.link)
        member.link.close()
        self.members.discard(member)
        self.counts["closed"] += 1

    def hear(self, wait):
        for key, _ in self.selector.select(wait):
            member = key.data
            if self.options.kind == "reader":
                self.selector.modify(member.link, selectors.EVENT_READ, member)
                continue
            try:
                gone = not member.link.recv(4096)
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            if gone:
                self.drop(member)
                self.missing.append(member.number)

    def run(self):
        end, self.missing = time.monotonic() + self.options.seconds, list(range(self.options.count))
        while time.monotonic() < end and not self.stopping:
            began = time.monotonic()
            for _ in range(min(len(self.missing), max(1, self.options.rate * 3 // 10))):
                self.add(self.missing.pop())
            for member in list(self.members):
                if not member.push():
                    self.drop(member)
                    self.missing.append(member.number)
            while (left := began + 1 - time.monotonic()) > 0 and not (self.missing and left < 0.7):
                self.hear(left)
            self.counts["open"] = len(self.members)
            print(json.dumps(self.counts), flush=True)


class Crowd(Child):
    numbers = 0

    def __init__(self, folder, port, count, kind, per_address=200, seconds=60, rate=800):
        Crowd.numbers += 1
        tests = pathlib.Path(__file__).resolve().parents[1]
        super().__init__([sys.executable, "-m", "support.crowd", "--port", port, "--count", count, "--kind", kind,
                          "--per-address", per_address, "--network", 10 + 6 * (Crowd.numbers % 40), "--seconds", seconds, "--rate", rate],
                         pathlib.Path(folder) / f"crowd-{Crowd.numbers}.log", cwd=tests)
        self.count = count

    def counts(self):
        lines = self.text().splitlines()
        return json.loads(lines[-1]) if lines else {"open": 0, "opened": 0, "closed": 0}

    def wait_full(self, limit=30):
        until(lambda: self.counts()["opened"] >= self.count, limit, "every connection tried")

    def stop(self, limit=20.0):
        super().stop(limit)
        return self.counts()


def main():
    parser = argparse.ArgumentParser()
    for name in ("--port", "--count", "--per-address", "--network", "--rate"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--kind", choices=BEGINNINGS, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    run = Run(parser.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: setattr(run, "stopping", True))
    run.run()


if __name__ == "__main__":
    main()
