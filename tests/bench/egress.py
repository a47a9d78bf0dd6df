"""Ordered effects from Kafka to a local HTTP sink, Ferry beside PyPI mq-bridge: `./dev bench egress`.

One `ferry-automation` with 64 calls at once, as in `./dev bench instant`, and mq-bridge (peers/mq_bridge_egress.py) read the
same topic of 8 partitions on the same real Kafka, each by a group of its own, in turn (A B C D, A B C D, …), and post an effect
for every record to the same sink, which answers at once. mq-bridge is configured as its documentation says:

    mq-one          ordered: one route with `concurrency` 1 (its page on tuning: "Order-sensitive stream: 1") and
                    `batch_concurrency` 1, since its requests of a batch do not wait for each other: one request at a time
    mq-partitions   ordered: as many such routes as partitions, in one group and one process, so that 8 requests are under way
                    ("If you need ordering, keep `concurrency: 1` or partition upstream so each key lands on one route")
    mq-unordered    one route, `batch_concurrency` 64: 64 requests at once, which overtake each other. (`concurrency` 4 and
                    `batch_concurrency` 16 was no faster, and broke order a hundred times as often)

All else is its default: `batch_size` 512, one HTTP client for all routes, Python only to start the routes.

mq-bridge does less: no template (the path of a request is a header of the record, which Ferry does not look at, body and
headers are the record's own), no intent before an effect and no mark after it (after a crash a whole batch comes again), no
retry of one effect, no dead letter, no log line for each effect. Ferry does all of that. mq-bridge sends more: the whole
record, 0.5 KB, as a request, where Ferry sends what the route's template makes of it.

    effects/s, CPU   between the first tenth and the last; user and system time of the program, the broker and the sink
    Ferry / it       Ferry's median to that of the player
    order broken     requests whose number was not above the last one of their key: an ordered player must have none
    twice            requests that came again; the number of every record must have come
"""
import argparse
import pathlib
import shutil
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from players import BUILT, HERE, mq_bridge  # noqa: E402
from support.ferry import Ferry  # noqa: E402
from support.kafka import Kafka  # noqa: E402
from support.process import Child  # noqa: E402
from tables import spread  # noqa: E402
from workers import PARTITIONS, Sink, configuration, fill, measure  # noqa: E402


class Worker:
    """Ferry's."""
    name, ordered = "ferry", True

    def start(self, kafka, folder, topics, sink):
        self.ferry = Ferry(folder / topics, configuration(kafka, topics, sink, 64))
        return self.ferry.launch("automation")

    def stop(self):
        self.ferry.stop()


class MqBridge:
    def __init__(self, python, name, routes, at_once):
        self.python, self.name, self.ordered = python, name, at_once == 1
        self.settings = {"ROUTES": str(routes), "AT_ONCE": str(at_once)}

    def start(self, kafka, folder, topics, sink):
        self.child = Child([self.python, HERE / "peers/mq_bridge_egress.py"], folder / f"{topics}-{self.name}.log", env={
            **self.settings, "BROKERS": kafka.bootstrap, "TOPIC": f"{topics}.reload.finished", "GROUP": f"{topics}.{self.name}",
            "URL": f"http://127.0.0.1:{sink.port}/"})
        return self.child

    def stop(self):
        self.child.stop()


def run(kafka, folder, topics, player, count):
    """One player over all records of a round."""
    sink = Sink(folder, 0)
    try:
        try:
            result = measure(kafka, sink, [player.start(kafka, folder, topics, sink)], count)
        finally:
            player.stop()
        figures = sink.figures()
    finally:
        sink.stop()
    assert figures["distinct"] == count and not (player.ordered and figures["breaks"]), f"{player.name}: {figures}"
    return {**result, "breaks": figures["breaks"], "twice": figures["requests"] - count}


def ratio(results, player, what):
    """Ferry's median to the player's."""
    mine, other = (statistics.median(one[what] for one in results[name]) for name in ("ferry", player))
    return f"{mine / other:.2f}"


def table(results):
    print("\n| | effects/s | Ferry / it | CPU µs an effect | Ferry / it | broker | sink | order broken | twice |")
    print("|---|---|---|---|---|---|---|---|---|")
    for player, runs in results.items():
        print(f"| {player} | {spread(runs, 'rate')} | {ratio(results, player, 'rate')} | {spread(runs, 'workers')} |"
              f" {ratio(results, player, 'workers')} | {spread(runs, 'broker')} | {spread(runs, 'sink')} |"
              f" {sum(one['breaks'] for one in runs):,} | {sum(one['twice'] for one in runs):,} |")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench egress", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=40000, help="of a round")
    options = parser.parse_args()
    BUILT.mkdir(parents=True, exist_ok=True)
    python = mq_bridge()
    crew = [Worker()]
    if python:
        crew += [MqBridge(python, "mq-one", 1, 1), MqBridge(python, "mq-partitions", PARTITIONS, 1),
                 MqBridge(python, "mq-unordered", 1, 64)]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ferry-bench-"))
    kafka = Kafka(folder / "kafka", extra={"group.initial.rebalance.delay.ms": 3000}).start()
    results = {player.name: [] for player in crew}
    try:
        for number in range(options.rounds):
            topics = f"egress{number}"
            kafka.create_topics(f"{topics}.reload.finished", partitions=PARTITIONS)
            fill(kafka, f"{topics}.reload.finished", options.records, mixed=True)
            for player in crew:
                results[player.name].append(run(kafka, folder, topics, player, options.records))
        table(results)
    finally:
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
