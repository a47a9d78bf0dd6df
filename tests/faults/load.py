"""Senders: several keep-alive connections that post signed events at a steady rate, and remember every answer.

A sender waits for an answer before it posts the next event, so what it was told is ordered; each has its own resource, so
its events share a key. Nothing is sent a second time: a repeat in Kafka is Ferry's.
"""
import collections
import json
import random
import socket
import threading
import time
from dataclasses import dataclass

from support.ferry import SECRET, sign

SOURCE = "com.qlik/faults"
TYPES = {"app.created": "com.qlik.app.created", "user.created": "com.qlik.user.created"}
ANSWER_LIMIT = 20


@dataclass(slots=True)
class Sent:
    id: str
    sender: str
    number: int
    event: str      # canonical name: the end of the topic
    at: float       # monotonic
    took: float
    status: int     # 0: no answer came
    padding: int

    @property
    def acknowledged(self):
        return 200 <= self.status < 300

    def data(self):
        """What the record's value must be, exactly."""
        return {"id": self.sender, "n": self.number, "padding": "x" * self.padding}


class Link:
    """One keep-alive connection, made anew after it broke."""

    def __init__(self, port):
        self.port, self.socket, self.rest = port, None, b""

    def post(self, path, body, extra=b""):
        """The status; raises OSError when the connection breaks."""
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), ANSWER_LIMIT)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.rest = b""
        head = (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nQlik-Signature: {sign(body, SECRET)}\r\n").encode()
        self.socket.sendall(head + extra + b"\r\n" + body)
        return self._answer()

    def _answer(self):
        while (end := self.rest.find(b"\r\n\r\n")) < 0:
            self._more()
        head = self.rest[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17:].split(b"\r\n")[0]) if at >= 0 else 0
        while len(self.rest) < end + 4 + length:
            self._more()
        self.rest = self.rest[end + 4 + length:]
        if b"\r\nconnection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1])

    def _more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionResetError("closed by the bridge")
        self.rest += piece

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None


class Load:
    def __init__(self, port, rate=500, connections=16, events=tuple(TYPES), padding=lambda number: 100, most=60000):
        self.port, self.rate, self.events, self.padding = port, rate, events, padding
        self.sent = []           # list.append is atomic
        self._each = most // connections
        self._stopping, self._threads = threading.Event(), []
        self._interval = connections / rate
        for index in range(connections):
            self._threads.append(threading.Thread(target=self._send, args=(index,), daemon=True))

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join(ANSWER_LIMIT + 5)

    def _send(self, index):
        link, due = Link(self.port), time.monotonic() + random.random() * self._interval
        for number in range(self._each):
            now = time.monotonic()
            due = max(due + self._interval, now - 5 * self._interval)  # late is made up for a little, not for an outage
            if self._stopping.wait(max(0.0, due - now)):
                break
            sent = self._one(link, index, number)
            self.sent.append(sent)
            if sent.status == 0:
                self._stopping.wait(0.05)
        link.close()

    def _one(self, link, index, number):
        event, sender = self.events[number % len(self.events)], f"s{index}"
        sent = Sent(f"{sender}-{number}", sender, number, event, time.monotonic(), 0.0, 0, self.padding(number))
        body = json.dumps({
            "specversion": "1.0", "id": sent.id, "source": SOURCE, "type": TYPES[event], "time": "2026-01-01T00:00:00Z",
            "datacontenttype": "application/json", "tenantid": "t", "userid": "u", "data": sent.data()}).encode()
        try:
            sent.status = link.post("/webhooks/qlik", body)
        except OSError:
            link.close()
        sent.took = time.monotonic() - sent.at
        return sent

    # ------------------------------------------------------------------------------------ what was heard

    def statuses(self, since=0.0):
        """How often each status came as the answer to what was sent since then."""
        return collections.Counter(s.status for s in self.sent[-5000:] if s.at >= since)
