"""Ferry's programs under test: write their configuration, start them, wait until ready, read their logs and metrics.

    ferry = Ferry(folder, {"kafka": …, "bridge": …}, env={"QLIK_WEBHOOK_SECRET": SECRET})
    bridge = ferry.start("bridge")      ferry-bridge, ready
    bridge.post(body)                   signed, to the first webhook
    bridge.stop()                       SIGTERM; asserts exit code 0 within 10 s
"""
import copy
import functools
import hashlib
import hmac
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import uuid

import yaml

from support import http
from support.process import Child, free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("FERRY_BIN", ROOT / "build" / "dev" / "bin"))
SECRET = "a-webhook-secret-of-32-characters-or-more"
SHUTDOWN_SECONDS = 10


def sign(body, secret=SECRET):
    """The Qlik-Signature of a body: plain hex, no prefix."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def event(type="com.qlik.app.created", data=None, **attributes):
    """A CloudEvent as Qlik Cloud sends it, as a dict; `id` is new each time."""
    result = {
        "specversion": "1.0.2", "id": str(uuid.uuid4()), "source": "com.qlik/my-service", "type": type,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "datacontenttype": "application/json",
        "tenantid": "tenant-of-the-tests", "userid": "user-of-the-tests",
        "data": {"id": str(uuid.uuid4()), "name": "Sales"} if data is None else data,
    }
    result.update(attributes)
    return {k: v for k, v in result.items() if v is not None}


@functools.cache
def library(name, function, program="ferry-bridge"):
    """The version, as a tuple, that `function` of the shared library tells which a program is run with."""
    listing = subprocess.run(["ldd", BIN / program], capture_output=True, text=True, check=True).stdout
    path, = re.findall(rf"{name}\S* => (\S+)", listing)
    # In a process of its own: this one may have another version of the library loaded.
    code = f"import ctypes; f = ctypes.CDLL({path!r}).{function}; f.restype = ctypes.c_char_p; print(f().decode())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in re.findall(r"\d+", said))


def encode(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def merge(base, change):
    """A deep copy of `base` with the mappings of `change` laid over it; a value of None deletes the key."""
    result = copy.deepcopy(base)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


class Program(Child):
    def __init__(self, name, config, log, env, arguments=(), admin=None, listen=None, tls=None, under=(), bin=None):
        super().__init__([*under, (bin or BIN) / name, "--config", config, "--allow-root", *arguments], log, env=env, cwd=config.parent)
        self.folder = config.parent
        self.name, self.admin, self.listen, self.tls = name, admin, listen, tls

    # ------------------------------------------------------------------------------------ its admin address

    def health(self, path):
        """The status of /healthz or /readyz; 0 while nobody listens."""
        try:
            return http.send("GET", f"http://{self.admin}{path}", timeout=5).status
        except OSError:
            return 0

    def wait_ready(self, limit=40):
        self.wait_for(lambda: self.health("/readyz") == 200, limit, f"{self.name} ready")
        return self

    def metrics_text(self):
        return http.send("GET", f"http://{self.admin}/metrics", timeout=5).body.decode()

    def metric(self, name, **labels):
        """The sum of the samples of `name` that carry all these labels; 0 if there are none."""
        return sum(value for n, have, value in parse_metrics(self.metrics_text())
                   if n == name and labels.items() <= have.items())

    # -------------------------------------------------------------------------------------------- its logs

    def logs(self):
        """The JSON lines of stderr; a last line that is being written is left out."""
        lines = self.text().split("\n")
        return [json.loads(line) for line in lines[:-1] if line]

    # ----------------------------------------------------------------------------------------- the ingress

    @property
    def url(self):
        scheme, host = ("https", "localhost") if self.tls else ("http", "127.0.0.1")
        return f"{scheme}://{host}:{self.port}"

    @property
    def port(self):
        return int(self.listen.rpartition(":")[2])

    def post(self, body, headers=None, path="/webhooks/qlik", secret=SECRET, content_type="application/json", method="POST",
             timeout=30):
        """A webhook call, signed unless `secret` is None or the headers bring a signature. `headers` may be pairs."""
        body = encode(body)
        pairs = list(headers.items() if isinstance(headers, dict) else headers or [])
        names = {name.lower() for name, _ in pairs}
        if content_type and "content-type" not in names:
            pairs.append(("Content-Type", content_type))
        if secret and "qlik-signature" not in names:
            pairs.append(("Qlik-Signature", sign(body, secret)))
        return http.send(method, self.url + path, body, pairs, self.tls, timeout)

    def raw(self, data, **options):
        return http.raw(self.port, data, **options)

    # ---------------------------------------------------------------------------------------------- its end

    def stop(self, limit=SHUTDOWN_SECONDS + 5):
        """SIGTERM, as an operator would; the code is 0 and the time limit is kept."""
        if not self.running:
            self._forget()
            return self.process.returncode
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        code = self.wait(limit)
        took = time.monotonic() - began
        assert code == 0, f"{self.name} ended with {code}:\n{self.text()[-4000:]}"
        assert took <= SHUTDOWN_SECONDS + 1, f"{self.name} took {took:.1f} s to stop"
        return code


class Ferry:
    """One configuration file, and the programs that run with it."""
    bin = None  # the folder of the programs, where they are of another version (support/earlier.py)

    def __init__(self, folder, config, env=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.env = {"QLIK_WEBHOOK_SECRET": SECRET, **(env or {})}
        self.config = copy.deepcopy(config)
        for section in ("bridge", "slack", "mail", "automation"):
            if section in self.config:
                self.config[section].setdefault("admin", f"127.0.0.1:{free_port()}")
        if "bridge" in self.config:
            self.config["bridge"].setdefault("listen", f"127.0.0.1:{free_port()}")
        self.path = self.folder / "ferry.yaml"
        self.write()
        self.programs = []

    def write(self):
        self.path.write_text(yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True, width=1000))

    def launch(self, section, arguments=(), tls=None, under=()):
        """Start without waiting until it is ready; `under` another program that becomes it, or traces it."""
        mine = self.config.get(section, {})
        number = sum(p.name == f"ferry-{section}" for p in self.programs)
        program = Program(f"ferry-{section}", self.path, self.folder / f"{section}-{number}.log", self.env, arguments,
                          mine.get("admin"), mine.get("listen"), tls, under, self.bin)
        self.programs.append(program)
        return program

    def start(self, section, tls=None, limit=40):
        return self.launch(section, tls=tls).wait_ready(limit)

    def run(self, program, *arguments, limit=30, stdin=None):
        """A program to its end; stdout, stderr and returncode, as text. For the CLI, and for starts that must fail."""
        return subprocess.run([BIN / program, *map(str, arguments)], input=stdin, capture_output=True, text=True, check=False,
                              timeout=limit, env={**os.environ, **self.env}, cwd=self.folder)

    def fail(self, program, limit=30):
        """Start a program that is expected to give up; its exit code and stderr."""
        done = self.run(program, "--config", self.path, "--allow-root", limit=limit)
        return done.returncode, done.stderr

    def texts(self):
        """All that the programs of this configuration have logged."""
        return "".join(p.text() for p in self.programs)

    def stop(self):
        """Every program that still runs, in the order opposite to their start."""
        problems = []
        for program in reversed(self.programs):
            try:
                program.stop()
            except AssertionError as problem:
                program.kill()
                problems.append(str(problem))
        self.programs.clear()
        assert not problems, "\n".join(problems)

    def kill(self):
        for program in self.programs:
            program.kill()
        self.programs.clear()


def parse_metrics(text):
    """(name, labels, value) of each sample of a Prometheus text."""
    for line in text.splitlines():
        found = re.fullmatch(r'([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?', line)
        if found:
            name, labels, value = found.groups()
            pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
            yield name, {k: re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], v) for k, v in pairs}, float(value)
