"""An HTTP(S) server that stands in for the systems Ferry talks to: it records every request and answers by script.

    server = Server()                        or Server(authority.server_context(certificate)) for HTTPS
    server.script("/hook", Answer(429, headers={"Retry-After": "1"}), Answer(200, "ok"))   the last one repeats
    server.on("/api/.*", function)           function(request) → Answer
    server.requests("/hook")                 what arrived, in order

Ready-made stand-ins, each a Server: Slack, QlikTenant, Crm.
"""
import http.client
import http.server
import json
import re
import socket
import struct
import threading
import time
import urllib.parse
from dataclasses import dataclass, field

from support.process import until


@dataclass
class Request:
    method: str
    target: str
    headers: http.client.HTTPMessage
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        return urllib.parse.parse_qs(self.target.partition("?")[2])

    def json(self):
        return json.loads(self.body)


@dataclass
class Answer:
    """hang: never answer (until the server stops); reset: cut the connection with RST instead of an answer; cut: with
    RST after so many bytes of it; drip: seconds between its bytes."""
    status: int = 200
    body: object = b""
    headers: dict = field(default_factory=dict)
    delay: float = 0
    hang: bool = False
    reset: bool = False
    cut: int = None
    drip: float = 0

    def payload(self):
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str):
            return self.body.encode()
        return json.dumps(self.body).encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def setup(self):
        # The handshake belongs to this thread: a client that stalls must not stop the others.
        if self.server.context:
            self.request.settimeout(20)
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle_any(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, self.path, self.headers, body)
        answer = self.server.owner._answer(request)
        if answer.hang:
            self.server.owner._stopping.wait()
            answer = Answer(reset=True)
        if answer.delay:
            self.server.owner._stopping.wait(answer.delay)
        if answer.reset:
            return self._reset()
        payload = answer.payload()
        if answer.cut is not None or answer.drip:
            return self._spoil(answer, payload)
        if "Date" in answer.headers:  # a clock of its own
            self.send_response_only(answer.status)
        else:
            self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def _spoil(self, answer, payload):
        """An answer that comes byte by byte, or not whole."""
        whole = b"HTTP/1.1 %d Spoiled\r\nContent-Length: %d\r\n\r\n%s" % (answer.status, len(payload), payload)
        for byte in whole[:answer.cut] if answer.drip else [whole[:answer.cut]]:
            self.wfile.write(bytes([byte]) if answer.drip else byte)
            self.wfile.flush()
            self.server.owner._stopping.wait(answer.drip)
        if answer.cut is not None:
            self._reset()

    def _chunk(self):
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any

    def log_message(self, *_arguments):
        pass


class _Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    context = None

    def handle_error(self, _request, _address):
        pass


class Server:
    def __init__(self, context=None):
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.owner, self._listener.context = self, context
        self._rules, self._seen, self._lock = [], [], threading.Lock()
        self._stopping = threading.Event()
        self.port = self._listener.server_address[1]
        self.scheme = "https" if context else "http"
        self.url = f"{self.scheme}://{'localhost' if context else '127.0.0.1'}:{self.port}"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def on(self, pattern, function, method=None):
        """Answer requests whose path is `pattern` (a regular expression) by function(request). The newest rule wins."""
        with self._lock:
            self._rules.insert(0, (re.compile(pattern), method, function))
        return self

    def script(self, pattern, *answers, method=None):
        """Answer with these, one after the other; the last one for good."""
        left = list(answers)
        return self.on(pattern, lambda _request: left.pop(0) if len(left) > 1 else left[0], method)

    def _answer(self, request):
        with self._lock:
            self._seen.append(request)
            for pattern, method, function in self._rules:
                if pattern.fullmatch(request.path) and method in (None, request.method):
                    return function(request)
        return Answer(404, "nothing here")

    def requests(self, pattern=".*", method=None):
        with self._lock:
            return [r for r in self._seen if re.fullmatch(pattern, r.path) and method in (None, r.method)]

    def forget(self):
        """What arrived until now."""
        with self._lock:
            self._seen.clear()

    def wait_for(self, count, pattern=".*", limit=30.0, method=None):
        """The requests, as soon as there are `count` of them."""
        until(lambda: len(self.requests(pattern, method)) >= count, limit, f"{count} requests to {pattern}")
        return self.requests(pattern, method)

    def stop(self):
        self._stopping.set()
        self._listener.shutdown()
        self._listener.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.stop()


class Slack(Server):
    """Incoming webhooks under /services/…, chat.postMessage under /api/chat.postMessage."""

    def __init__(self, context=None):
        super().__init__(context)
        self.script("/services/.*", Answer(200, "ok"), method="POST")
        self.script("/api/chat.postMessage", Answer(200, {"ok": True, "ts": "1.1"},
                                                   {"Content-Type": "application/json"}), method="POST")

    def hook(self, name="T000/B000/XXX"):
        return f"{self.url}/services/{name}"

    def messages(self, pattern="/services/.*"):
        return [r.json() for r in self.requests(pattern)]


