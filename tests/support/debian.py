"""A clean Debian of this machine's release, in a folder, to install a package in.

    with Debian(folder, package) as debian:         holds what the package depends on, and not the package
        debian.run("dpkg", "-i", "/package.deb")
"""
import hashlib
import os
import pathlib
import re
import subprocess

from support.ferry import ROOT
from support.process import Child

CACHE = ROOT / "build" / "debian"
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]
# Of the alternatives that a package names, the one without an init system: there is none in a folder.
WITHOUT_INIT = {"systemd": "systemd-standalone-sysusers"}


def depends(package):
    """The packages that a package file depends on."""
    field = subprocess.run(["dpkg-deb", "-f", package, "Depends"], capture_output=True, text=True, check=True).stdout
    first = [re.match(r"\s*([\w.+-]+)", alternatives)[1] for alternatives in field.split(",")]
    return sorted(WITHOUT_INIT.get(name, name) for name in first)


def _release():
    found = re.search(r"(?m)^VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text())
    return found[1] if found else "bookworm"


def _base(names):
    """A tar file with a minimal Debian and these packages; made once for each set of them."""
    key = hashlib.sha256(" ".join([_release(), *names]).encode()).hexdigest()[:12]
    tar = CACHE / f"{_release()}-{key}.tar"
    if not tar.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = tar.with_suffix(f".{os.getpid()}.tar")
        subprocess.run([*AS_ROOT, "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(names)}",
                        "--aptopt=Acquire::Languages \"none\"",
                        "--customize-hook=rm -rf \"$1\"/usr/share/locale \"$1\"/usr/share/zoneinfo", _release(), fresh],
                       check=True, timeout=300, stdin=subprocess.DEVNULL)
        fresh.rename(tar)
    return tar


class Debian:
    def __init__(self, folder, package):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        subprocess.run([*AS_ROOT, "tar", "-C", self.folder, "-xf", _base(depends(package))], check=True)
        self.bring(package, "package.deb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([*AS_ROOT, "rm", "-rf", self.folder], check=True)

    def path(self, name):
        return self.folder / name.lstrip("/")

    def bring(self, file, name):
        """A file of this machine, in the root folder."""
        subprocess.run([*AS_ROOT, "cp", file, self.path(name)], check=True)

    def read(self, name):
        return subprocess.run([*AS_ROOT, "cat", self.path(name)], capture_output=True, text=True, check=True).stdout

    def write(self, name, text):
        """Over a file that is there: its owner and mode stay."""
        subprocess.run([*AS_ROOT, "tee", self.path(name)], input=text, text=True, stdout=subprocess.DEVNULL, check=True)

    def command(self, *arguments, user=None):
        """A command line that runs inside, as root or as `user` with all its groups; it dies with its parent."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--pdeathsig", "KILL"] if user else []
        return [*AS_ROOT, "chroot", self.folder, *become, *map(str, arguments)]

    def run(self, *arguments, user=None, code=0):
        done = subprocess.run(self.command(*arguments, user=user), capture_output=True, text=True, check=False, timeout=120,
                              env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
                              stdin=subprocess.DEVNULL)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def start(self, *arguments, user, log):
        return Child(self.command(*arguments, user=user), log)

    def files(self):
        """Every name, but for what Debian itself writes down about packages and users."""
        listing = subprocess.run([*AS_ROOT, "find", self.folder, "-printf", "%P\\n"], capture_output=True, text=True, check=True)
        own = re.compile(r"var/(lib/dpkg|lib/apt|cache|log)/|etc/\.pwd\.lock$|.*[-]$|package\.deb$|next\.deb$")
        return {name for name in listing.stdout.splitlines() if not own.match(name)}

    def users(self):
        return {line.split(":")[0] for name in ("passwd", "group") for line in self.read(f"/etc/{name}").splitlines()}


def changed(package, tree, control, files):
    """A copy of a package with other contents: `control` edits its control file, `files` are path → new text. It is
    taken apart into the folder `tree`."""
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    about = tree / "DEBIAN" / "control"
    about.write_text(control(about.read_text()))
    for name, text in files.items():
        (tree / name).write_text(text)
    result = tree.with_suffix(".deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, result], check=True, stdout=subprocess.DEVNULL)
    return result
