"""What an acknowledged event costs at the ingress: `./dev bench ingress`.

Ferry and its peers take the same signed webhooks from wrk, in turn (A B C, A B C, …), against one real Kafka. The peers
(tests/bench/peers) do less: those in Rust and Go check the signature, parse the JSON, produce with acks=all and answer after
the report; mq-bridge, a product (`--players mq`), does neither of the first two and writes to one topic. Ferry runs as it is shipped:
signature, validation, normalization, all headers, a spool.

    CPU      user and system time of the program over the run, by the events that were sent
    records  after each run the player's topics must have grown by what was acknowledged, or more: wrk cuts the last
             requests off. That is a count of every run; ids are read back of a sample that each player is sent at the end
    peak     the largest resident size during the run (VmHWM, set back before it)
"""
import argparse
import collections
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from confluent_kafka import Consumer, KafkaException, TopicPartition  # noqa: E402

from support import http  # noqa: E402
from support.certs import Authority  # noqa: E402
from support.ferry import BIN, SECRET, Ferry  # noqa: E402
from support.kafka import Kafka  # noqa: E402
from support.process import Child, free_port, listening, until  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILT = BIN.parent / "peers"
SIX_TYPES = [f"com.qlik.v1.{name}" for name in (
    "app.opened", "app.reload.finished", "api-key.validation.failed", "app-usage.quota.consumed",
    "alerting-task.created", "alerting-task.deleted")]
SAMPLE = 200

Cell = collections.namedtuple("Cell", "format connections types size batch bad tls", defaults=(128, 6, 900, 1, 0.0, False))
CELLS = {
    "legacy": Cell("legacy"), "hybrid": Cell("hybrid"), "cloudevents": Cell("cloudevents"),
    **{f"c{n}": Cell("legacy", connections=n) for n in (1, 32, 127, 129, 256, 1000)},
    "topics1": Cell("legacy", types=1), "topics100": Cell("legacy", types=100),
    "16KB": Cell("legacy", size=16 << 10), "64KB": Cell("legacy", size=64 << 10),
    "batch100": Cell("cloudevents", batch=100),
    "bad5": Cell("legacy", bad=0.05),
    "tls": Cell("legacy", tls=True),
}


# --------------------------------------------------------------------------------------------------- requests

def types(count):
    """Six that are common, and then those of Qlik's catalogue."""
    lines = (ROOT / "tests/data/catalog.tsv").read_text().splitlines()
    listed = [line.split("\t")[2] for line in lines if not line.startswith("#")]
    return list(dict.fromkeys(SIX_TYPES + listed))[:count]


def event(number, kind, shape, size):
    data = {"id": f"{number % 5000:024x}", "name": f"Sales Discovery {number}", "spaceId": f"5f8d{number % 50:020d}",
            "ownerId": f"owner{number % 1000}", "attributes": {"k": [1, 2, 3.5, True, None], "n": number}, "description": ""}
    now, name = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), str(uuid.uuid4())
    if shape == "cloudevents":
        made = {"specversion": "1.0", "id": name, "source": "com.qlik/my-service", "type": kind, "time": now,
                "datacontenttype": "application/json", "tenantid": f"tenant{number % 8}", "userid": f"u{number % 1000}"}
    else:
        made = {"cloudEventsVersion": "0.1", "source": "com.qlik/my-service", "contentType": "application/json",
                "eventId": name, "eventTime": now, "eventTypeVersion": "1.0.0", "eventType": kind,
                "extensions": {"actor": {}, "tenantId": f"tenant{number % 8}", "userId": f"u{number % 1000}"}}
    if shape == "hybrid":
        made |= {"specversion": "1.0", "id": name, "type": kind, "time": now, "tenantid": f"tenant{number % 8}",
                 "userid": f"u{number % 1000}"}
    made["data"] = data
    data["description"] = "x" * max(0, size - len(json.dumps(made, separators=(",", ":"))))
    return made


