"""./dev faults [NAME…] [--seeds N] [--quick] [--list] [--write] | --prove [PLANT…]

Plays every fault (or those that are named) against the bridge and a cluster of three brokers, prints the table, and fails
if an acknowledged event was lost, altered, repeated without a mark or out of order. Network and disk faults need a
network and mount namespace of their own: as root, or where the kernel lets users make them, the runner enters one first.
"""
import argparse
import importlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

from faults import scene as scenes
from faults import table
from faults.cluster import Cluster
from support import process
from support.ferry import BIN
from support.kafka import BUILD, jars

HERE = pathlib.Path(__file__).parent
INSIDE = "FERRY_FAULTS_NAMESPACE"


def all_faults():
    """name → class, in the order of the files and of the classes in them."""
    modules = [importlib.import_module(f"faults.{path.stem}") for path in sorted(HERE.glob("faults_*.py"))]
    return {value.name: value for module in modules for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, scenes.Fault) and value.name
            and value.__module__ == module.__name__}


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
    parser = argparse.ArgumentParser(prog="./dev faults")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=20, help="of each crash point (20)")
    parser.add_argument("--quick", action="store_true", help="two seeds, shorter outages")
    parser.add_argument("--list", action="store_true", help="the names of the faults")
    parser.add_argument("--write", action="store_true", help="the table into docs/reliability.md")
    parser.add_argument("--prove", action="store_true", help="plant bugs; each must be caught (NAMEs are plants)")
    options = parser.parse_args()
    if options.prove:
        from faults import prove
        return prove.main(options)
    faults = all_faults()
    if options.list:
        for name, fault in faults.items():
            print(f"{name:24} {fault.title}")
        return 0
    unknown = [n for n in options.names if n not in faults]
    if unknown:
        parser.error(f"no such fault: {', '.join(unknown)}; --list names them")
    jars()
    namespaces = enter_namespaces()
    return run([faults[n] for n in options.names or faults], options, namespaces)


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
