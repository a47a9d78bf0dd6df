"""How fast workers and replays are, and how workers scale: `./dev bench`.

    scale     1, 2 and 4 `ferry-automation` over 8 partitions, each with 8 calls at once, against a sink that takes 20 ms;
              started together, within the 3 s that Kafka gives a new group by default
    instant   one worker with 64 calls at once against a sink that answers at once; CPU of everybody beside it
    marks     how long a worker reads marks of "once" back before its first effect, with a million of them in the log
    replay    `ferry replay` of small records from one topic to another

Every effect is one HTTP call, ordered by key, marked in Kafka (intent before it, mark after it) with acks=all; the sink
counts them and looks at the order. Rounds go in turn (1 2 4, 1 2 4, …); medians are printed, with the spread.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from confluent_kafka import Producer  # noqa: E402

from support.ferry import BIN, Ferry  # noqa: E402
from support.kafka import Kafka  # noqa: E402
from support.process import Child, free_port, listening  # noqa: E402

PARTITIONS, KEYS = 8, 4000
DATA = '{"id": "key-%d", "k": "%d", "n": %d, "name": "Sales", "pad": "' + "x" * 200 + '"}'


class Sink(Child):
    def __init__(self, folder, delay_ms):
        self.port = free_port()
        super().__init__([BIN / "sink", self.port, delay_ms], folder / f"sink-{self.port}.log")
        self.wait_for(lambda: listening(self.port), 10)

    def figures(self):
        """What it has counted up to now."""
        lines = self.text().count("\n")
        self.signal(10)
        self.wait_for(lambda: self.text().count("\n") > lines, 10)
        return json.loads(self.text().splitlines()[-1])


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def configuration(kafka, name, sink, concurrency):
    return {
        "kafka": kafka.client(),
        "topics": {"name": name + ".{event}", "internal": name, "create": "routed", "partitions": PARTITIONS},
        "worker": {"start": "earliest", "concurrency": concurrency},
        "automation": {"group": name, "routes": [{
            "name": "sink", "events": ["reload.finished"],
            "request": {"method": "POST", "url": rf"http://127.0.0.1:{sink.port}/\(.resource.k)/\(.resource.n)",
                        "json": {"name": ".resource.name"}}}]},
    }


def fill(kafka, topic, count, mixed=False):
    """`count` events of KEYS keys; the numbers of a key rise. `mixed`: the keys come at random, so that some of one are close
    together, and the path of the effect is in a header as well."""
    producer = Producer({**kafka.client(), "enable.idempotence": True, "linger.ms": 20,
                         "queue.buffering.max.messages": 1000000})
    moment, chance = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), random.Random(1)
    for number in range(count):
        key = chance.randrange(KEYS) if mixed else number % KEYS
        headers = {"ce_specversion": "1.0", "ce_id": f"{topic}-{number}", "ce_source": "com.qlik/reloads",
                   "ce_type": "com.qlik.v1.reload.finished", "ce_time": moment, "ce_tenantid": "tenant",
                   "content-type": "application/json", "ferry-event": "reload.finished"}
        if mixed:
            headers["http_path"] = f"/{key}/{number}"
        producer.produce(topic, DATA % (key, key, number), f"key-{key}", headers=list(headers.items()))
        producer.poll(0)
    assert producer.flush(60) == 0


def measure(kafka, sink, programs, count):
    """Until all `count` effects are there. Effects per second between the first tenth and the last, and CPU µs an effect."""
    pids = {"workers": [p.pid for p in programs], "broker": [b.child.pid for b in kafka.brokers], "sink": [sink.pid]}

    def snapshot():
        return time.monotonic(), {who: sum(map(cpu_seconds, ids)) for who, ids in pids.items()}

    def reached(share):
        return programs[0].wait_for(lambda: (seen := sink.figures())["distinct"] >= count * share and seen, 300,
                                    f"{share:.0%} of the effects")

    first = reached(0.1)["requests"]
    began, cpu_before = snapshot()
    last = reached(0.9)["requests"]
    ended, cpu_after = snapshot()
    reached(1)
    return {"rate": (last - first) / (ended - began),
            **{who: (cpu_after[who] - cpu_before[who]) / (last - first) * 1e6 for who in pids}}


def run(kafka, folder, name, workers, delay_ms, concurrency, count):
    """One round of Ferry's workers: each effect once, and in order."""
    sink = Sink(folder, delay_ms)
    config = configuration(kafka, name, sink, concurrency)
    kafka.create_topics(f"{name}.reload.finished", partitions=PARTITIONS)
    fill(kafka, f"{name}.reload.finished", count)
    crew = [Ferry(folder / f"{name}-{n}", config) for n in range(workers)]
    try:
        result = measure(kafka, sink, [ferry.launch("automation") for ferry in crew], count)
        figures = sink.figures()
        assert figures["requests"] == count and figures["breaks"] == 0, figures
    finally:
        for ferry in crew:
            ferry.stop()
        sink.stop()
    return result