def signature(body):
    return hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def write_requests(path, cell):
    """A few megabytes of them: wrk begins anew when it has sent them all."""
    kinds = types(cell.types)
    count = max(200, min(20000, (32 << 20) // (cell.size * cell.batch)))
    refused = round(1 / cell.bad) if cell.bad else 0
    with path.open("wb") as out:
        for number in range(count):
            events = [event(number * cell.batch + n, kinds[(number + n) % len(kinds)], cell.format, cell.size)
                      for n in range(cell.batch)]
            body = json.dumps(events if cell.batch > 1 else events[0], separators=(",", ":")).encode()
            signed = "0" * 64 if refused and number % refused == 0 else signature(body)
            out.write(signed.encode() + b" " + body + b"\n")
    return path


def content_type(cell):
    if cell.batch > 1:
        return "application/cloudevents-batch+json"
    return "application/cloudevents+json" if cell.format == "cloudevents" else "application/json"


# ---------------------------------------------------------------------------------------------------- players

class Player:
    """One program that takes webhooks; its topics all begin with its name and a full stop."""
    path, tls, able = "/", None, staticmethod(lambda cell: not cell.tls and cell.batch == 1)

    def __init__(self, name, kafka, folder, command):
        self.name, self.kafka, self.folder, self.command = name, kafka, folder, command
        self.child = self.port = None

    def start(self):
        self.port = free_port()
        self.child = Child(self.command, self.folder / f"{self.name}.log", env={
            "SECRET": SECRET, "BROKERS": self.kafka.bootstrap, "PORT": str(self.port), "PREFIX": self.name})

    def stop(self):
        if self.child:
            self.child.stop()
            self.child = None

    def url(self, cell):
        return f"http{'s' if cell.tls else ''}://127.0.0.1:{self.port}{self.path}"

    def topics(self, kinds):
        return [f"{self.name}.{kind}" for kind in kinds]

    def send(self, number):
        """The id of one event that it has acknowledged, or None."""
        made = event(number, SIX_TYPES[number % 6], "legacy", 900)
        body = json.dumps(made).encode()
        headers = [("Content-Type", "application/json"), ("Qlik-Signature", signature(body))]
        try:
            answer = http.send("POST", self.url(CELLS["legacy"]), body, headers, timeout=5)
        except OSError:
            return None
        return made["eventId"] if answer.status < 300 else None


class MqBridge(Player):
    able = staticmethod(lambda cell: not cell.tls and cell.batch == 1 and not cell.bad and cell.format == "legacy" and cell.types <= 6)

    def topics(self, kinds):
        return [self.name + ".all"]


class FerryPlayer(Player):
    path = "/webhooks/qlik"
    able = staticmethod(lambda cell: True)

    def __init__(self, name, kafka, folder, tls=None):
        super().__init__(name, kafka, folder, None)
        self.tls = tls
        self.able = lambda cell: cell.tls == bool(tls)
        self.program = self.ferry = None

    def start(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        bridge = {"spool": {"directory": str(folder / "spool")}, "limits": {"per_address": 4096},
                  "webhooks": [{"path": self.path, "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}]}]}
        if self.tls:
            bridge["tls"] = {"certificate": str(self.tls.certificate), "key": str(self.tls.key)}
        topics = {"name": self.name + ".{type}", "internal": "internal-" + self.name, "create": "known", "partitions": 6}
        self.ferry = Ferry(folder, {"kafka": self.kafka.client(), "topics": topics, "bridge": bridge})
        self.program = self.child = self.ferry.launch("bridge")
        self.port = self.program.port

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
    if not have and subprocess.run([python, "-m", "pip", "install", "-q", "mq-bridge==1.2.0"], check=False).returncode != 0:
        print("without mq-bridge: pip could not install it", flush=True)
        return None
    return python


def players(kafka, folder, wanted):
    """The players that are `wanted`, Ferry first."""
    BUILT.mkdir(parents=True, exist_ok=True)
    result = [FerryPlayer("ferry", kafka, folder)]
    if "tls" in wanted:
        result.append(FerryPlayer("ferry-tls", kafka, folder, Authority(folder / "ca").issue("bridge")))
    rust = "rust" in wanted and built("Rust", ["cargo", "build", "--release", "--quiet", "--locked"], HERE / "peers/rust",
                                      BUILT / "rust/release/rust-peer")
    go = "go" in wanted and built("Go", ["go", "build", "-o", str(BUILT / "go-peer"), "."], HERE / "peers/go", BUILT / "go-peer")
    python = "mq" in wanted and mq_bridge()
    result += [Player("rust", kafka, folder, [rust])] if rust else []
    result += [Player("go", kafka, folder, [go])] if go else []
    result += [MqBridge("mq", kafka, folder, [python, HERE / "peers/mq_bridge_peer.py"])] if python else []
    return result


# ------------------------------------------------------------------------------------------------ measurements

def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


class Ends:
    """How many records the topics of a player hold, and which ids those have that came after a moment."""

    def __init__(self, kafka):
        self.consumer = Consumer({**kafka.client(), "group.id": "bench", "enable.auto.commit": False, "log_level": 0})

    def end(self, topic, number):
        """Retried: the leader of a topic that has just been made may not know it yet."""
        def ask():
            with contextlib.suppress(KafkaException):
                return [self.consumer.get_watermark_offsets(TopicPartition(topic, number), 10)[1]]
        return until(ask, 30, f"the end of {topic}/{number}")[0]

    def of(self, player, kinds=6):
        listing = self.consumer.list_topics(timeout=10).topics
        return {(topic, number): self.end(topic, number)
                for topic in player.topics(types(kinds)) for number in listing[topic].partitions}

    def count(self, player, kinds=6):
        return sum(self.of(player, kinds).values())

    def records_since(self, before, enough, limit=30):
        """As texts: the value and the headers' values. Ferry keeps the id in a header, the peers in the body."""
        self.consumer.assign([TopicPartition(topic, number, end) for (topic, number), end in before.items()])
        found, end = [], time.monotonic() + limit
        while len(found) < enough and time.monotonic() < end:
            found += [b" ".join([m.value(), *(value for _, value in m.headers() or [])]).decode()
                      for m in self.consumer.consume(500, 1) if not m.error()]
        self.consumer.unassign()
        return found


def load(player, cell, requests, seconds):
    """wrk's view of one run."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{cell.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(HERE / "post.lua"), player.url(cell)],
        env={**os.environ, "REQUESTS": str(requests), "CONTENT_TYPE": content_type(cell)},
        capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(player, cell, requests, seconds, ends):
    before = ends.count(player, cell.types)
    pathlib.Path(f"/proc/{player.child.pid}/clear_refs").write_text("5")
    cpu = cpu_seconds(player.child.pid)
    seen = load(player, cell, requests, seconds)
    cpu = cpu_seconds(player.child.pid) - cpu
    acknowledged = (seen["requests"] - seen["refused"]) * cell.batch
    assert acknowledged > 0, f"{player.name} acknowledged nothing: {seen}"
    share = seen["refused"] / seen["requests"]
    assert abs(share - cell.bad) <= (0.02 if cell.bad else 0), f"{player.name} refused {share:.1%}: {seen}"
    until(lambda: ends.count(player, cell.types) - before >= acknowledged, 60, f"{acknowledged} records of {player.name} in Kafka")
    return {"rate": acknowledged / seen["seconds"], "cpu": cpu / (seen["requests"] * cell.batch) * 1e6, "p50": seen["p50"],
            "p99": seen["p99"], "peak": peak_mib(player.child.pid), "broken": seen["broken"] + seen["late"]}


def check_ids(crew, ends):
    """Each player is sent a sample; all ids that it acknowledges are read back."""
    for player in crew:
        before = ends.of(player)
        sent = [name for name in (player.send(n) for n in range(SAMPLE)) if name] if not player.tls else []
        if sent:
            records = ends.records_since(before, len(sent))
            values = "\n".join(records)
            missing = [name for name in sent if name not in values]
            assert len(records) >= len(sent) and not missing, f"{player.name}: {len(sent)} acknowledged, {len(records)} in Kafka"
            print(f"{player.name}: {len(sent)} of {SAMPLE} acknowledged, the id of each is in Kafka")


def start_time(player):
    """Milliseconds from the start of the program to the first event that it acknowledges."""
    began = time.monotonic()
    player.start()
    until(lambda: listening(player.port), 30)
    until(lambda: player.send(0), 30)
    took = (time.monotonic() - began) * 1000
    player.stop()
    return took


def spool(kafka, player, requests, seconds, ends):
    """Events a second into the spool while Kafka is down, and out of it when it is back."""
    broker, cell = kafka.brokers[0], CELLS["legacy"]
    player.start()
    player.program.wait_ready()
    assert until(lambda: player.send(0), 20)
    before = ends.count(player)
    broker.kill()
    seen = load(player, cell, requests, seconds)
    held = player.program.metric("ferry_spool_events")
    broker.start().wait()
    first = until(lambda: (left := player.program.metric("ferry_spool_events")) < held and (time.monotonic(), left), 60)
    until(lambda: player.program.metric("ferry_spool_events") == 0, 120, "an empty spool")
    seconds_out = time.monotonic() - first[0]
    acknowledged = seen["requests"] - seen["refused"]
    until(lambda: ends.count(player) - before >= acknowledged, 60, "every acknowledged record in Kafka")
    player.stop()
    return {"in": acknowledged / seen["seconds"], "out": first[1] / max(seconds_out, 0.001), "refused": seen["refused"]}


# ------------------------------------------------------------------------------------------------------ tables

def spread(runs, what, digits=0):
    values = sorted(run[what] for run in runs)
    return f"{statistics.median(values):,.{digits}f} ({values[0]:,.{digits}f}–{values[-1]:,.{digits}f})"


def ratio(results, player, what):
    """Of this player to the Rust peer, medians."""
    if "rust" not in results:
        return "—"
    mine, other = (statistics.median(run[what] for run in results[name]) for name in (player, "rust"))
    return f"{mine / other:.2f}" if other else "—"


def print_cell(name, results):
    print(f"\n### {name}\n\n| | events/s | of Rust | CPU µs an event | of Rust | p50 ms | p99 ms | peak MiB | broken |\n"
          "|---|---|---|---|---|---|---|---|---|")
    for player, runs in results.items():
        print(f"| {player} | {spread(runs, 'rate')} | {ratio(results, player, 'rate')} | {spread(runs, 'cpu', 1)} |"
              f" {ratio(results, player, 'cpu')} | {spread(runs, 'p50', 2)} | {spread(runs, 'p99', 1)} |"
              f" {spread(runs, 'peak')} | {sum(run['broken'] for run in runs)} |", flush=True)


def run_cell(name, crew, folder, options, ends):
    """All rounds of one cell, the players in turn."""
    cell = CELLS[name]
    requests = write_requests(folder / "requests", cell)
    able = [player for player in crew if player.able(cell)]
    results = {player.name: [] for player in able}
    for _ in range(options.rounds):
        for player in able:
            results[player.name].append(measure(player, cell, requests, options.seconds, ends))
    print_cell(name, results)
    return results


def run_starts(crew, rounds):
    results = {player.name: [] for player in crew if not player.tls}
    for _ in range(rounds):
        for player in crew:
            if player.name in results:
                results[player.name].append({"ms": start_time(player)})
    print("\n### start\n\n| | ms from the start to the first acknowledged event |\n|---|---|")
    for player, runs in results.items():
        print(f"| {player} | {spread(runs, 'ms')} |", flush=True)
    return results


def run_spool(kafka, crew, folder, options, ends):
    requests = write_requests(folder / "requests", CELLS["legacy"])
    runs = [spool(kafka, crew[0], requests, options.seconds, ends) for _ in range(options.rounds)]
    print("\n### spool\n\n| Ferry | events/s | \n|---|---|")
    print(f"| in | {spread(runs, 'in')} |\n| out | {spread(runs, 'out')} |", flush=True)
    return {"ferry": runs}


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench ingress", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*CELLS, "start", "spool"]
    parser.add_argument("--cells", nargs="+", choices=names, default=names, metavar="NAME", help=" ".join(names))
    parser.add_argument("--players", nargs="+", choices=["rust", "go", "mq"], default=["rust", "go"],
                        help="the peers beside Ferry; mq: PyPI mq-bridge, a trial that has given no figures yet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each run")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="all figures of all runs")
    return parser.parse_args()


def main():
    options = arguments()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ferry-bench-"))
    kafka = Kafka(folder / "kafka")
    results = {}
    try:
        crew = players(kafka, folder, [*options.players, *options.cells])
        kafka.start()
        names = [name for name in CELLS if name in options.cells]
        kinds = types(max([CELLS[name].types for name in names], default=6) if names else 6)
        for player in (player for player in crew if player.command):  # Ferry makes its own
            kafka.create_topics(*player.topics(SIX_TYPES), partitions=6)
            rest = set(player.topics(kinds)) - set(player.topics(SIX_TYPES))
            if rest and player.command:
                kafka.create_topics(*rest)
        ends = Ends(kafka)
        if "start" in options.cells:
            results["start"] = run_starts(crew, options.rounds)
        if names:
            for player in crew:
                player.start()
                until(lambda player=player: listening(player.port), 30, player.name)
                if player.name.startswith("ferry"):
                    player.program.wait_ready()
            for name in names:
                results[name] = run_cell(name, crew, folder, options, ends)
            check_ids(crew, ends)
            for player in crew:
                player.stop()
        if "spool" in options.cells:
            results["spool"] = run_spool(kafka, crew, folder, options, ends)
    finally:
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))
        with contextlib.suppress(Exception):
            for player in crew:
                player.stop()
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
