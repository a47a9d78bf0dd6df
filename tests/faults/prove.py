"""./dev faults --prove [PLANT…]: do the tests see what they are for?

Each file in plants/ is a patch that plants one bug; its first line says which. It is applied to a copy of the tree, the
unit tests of order, spool and producer are built and run, and at least one must fail. And a disk whose fsync does nothing
(shim.PRETEND, as eatmydata does) must cost acknowledged events when the power is lost."""
import pathlib
import re
import shutil
import subprocess

from faults import faults_disk, scene as scenes
from faults.cluster import Cluster
from faults.shim import PRETEND
from support.ferry import ROOT
from support.kafka import BUILD

PLANTS = pathlib.Path(__file__).parent / "plants"
FOLDER = BUILD / "faults-prove"
CHECKS = ("test_spool", "test_order", "test_producer_outage")
LIMIT = 150


class PowerLossWithoutFsync(faults_disk.PowerLoss):
    fsync_mode = PRETEND


def run(*arguments, cwd=None, limit=900, **options):
    return subprocess.run([str(a) for a in arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=limit,
                          **options)


def copy_tree(tree):
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for name in run("git", "ls-files", "-z", cwd=ROOT).stdout.split("\0"):
        source = ROOT / name
        if name and source.is_file() and name.split("/")[0] not in ("docs", "docker"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, tree / name)


def build(tree):
    """None, or what the compiler said."""
    done = run("ninja", "-C", tree / "build", "-j2", *CHECKS)
    return None if done.returncode == 0 else done.stdout[-2000:]


def failed_tests(tree):
    """The names of the tests that failed, ended in a crash, or did not end."""
    failed = []
    for check in CHECKS:
        try:
            done = run(tree / "build" / "bin" / check, cwd=tree, limit=LIMIT)
        except subprocess.TimeoutExpired:
            failed.append(f"{check}: did not end")
            continue
        names = re.findall(r"^\[  (?:FAILED|ERROR ) +\] (?!\d+ test|---)(\w+)", done.stdout + done.stderr, re.M)
        failed += sorted({f"{check}: {n}" for n in names}) or ([f"{check}: crashed"] if done.returncode else [])
        if failed:
            break  # one that sees it is enough
    return failed


def prove_plant(tree, plant):
    patch = PLANTS / f"{plant}.patch"
    applied = run("patch", "-p1", "--no-backup-if-mismatch", "-i", patch, cwd=tree)
    if applied.returncode:
        run("patch", "-p1", "-R", "-f", "-i", patch, cwd=tree)
        return None, f"does not apply any more: {applied.stdout}"
    try:
        problem = build(tree)
        return (None, f"does not compile: {problem}") if problem else (failed_tests(tree), None)
    finally:
        run("patch", "-p1", "-R", "--no-backup-if-mismatch", "-i", patch, cwd=tree)


def prove_power_loss(options):
    kafka = Cluster(FOLDER / "kafka").start()
    try:
        fault = PowerLossWithoutFsync(options)
        scene = scenes.Scene(kafka, FOLDER / "power-loss", fault)
        try:
            fault.prepare(scene)
            verdict = fault.play(scene)
            return [f"power-loss: {len(verdict.lost)} acknowledged events lost"] if verdict.lost else []
        finally:
            scene.end()
            fault.clean_up(scene)
    finally:
        kafka.stop()


def tell(name, result, missed):
    caught, problem = result
    if not caught:
        missed.append(name)
    print(f"{name:34} {problem or ', '.join(caught) or 'NOT CAUGHT'}", flush=True)


def main(options):
    plants = options.names or sorted(p.stem for p in PLANTS.glob("*.patch"))
    tree, missed = FOLDER / "tree", []
    if not options.names:
        tell("no fsync, and the power is lost", (prove_power_loss(options), None), missed)
    copy_tree(tree)
    run("cmake", "-S", tree, "-B", tree / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug")
    sound = build(tree)
    assert sound is None, sound
    before = failed_tests(tree)
    assert not before, f"without a plant these fail already: {before}"
    for plant in plants:
        tell(plant, prove_plant(tree, plant), missed)
    print(f"{len(plants) + (not options.names) - len(missed)} passed, {len(missed)} failed")
    shutil.rmtree(tree, ignore_errors=True)
    return 1 if missed else 0
