"""./dev faults workers [NAME…] [--seeds N] [--quick] [--list] [--write] | --prove [PLANT…]

Plays faults against the workers, prints the table, and fails if an effect is missing, comes more often than what a killed
process had in flight, or out of order in its lane, or if a dead letter is not what was published.
"""
import shutil
import subprocess
import sys
import time

from faults import command
from faults.cluster import Cluster
from faults.workers import table
from faults.workers.fault import WorkerFault
from faults.workers.stage import Stage
from support import ferry, process
from support.kafka import BUILD, jars


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
    parser = command.make_parser("./dev faults workers", "how often a worker is killed (20)", "two seeds, shorter")
    options = parser.parse_args(arguments)
    faults = command.all_faults("faults.workers", WorkerFault)
    if options.prove:
        return prove_all(faults, options)
    if options.list:
        command.print_list(faults)
        return 0
    chosen = command.chosen(parser, faults, options.names)
    print(f"programs: {ferry.BIN}", file=sys.stderr)
    jars()
    rows = run(chosen, options)
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
