"""./dev faults workers --prove [PLANT…]: does the judge see what it is for?

Each file in plants/ is a patch that plants one bug; its first line names the fault that must show it, and says which it is.
It is applied to a copy of the sources, the worker is built from that, and the fault is played: it must fail."""
import pathlib
import shutil
import subprocess

from faults.prove import copy_tree
from support.kafka import BUILD

PLANTS = pathlib.Path(__file__).parent / "plants"


def run(*arguments, cwd, **options):
    done = subprocess.run([str(a) for a in arguments], cwd=cwd, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{arguments}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def plants():
    """name → (fault, what is planted)."""
    firsts = {path.stem: path.read_text().splitlines()[0] for path in sorted(PLANTS.glob("*.patch"))}
    return {name: tuple(first.split(": ", 1)) for name, first in firsts.items()}


def build(tree, name):
    """The programs with that bug; only what differs is compiled anew."""
    patch = (PLANTS / f"{name}.patch").read_text()
    run("patch", "-p1", cwd=tree, input=patch)
    try:
        run("cmake", "--build", "build", "--target", "ferry-automation", cwd=tree)
    finally:
        run("patch", "-p1", "-R", cwd=tree, input=patch)
    return tree / "build" / "bin"


def prove(names, play):
    """`play(fault name)` → the problems; prints a line for each plant. How many were not caught."""
    tree, missed = BUILD / "faults-workers-prove", 0
    copy_tree(tree)
    run("cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DFERRY_TESTS=OFF", cwd=tree)
    for name, (fault, what) in plants().items():
        if names and name not in names:
            continue
        folder = build(tree, name)
        problems = play(fault, folder)
        missed += not problems
        print(f"{'caught' if problems else 'MISSED'}: {what}\n    {fault}: {'; '.join(problems)[:160] or 'nothing was seen'}",
              flush=True)
    shutil.rmtree(tree)
    return missed
