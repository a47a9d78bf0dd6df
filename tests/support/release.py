"""What is shipped: the release build, as `./dev build` makes it, and the package of it."""
import fcntl
import functools
import subprocess

from support.ferry import ROOT


def _run(*command, cwd=ROOT):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@functools.cache
def build():
    """The folder of the release build's programs."""
    folder = ROOT / "build"
    with (folder / "release.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _run("cmake", "--preset", "release")
        _run("cmake", "--build", "--preset", "release", "-j2")
    return folder / "release" / "bin"


def package(folder):
    """The Debian package of the release build, made in `folder`."""
    _run("cpack", "-G", "DEB", "-B", folder, cwd=build().parent)
    deb, = folder.glob("*.deb")
    return deb
