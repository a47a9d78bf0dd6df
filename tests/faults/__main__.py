"""./dev faults [NAME…] [--seeds N] [--quick] [--list] [--write] | --prove [PLANT…]

Plays every fault (or those that are named) against the bridge and a cluster of three brokers, prints the table, and fails
if an acknowledged event was lost, altered, repeated without a mark or out of order. Network and disk faults need a
network and mount namespace of their own: as root, or where the kernel lets users make them, the runner enters one first.
"""
import os
import shutil
import subprocess
import sys
import time

from faults import command, scene as scenes, table
from faults.cluster import Cluster
from support import process
from support.ferry import BIN
from support.kafka import BUILD, jars

INSIDE = "FERRY_FAULTS_NAMESPACE"


def enter_namespaces():
    """Start this program again in namespaces of its own, once; where that is not allowed, go on without."""
    if INSIDE in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return os.environ[INSIDE] == "yes"
    unshare = ["unshare", "--net", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net", "--mount"]
    allowed = subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
    if not allowed:
        return False
    environment = os.environ | {INSIDE: "yes"}
    os.execvpe(unshare[0], [*unshare, sys.executable, "-m", "faults", *sys.argv[1:]], environment)


def play(fault_class, options, kafka, folder):
    fault = fault_class(options)
    scene = scenes.Scene(kafka if fault_class.kafka else None, folder / fault.name, fault)
    verdict = None
    try:
        fault.prepare(scene)
        verdict = fault.play(scene)
    except (AssertionError, OSError, subprocess.SubprocessError) as problem:
        scene.problems.append(f"{type(problem).__name__}: {problem}"[:2000])
    finally:
        scene.save(verdict)
        scene.end()
        fault.clean_up(scene)
    return table.Row(fault, verdict, scene)


def main():
    parser = command.make_parser("./dev faults", "of each crash point (20)", "two seeds, shorter outages")
    options = parser.parse_args()
    if options.prove:
        from faults import prove
        return prove.main(options)
    faults = command.all_faults("faults", scenes.Fault)
    if options.list:
        command.print_list(faults)
        return 0
    chosen = command.chosen(parser, faults, options.names)
    jars()
    namespaces = enter_namespaces()
    return run(chosen, options, namespaces)


def run(chosen, options, namespaces):
    folder = BUILD / "faults"
    shutil.rmtree(folder, ignore_errors=True)
    kafka = None
    rows = []
    try:
        for fault in chosen:
            if "namespace" in fault.needs and not namespaces:
                rows.append(table.Row.left_out(fault, "needs root, or user namespaces"))
                continue
            if kafka is None and fault.kafka:
                kafka = Cluster(folder / "kafka").start()
            print(f"{time.strftime('%H:%M:%S')} {fault.name} …", file=sys.stderr, flush=True)
            rows.append(play(fault, options, kafka, folder))
            print(rows[-1].line(), file=sys.stderr, flush=True)
            if options.write:
                table.write(rows)
    finally:
        if kafka:
            kafka.stop()
    print(table.text(rows))
    return 1 if any(row.failed for row in rows) else 0


if __name__ == "__main__":
    process.stop_all_on_sigterm()
    if sys.argv[1:2] == ["workers"]:
        from faults.workers.__main__ import main as workers
        sys.exit(workers(sys.argv[2:]))
    print(f"programs: {BIN}", file=sys.stderr)
    sys.exit(main())