class QlikTenant(Server):
    """Automations of one tenant: `token` is the execution token, `api_key` the one that may look at runs.

    By default a call is answered with `output`. With `queued = N`, with {"status":"queued"}, and the run is `running` for
    N looks before it becomes `final`.
    """

    def __init__(self, context=None, token="execution-token-of-the-tests", api_key="api-key-of-the-tests"):
        super().__init__(context)
        self.token, self.api_key = token, api_key
        self.output, self.queued, self.final = {"status": "done"}, None, "finished"
        self._runs = {}
        self.on("/api/v1/automations/[^/]+/actions/execute", self._execute, "POST")
        self.on("/api/v1/automations/[^/]+/runs/[^/]+", self._run, "GET")
        self.on("/oauth/token", self._oauth, "POST")

    def executions(self):
        return self.requests("/api/v1/automations/[^/]+/actions/execute")

    def _execute(self, request):
        if "executionToken" in request.query or request.headers.get("X-Execution-Token") != self.token:
            return Answer(401, {"errors": [{"code": "AUTH-1"}]})
        if self.queued is None:
            return Answer(200, self.output, {"Content-Type": "application/json"})
        run = f"run-{len(self._runs) + 1}"
        self._runs[run] = self.queued
        return Answer(200, {"id": run, "status": "queued"}, {"Content-Type": "application/json"})

    def _run(self, request):
        if request.headers.get("Authorization") not in (f"Bearer {self.api_key}", "Bearer token-from-oauth"):
            return Answer(401, {"errors": [{"code": "AUTH-1"}]})
        run = request.path.rpartition("/")[2]
        if run not in self._runs:
            return Answer(404, {})
        self._runs[run] -= 1
        status = "running" if self._runs[run] >= 0 else self.final
        return Answer(200, {"id": run, "status": status}, {"Content-Type": "application/json"})

    def _oauth(self, request):
        text = request.body.decode()
        asked = json.loads(text) if text.startswith("{") else dict(urllib.parse.parse_qsl(text))
        if asked.get("grant_type") != "client_credentials":
            return Answer(400, {"error": "unsupported_grant_type"})
        return Answer(200, {"access_token": "token-from-oauth", "token_type": "bearer", "expires_in": 21600},
                      {"Content-Type": "application/json"})


class Crm(Server):
    """A system of record: /users/ID, with a key in Authorization."""

    def __init__(self, context=None, authorization="Bearer crm-key-of-the-tests"):
        super().__init__(context)
        self.authorization = authorization
        self.on("/users/.*", self._user)

    def _user(self, request):
        if request.headers.get("Authorization") != self.authorization:
            return Answer(401, {"error": "who are you?"})
        return Answer(200, {"ok": True})


# -------------------------------------------------------------------------------------------------- client side


@dataclass
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def problem(self):
        """The problem+json of an error answer, checked for its form."""
        assert self.headers.get_content_type() == "application/problem+json", (self.status, self.headers.items())
        problem = self.json()
        assert {"type", "title", "status", "detail"} <= set(problem), problem
        assert problem["status"] == self.status
        return problem


def connection(url, context=None, timeout=30):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname, parts.port, context=context, timeout=timeout)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)


def send(method, url, body=None, headers=None, context=None, timeout=30):
    """One request, no redirects followed; `headers` may be a list of pairs, so that a name can come twice."""
    link = connection(url, context, timeout)
    try:
        parts = urllib.parse.urlsplit(url)
        link.putrequest(method, parts.path + (f"?{parts.query}" if parts.query else ""), skip_accept_encoding=True)
        pairs = list(headers.items() if isinstance(headers, dict) else headers or [])
        names = {name.lower() for name, _ in pairs}
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", str(len(body))))
        for name, value in pairs:
            link.putheader(name, value)
        link.endheaders(body)
        answer = link.getresponse()
        return Response(answer.status, answer.headers, answer.read())
    finally:
        link.close()


def raw(port, data, timeout=15, pieces=None, pause=0.0):
    """Send bytes as they are and return all bytes that come back until the peer closes (or `timeout`)."""
    with socket.create_connection(("127.0.0.1", port), timeout) as link:
        answer = b""
        try:
            link.sendall(data)
            for piece in pieces or ():
                time.sleep(pause)
                link.sendall(piece)
        except OSError:
            pass  # the server may have answered and closed before it heard everything
        link.settimeout(timeout)
        try:
            while chunk := link.recv(65536):
                answer += chunk
        except OSError:
            pass
        return answer


def statuses(answer):
    """The status codes of the responses in raw bytes."""
    return [int(code) for code in re.findall(rb"^HTTP/1\.[01] (\d{3})", answer, re.M)]