def summary(rounds, what):
    values = sorted(r[what] for r in rounds)
    return statistics.median(values), values[0], values[-1]


def scale(kafka, folder, rounds):
    results = {workers: [] for workers in (1, 2, 4)}
    for number in range(rounds):
        for workers, mine in results.items():
            mine.append(run(kafka, folder, f"scale{number}w{workers}", workers, 20, 8, 2500 * workers))
    print("\n| workers | effects/s (spread) | ratio |\n|---|---|---|")
    base = summary(results[1], "rate")[0]
    for workers, mine in results.items():
        median, low, high = summary(mine, "rate")
        print(f"| {workers} | {median:,.0f} ({low:,.0f}–{high:,.0f}) | {median / base:.2f} |")


def instant(kafka, folder, rounds):
    results = [run(kafka, folder, f"instant{n}", 1, 0, 64, 100000) for n in range(rounds)]
    print("\n| one worker, instant sink | median | spread |\n|---|---|---|")
    for what, label in (("rate", "effects/s"), ("workers", "CPU µs an effect, worker"), ("broker", "broker"), ("sink", "sink")):
        print("| %s | %s | %s–%s |" % (label, *(f"{v:,.0f}" for v in summary(results, what))))


def fill_marks(kafka, topic, count):
    kafka.create_topics(topic, partitions=PARTITIONS)
    producer = Producer({**kafka.client(), "enable.idempotence": True, "linger.ms": 20,
                         "queue.buffering.max.messages": 2000000})
    for number in range(count):
        producer.produce(topic, "done", os.urandom(16), number % PARTITIONS)
        if number % 1000 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0


def restart(folder, config):
    """Seconds until the worker is ready, milliseconds that it read marks, its memory."""
    began = time.monotonic()
    ferry = Ferry(folder, config)
    try:
        worker = ferry.launch("automation")

        def read_back():
            lines = [line for line in worker.logs() if line.get("msg") == "marks read back"]
            return sum(line["marks"] for line in lines) >= 1000000 and sum(line["ms"] for line in lines)

        milliseconds = worker.wait_for(read_back, 120, "a million marks read")
        seconds = time.monotonic() - began
        status = pathlib.Path(f"/proc/{worker.pid}/status").read_text()
    finally:
        ferry.stop()
    return {"ms": milliseconds, "seconds": seconds, "MiB": int(status.split("VmRSS:")[1].split()[0]) / 1024}


def marks(kafka, folder, rounds):
    sink = Sink(folder, 0)
    config = configuration(kafka, "marks", sink, 64)
    kafka.create_topics("marks.reload.finished", partitions=PARTITIONS)
    fill_marks(kafka, "marks.automation.effects", 1000000)
    results = [restart(folder / f"marks{n}", config) for n in range(rounds)]
    sink.stop()
    print("\n| a million marks | median | spread |\n|---|---|---|")
    for what, label in (("ms", "read back, ms"), ("seconds", "start to the first effect, s"), ("MiB", "memory, MiB")):
        print("| %s | %s | %s–%s |" % (label, *(f"{v:,.1f}" for v in summary(results, what))))


def replay_once(ferry, count, target):
    began, cpu = time.monotonic(), os.times()
    done = ferry.run("ferry", "replay", "-c", ferry.path, "--event", "reload.finished", "--from", "earliest", "--to", "now",
                     "--to-topic", target, "--json", "--allow-root", limit=300)
    after = os.times()
    assert done.returncode == 0, done.stderr
    seconds = time.monotonic() - began
    spent = after.children_user + after.children_system - cpu.children_user - cpu.children_system
    return {"rate": count / seconds, "cpu": spent / count * 1e6}


def replay(kafka, folder, rounds):
    count = 500000
    sink = Sink(folder, 0)
    ferry = Ferry(folder / "replay", configuration(kafka, "replay", sink, 64))
    kafka.create_topics("replay.reload.finished", partitions=PARTITIONS)
    fill(kafka, "replay.reload.finished", count)
    results = []
    for number in range(rounds):
        kafka.create_topics(f"copy{number}", partitions=PARTITIONS)
        results.append(replay_once(ferry, count, f"copy{number}"))
    sink.stop()
    print("\n| replay, topic to topic | median | spread |\n|---|---|---|")
    for what, label in (("rate", "records/s"), ("cpu", "CPU µs a record")):
        print("| %s | %s | %s–%s |" % (label, *(f"{v:,.1f}" for v in summary(results, what))))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["scale", "instant", "marks", "replay"], default=[])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ferry-bench-"))
    kafka = Kafka(folder / "kafka", extra={"group.initial.rebalance.delay.ms": 3000}).start()
    try:
        for part in (scale, instant, marks, replay):
            if not options.what or part.__name__ in options.what:
                part(kafka, folder, options.rounds)
    finally:
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
