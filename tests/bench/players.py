"""The programs that the ingress benchmark compares: Ferry, and its peers in tests/bench/peers."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from support import http
from support.certs import Authority
from support.ferry import BIN, SECRET, Ferry
from support.process import Child, free_port, listening, until
from webhooks import CELLS, SIX_TYPES, event, signature

HERE = pathlib.Path(__file__).resolve().parent
BUILT = BIN.parent / "peers"
MQ_BRIDGE = "1.2.0"


class Player:
    """One program that takes webhooks; its topics all begin with its name and a full stop."""
    partitions = 6  # of each topic
    path = "/"
    context = None  # with which its certificate is checked

    def __init__(self, name, kafka, folder, command):
        self.name, self.kafka, self.folder, self.command = name, kafka, folder, command
        self.child = self.port = None

    def able(self, cell):
        return not cell.tls and cell.batch == 1

    def start(self):
        self.port = free_port()
        self.child = Child(self.command, self.folder / f"{self.name}.log", env={
            "SECRET": SECRET, "BROKERS": self.kafka.bootstrap, "PORT": str(self.port), "PREFIX": self.name})

    def wait(self):
        until(lambda: listening(self.port), 30, self.name)

    def ready(self):
        """Whether it says itself that it can take events; None: it cannot tell."""
        return None

    def stop(self):
        if self.child:
            self.child.stop()
            self.child = None

    def url(self, cell):
        return f"http{'s' if cell.tls else ''}://127.0.0.1:{self.port}{self.path}"

    def make_topics(self, kinds):
        self.kafka.create_topics(*set(self.topics(SIX_TYPES) + self.topics(kinds)), partitions=self.partitions)

    def topics(self, kinds):
        return [f"{self.name}.{kind}" for kind in kinds]

    def send(self, number, timeout=5):
        """The id of one event that it has acknowledged, or None."""
        made = event(number, SIX_TYPES[number % 6], "legacy", 900)
        body = json.dumps(made).encode()
        headers = [("Content-Type", "application/json"), ("Qlik-Signature", signature(body))]
        try:
            url = self.url(CELLS["tls" if self.context else "legacy"])
            answer = http.send("POST", url, body, headers, self.context, timeout=timeout)
        except OSError:
            return None
        return made["eventId"] if answer.status < 300 else None

    @staticmethod
    def id_of(message):
        """The id of the event that a record holds: the peers keep the body as it came."""
        made = json.loads(message.value())
        return made.get("eventId") or made["id"]


class MqBridge(Player):
    def able(self, cell):
        """It knows no signatures, one topic, and no shape of an event."""
        return not cell.tls and cell.batch == 1 and not cell.bad and cell.format == "legacy" and cell.types == 6

    def topics(self, kinds):
        return [self.name + ".all"]


class FerryPlayer(Player):
    path = "/webhooks/qlik"
    under = ()  # a program that traces it

    def __init__(self, name, kafka, folder, authority=None):
        super().__init__(name, kafka, folder, None)
        self.certificate = authority and authority.issue("bridge")
        self.context = authority and authority.client_context()
        self.program = self.ferry = None

    def able(self, cell):
        return cell.tls == bool(self.certificate)

    def make_topics(self, kinds):
        """It makes its own."""

    def start(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        bridge = {"spool": {"directory": str(folder / "spool")}, "limits": {"per_address": 4096},
                  "webhooks": [{"path": self.path, "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}]}]}
        if self.certificate:
            bridge["tls"] = {"certificate": str(self.certificate.certificate), "key": str(self.certificate.key)}
        topics = {"name": self.name + ".{type}", "internal": "internal-" + self.name, "create": "known", "partitions": self.partitions}
        self.ferry = Ferry(folder, {"kafka": self.kafka.client(), "topics": topics, "bridge": bridge})
        self.program = self.child = self.ferry.launch("bridge", under=self.under)
        self.port = self.program.port

    def wait(self):
        self.program.wait_ready()

    def ready(self):
        return self.program.health("/readyz") == 200

    @staticmethod
    def id_of(message):
        return dict(message.headers())["ce_id"].decode()

    def stop(self):
        if self.ferry:
            self.ferry.stop()
            self.child = self.ferry = None


def built(what, command, folder, result):
    """The peer's program, or None and a line that says why not."""
    if shutil.which(command[0]) is None:
        print(f"without the {what} peer: no {command[0]} here", flush=True)
        return None
    environment = {**os.environ, "CARGO_TARGET_DIR": str(BUILT / "rust")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"without the {what} peer: {command[0]} failed:\n{done.stderr[-800:]}", flush=True)
        return None
    return result


def mq_bridge():
    """Python of a virtual environment that has mq-bridge, or None."""
    python = BUILT / "mq" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", BUILT / "mq"], check=True)
    have = subprocess.run([python, "-c", "import mq_bridge"], capture_output=True, check=False).returncode == 0
    install = [python, "-m", "pip", "install", "-q", f"mq-bridge=={MQ_BRIDGE}"]
    if not have and subprocess.run(install, check=False).returncode != 0:
        print("without mq-bridge: pip could not install it", flush=True)
        return None
    return python


def players(kafka, folder, wanted):
    """The players that are `wanted`, Ferry first."""
    BUILT.mkdir(parents=True, exist_ok=True)
    result = [FerryPlayer("ferry", kafka, folder)]
    if "tls" in wanted:
        result.append(FerryPlayer("ferry-tls", kafka, folder, Authority(folder / "ca")))
    rust = "rust" in wanted and built("Rust", ["cargo", "build", "--release", "--quiet", "--locked"], HERE / "peers/rust",
                                      BUILT / "rust/release/rust-peer")
    go = "go" in wanted and built("Go", ["go", "build", "-o", str(BUILT / "go-peer"), "."], HERE / "peers/go", BUILT / "go-peer")
    python = "mq" in wanted and mq_bridge()
    result += [Player("rust", kafka, folder, [rust])] if rust else []
    result += [Player("go", kafka, folder, [go])] if go else []
    result += [MqBridge("mq", kafka, folder, [python, HERE / "peers/mq_bridge_peer.py"])] if python else []
    return result
