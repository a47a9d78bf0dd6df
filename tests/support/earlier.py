"""A build of an earlier version, from the project's own history, for tests of an upgrade and of the way back."""
import fcntl
import os
import shutil
import subprocess

from support.kafka import BUILD, ROOT

# The last version before what is stored in Kafka said which format it has.
EARLIER = "304b90de9ca1"
PROGRAMS = ("ferry", "ferry-bridge", "ferry-slack", "ferry-mail", "ferry-automation")


def programs(version=None):
    """The folder with the programs of `version` (a commit; FERRY_EARLIER names another); they are built once."""
    version = version or os.environ.get("FERRY_EARLIER", EARLIER)
    commit = subprocess.run(["git", "rev-parse", "--verify", f"{version}^{{commit}}"], cwd=ROOT, capture_output=True, text=True,
                            check=False).stdout.strip()
    assert commit, f"the history has no {version}: this needs the whole repository, not an export of it"
    folder = BUILD / "earlier" / commit[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "built").exists():
            build(commit, folder)
            (folder / "built").touch()
    return folder / "build" / "bin"


def build(commit, folder):
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
    subprocess.run(["cmake", "-S", tree, "-B", folder / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"], check=True,
                   capture_output=True)
    done = subprocess.run(["ninja", "-C", folder / "build", *PROGRAMS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
