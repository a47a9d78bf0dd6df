"""What the bridge keeps on its heap under load, by valgrind's massif: `./dev bench heap`.

The bridge runs under massif (some fifty times slower, so the rate says nothing) and takes signed webhooks over 128 connections
from wrk, against a real Kafka, for as long as was asked. Printed: the heap at the ends of four quarters of the run, which
must be flat; where it was allocated when it was largest; and the events that were taken, all of them in Kafka.
"""
import argparse
import contextlib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import measuring  # noqa: E402
from players import FerryPlayer  # noqa: E402
from support.kafka import Kafka  # noqa: E402
from support.process import until  # noqa: E402
from webhooks import CELLS, types, write_requests  # noqa: E402

WARM_UP = 20  # seconds: until every connection, topic and buffer is there
SITES = 12
SHARE = 1.0  # per cent: smaller sites are told together


class Watched(FerryPlayer):
    """Ferry under massif, which writes into `out`."""

    def __init__(self, kafka, folder, out):
        super().__init__("ferry", kafka, folder)
        self.under = ("valgrind", "--tool=massif", "--detailed-freq=5", f"--threshold={SHARE}", f"--massif-out-file={out}")

    def wait(self):
        self.program.wait_ready(120)


def snapshots(out):
    """(milliseconds or instructions, bytes) of each."""
    return [(int(time), int(heap)) for time, heap in
            re.findall(r"^time=(\d+)\nmem_heap_B=(\d+)$", out.read_text(), re.MULTILINE)]


def quarters(shots):
    """The heap at the end of each quarter of the time that is left of the run when it is warm."""
    first, last = shots[0][0], shots[-1][0]
    return [min(shots, key=lambda shot, at=first + (last - first) * share: abs(shot[0] - at))[1] / 1024
            for share in (0.25, 0.5, 0.75, 0.97)]


def place(where):
    """The function, or at least the library: `???` is one without symbols."""
    name, _, file = where.partition(" (")
    return pathlib.Path(file.removeprefix("in ").rstrip(")")).name if name == "???" else name


def sites(out):
    """Where the bytes of the largest snapshot were allocated: (share, bytes, function), the largest first."""
    printed = subprocess.run(["ms_print", f"--threshold={SHARE}", out], capture_output=True, text=True, check=True).stdout
    tree = printed.rpartition("(heap allocation functions)")[2]
    found = re.findall(r"^->(\d+\.\d+)% \(([\d,]+)B\) 0x[0-9A-F]+: (.+)$", tree, re.MULTILINE)
    return sorted(((float(share), int(size.replace(",", "")), where) for share, size, where in found), reverse=True)[:SITES]


def run(kafka, folder, seconds):
    out, cell = folder / "massif.out", CELLS["legacy"]
    requests = write_requests(folder / "requests", cell)
    player = Watched(kafka, folder, out)
    ends = measuring.Ends(kafka)
    try:
        player.start()
        player.wait()
        measuring.load(player, cell, requests, WARM_UP)
        before = ends.count(player)
        seen = measuring.load(player, cell, requests, seconds)
        count = measuring.acknowledged(player, cell, seen)
        until(lambda: ends.count(player) - before >= count, 60, "every acknowledged record in Kafka")
    finally:
        player.stop()
    return count, out


def main():
    parser = argparse.ArgumentParser(prog="./dev bench heap", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=120, help="of the load")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ferry-heap-"))
    kafka = Kafka(folder / "kafka")
    try:
        kafka.start()
        kafka.create_topics(*(f"ferry.{kind}" for kind in types(6)), partitions=6)
        count, out = run(kafka, folder, options.seconds)
        shots = snapshots(out)
        print(f"{count:,} events, all of them in Kafka; {len(shots)} snapshots; the heap was largest at "
              f"{max(heap for _, heap in shots) / 1024:,.0f} KiB\n")
        print("| a quarter of the run | a half | three quarters | its end |\n|---|---|---|---|")
        print("| " + " | ".join(f"{heap:,.0f} KiB" for heap in quarters(shots)) + " |\n")
        print("| share | KiB | allocated in |\n|---|---|---|")
        for share, size, where in sites(out):
            print(f"| {share:.1f} % | {size / 1024:,.0f} | {place(where)} |")
    finally:
        with contextlib.suppress(Exception):
            kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
