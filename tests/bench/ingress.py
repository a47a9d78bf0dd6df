"""What an acknowledged event costs at the ingress: `./dev bench ingress`.

Ferry and its peers take the same signed webhooks from wrk, in turn (A B C, A B C, …), against one real Kafka. The peers
(tests/bench/peers) do less: those in Rust and Go check the signature, parse the JSON, produce with acks=all and answer after
the report; mq-bridge, a product, does neither of the first two and writes to one topic. Ferry runs as it is shipped:
signature, validation, normalization, all headers, a spool.

    CPU      user and system time of the program over the run, by the events that were sent
    records  after each run the player's topics must have grown by what was acknowledged, or more: wrk cuts the last
             requests off. That is a count of every run; ids are read back of a sample that each player is sent at the end
    peak     the largest resident size during the run (VmHWM, set back before it)

The files: webhooks (cells, requests), players, measuring, tables and plot (the page of `--write`).
"""
import argparse
import contextlib
import json
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import measuring  # noqa: E402
import tables  # noqa: E402
from players import Player, players  # noqa: E402
from support.kafka import Kafka  # noqa: E402
from support.process import until  # noqa: E402
from webhooks import CELLS, types, write_requests  # noqa: E402

SOAK_SECONDS = 15
# A day's load must not fill the disk: what has been counted may go.
RETENTION = {"log.retention.bytes": 32 << 20, "log.segment.bytes": 16 << 20, "log.retention.check.interval.ms": 30_000,
             "log.segment.delete.delay.ms": 1000}


def run_cell(name, crew, folder, options, ends):
    """All rounds of one cell, the players in turn; before them a load that does not count."""
    cell = CELLS[name]
    requests = write_requests(folder / "requests", cell)
    able = [player for player in crew if player.able(cell)]
    results = {player.name: [] for player in able}
    for player in able:
        measuring.warm_up(player, cell, requests)
    for _ in range(options.rounds):
        for player in able:
            results[player.name].append(measuring.measure(player, cell, requests, options.seconds, ends))
    return results


def run_starts(crew, options):
    """Each has been up once before, so that Ferry's topics are there as well as those of its peers."""
    crew = [player for player in crew if not player.context]
    for player in crew:
        player.start()
        player.wait()
        player.stop()
    results = {player.name: [] for player in crew}
    for _ in range(options.rounds):
        for player in crew:
            results[player.name].append(measuring.start_times(player))
    return results


def run_spool(kafka, ferry, folder, options, ends):
    results = {}
    for name, cell in {"one by one": CELLS["legacy"], "batches of 100": CELLS["batch100"]}.items():
        requests = write_requests(folder / "requests", cell)
        results[name] = [measuring.spool(kafka, ferry, cell, requests, options.seconds, ends) for _ in range(options.rounds)]
    return results


def run_soak(ferry, folder, options, ends):
    """Ferry alone, for as long as was asked; a first sample does not count."""
    cell = CELLS["legacy"]
    requests = write_requests(folder / "requests", cell)
    ferry.start()
    ferry.wait()
    measuring.soak_sample(ferry, cell, requests, SOAK_SECONDS)
    before, samples = ends.count(ferry), []
    for _ in range(max(5, round(options.minutes * 60 / SOAK_SECONDS))):
        samples.append(measuring.soak_sample(ferry, cell, requests, SOAK_SECONDS))
        print(json.dumps(samples[-1]), file=sys.stderr, flush=True)
    count = sum(sample["count"] for sample in samples)
    until(lambda: ends.count(ferry) - before >= count, 60, f"{count} records in Kafka")
    ferry.stop()
    return {"ferry": samples}


def run(kafka, crew, folder, options, results, checks):
    """All cells that were asked for, into `results`; what was found of ids into `checks`."""
    def done(name, figures):
        results[name] = figures
        print(tables.section(name, figures), flush=True)

    names = [name for name in CELLS if name in options.cells]
    kinds = types(max((CELLS[name].types for name in names), default=6))
    for player in crew:
        player.make_topics(kinds)
    ends = measuring.Ends(kafka)
    if "start" in options.cells:
        done("start", run_starts(crew, options))
    if names:
        for player in crew:
            player.start()
            player.wait()
        for name in names:
            done(name, run_cell(name, crew, folder, options, ends))
        print()
        for player in crew:
            checks.append(measuring.check_ids(player, ends))
            print(checks[-1], flush=True)
            player.stop()
    if "spool" in options.cells:
        done("spool", run_spool(kafka, crew[0], folder, options, ends))
    if "soak" in options.cells:
        done("soak", run_soak(crew[0], folder, options, ends))


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench ingress", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = [*CELLS, "start", "spool"]
    parser.add_argument("--cells", nargs="+", choices=[*usual, "soak"], default=usual, metavar="NAME",
                        help=" ".join(usual) + "; and soak, which is run only when it is named")
    parser.add_argument("--players", nargs="*", choices=["rust", "go", "mq"], default=["rust", "go", "mq"],
                        help="the peers beside Ferry; mq: PyPI mq-bridge")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each run")
    parser.add_argument("--partitions", type=int, default=6, help="of each topic")
    parser.add_argument("--minutes", type=float, default=30, help="of soak")
    parser.add_argument("--runs", type=int, default=1, help="whole runs, each with a Kafka and programs of its own; their ratios side by side")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="all figures of all runs")
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE.md",
                        help="a page of it all, and FILE-cpu.svg and FILE-rate.svg beside it")
    return parser.parse_args()


def whole_run(options, results, checks):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ferry-bench-"))
    kafka, crew = Kafka(folder / "kafka", extra=RETENTION), []
    try:
        crew = players(kafka, folder, [*options.players, *options.cells])
        kafka.start()
        run(kafka, crew, folder, options, results, checks)
    finally:
        for player in crew:
            with contextlib.suppress(Exception):
                player.stop()
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    options = arguments()
    Player.partitions = options.partitions
    runs, checks = [], []
    try:
        for _ in range(options.runs):
            runs.append({})
            whole_run(options, runs[-1], checks)
    finally:
        if options.json:
            options.json.write_text(json.dumps(runs, indent=1))
        if options.write:
            options.write.write_text(tables.page(runs, options, checks))


if __name__ == "__main__":
    main()
