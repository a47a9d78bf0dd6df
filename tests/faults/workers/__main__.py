"""./dev faults workers [NAME…] [--seeds N] [--quick] [--list] [--write] | --prove [PLANT…]

Plays faults against the workers, prints the table, and fails if an effect is missing, comes more often than what a killed
process had in flight, or out of order in its lane, or if a dead letter is not what was published.
"""
import argparse
import importlib
import pathlib
import shutil
import subprocess
import sys
import time

from faults.cluster import Cluster
from faults.workers import table
from faults.workers.fault import WorkerFault
from faults.workers.stage import Stage
from support import ferry, process
from support.kafka import BUILD, jars

HERE = pathlib.Path(__file__).parent


def all_faults():
    """name → class, in the order of the files and of the classes in them."""
    modules = [importlib.import_module(f"faults.workers.{path.stem}") for path in sorted(HERE.glob("faults_*.py"))]
    return {value.name: value for module in modules for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, WorkerFault) and value.name
            and value.__module__ == module.__name__}


def play(fault_class, options, kafka, folder):
    fault = fault_class(options)
    stage = Stage(kafka, folder / fault.name, fault)
    verdict = None
    try:
        verdict = fault.run(stage)
    except (AssertionError, OSError, subprocess.SubprocessError) as problem:
        stage.problems.append(f"{type(problem).__name__}: {problem}"[:2000])
    finally:
        stage.end()
        fault.clean_up(stage)
    return table.Row(fault, verdict, stage.problems, stage.notes)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="./dev faults workers")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=20, help="how often a worker is killed (20)")
    parser.add_argument("--quick", action="store_true", help="two seeds, shorter")
    parser.add_argument("--list", action="store_true", help="the names of the faults")
    parser.add_argument("--write", action="store_true", help="the table into docs/reliability.md")
    parser.add_argument("--prove", action="store_true", help="plant bugs; each must be caught (NAMEs are plants)")
    options = parser.parse_args(arguments)
    faults = all_faults()
    if options.prove:
        return prove_all(faults, options)
    if options.list:
        for name, fault in faults.items():
            print(f"{name:24} {fault.title}")
        return 0
    unknown = [n for n in options.names if n not in faults]
    if unknown:
        parser.error(f"no such fault: {', '.join(unknown)}; --list names them")
    print(f"programs: {ferry.BIN}", file=sys.stderr)
    jars()
    rows = run([faults[n] for n in options.names or faults], options)
    print(table.text(rows))
    if options.write:
        table.write(rows)
    return 1 if any(row.problems for row in rows) else 0


def run(chosen, options):
    folder = BUILD / "faults-workers"
    shutil.rmtree(folder, ignore_errors=True)
    rows = []
    kafka = Cluster(folder / "kafka", brokers=1).start()
    try:
        for fault in chosen:
            print(f"{time.strftime('%H:%M:%S')} {fault.name} …", file=sys.stderr, flush=True)
            rows.append(play(fault, options, kafka, folder))
            print(rows[-1].line(), file=sys.stderr, flush=True)
    finally:
        kafka.stop()
    return rows


def prove_all(faults, options):
    from faults.workers import prove
    options.quick = True

    def play_with(name, programs):
        ferry.BIN = programs
        return run([faults[name]], options)[0].problems

    missed = prove.prove(options.names, play_with)
    print(f"{len(options.names or prove.plants()) - missed} passed, {missed} failed")
    return 1 if missed else 0


if __name__ == "__main__":
    process.stop_all_on_sigterm()
    sys.exit(main())
