"""What keeps an intruder small: how the programs are built, what their units allow, where secrets are."""
import contextlib
import os
import pathlib
import re
import resource
import signal
import subprocess

import pytest

from conftest import WEBHOOK
from support import elf
from support.ferry import ROOT, event
from support.process import until
from support.release import build

PROGRAMS = ["ferry-bridge", "ferry-slack", "ferry-mail", "ferry-automation", "ferry"]
MOST_EXPOSURE = 1.5


# ------------------------------------------------------------------------------------------------ the build


@pytest.fixture(scope="module")
def release():
    """The folder of the release build's programs, as ./dev build makes it."""
    return build()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_release_binary_is_hardened(release, program):
    properties, fortified = elf.hardening(release / program)
    assert all(properties.values()), properties
    assert {"__snprintf_chk", "__fprintf_chk"} & set(fortified), fortified


def test_a_program_without_hardening_is_told_apart(tmp_path):
    source = tmp_path / "plain.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-no-pie", "-fno-stack-protector", "-Wl,-z,norelro,-z,lazy,-z,execstack,-rpath,/tmp", source, "-o",
                    tmp_path / "plain"], check=True, capture_output=True)
    properties, fortified = elf.hardening(tmp_path / "plain")
    assert not any(properties[p] for p in properties if p != "no segment both writable and executable") and not fortified


# ------------------------------------------------------------------------------------------------ the units


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """The units as an installation has them."""
    folder = tmp_path_factory.mktemp("units")
    for source in sorted((ROOT / "dist" / "systemd").glob("*.in")):
        text = re.sub(r"@CMAKE_INSTALL_FULL_(\w+)@", lambda m: {"BINDIR": "/usr/bin", "DOCDIR": "/usr/share/doc/ferry"}[m[1]],
                      source.read_text())
        name = source.name.removesuffix(".in")
        for instance in ("slack", "mail", "automation") if "@" in name else ("",):
            (folder / name.replace("@", f"@{instance}" if instance else "@")).write_text(text)
    return folder


def unit_settings(path):
    """name → the values of all its lines."""
    lists = {}
    for line in path.read_text().splitlines():
        name, found, value = line.partition("=")
        if found and re.fullmatch(r"[A-Z]\w+", name):
            lists.setdefault(name, []).append(value)
    return lists


@pytest.mark.parametrize("unit", ["ferry-bridge", "ferry-worker@slack", "ferry-worker@mail", "ferry-worker@automation"])
def test_a_unit_exposes_little(units, unit):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", units / f"{unit}.service"],
                          capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
    overall = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert overall and float(overall[1]) <= MOST_EXPOSURE, done.stdout + done.stderr


def test_a_unit_names_only_what_systemd_knows(units):
    """systemd-analyze verify is content but for the programs, which are not installed here."""
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *sorted(units.glob("*.service"))], capture_output=True,
                          text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "/dist/" in line or "ferry-" in line]
    assert not [c for c in complaints if "is not executable" not in c and "not exist" not in c], done.stderr


def allowed_calls(filters):
    """The system calls that SystemCallFilter= leaves, its groups expanded by systemd itself."""
    def expand(group):
        text = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True).stdout
        names = set()
        for word in (line.strip() for line in text.splitlines()[1:]):
            if word and not word.startswith("#"):
                names |= expand(word) if word.startswith("@") else {word}
        return names
    allowed = expand("@default")
    for value in filters:
        named = value.lstrip("~").split()
        groups = set().union(*(expand(name) if name.startswith("@") else {name} for name in named))
        allowed = allowed - groups if value.startswith("~") else allowed | groups
    return allowed | expand("@default")


def test_the_bridge_makes_no_system_call_that_its_unit_forbids(units, make, settings, tmp_path):
    allowed = allowed_calls(unit_settings(units / "ferry-bridge.service")["SystemCallFilter"])
    ferry = make(settings, {"bridge": {"spool": {"directory": "spool"}, "webhooks": [WEBHOOK]}})
    trace = tmp_path / "trace"
    bridge = ferry.launch("bridge", under=["strace", "-D", "-f", "-qq", "-o", trace])
    bridge.wait_ready()
    assert bridge.post(event()).status == 204
    bridge.signal(signal.SIGHUP)
    until(lambda: "configuration reloaded" in bridge.text(), 20)
    bridge.stop()
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(errors="replace"), re.M))
    made -= {"fchown"}  # SQLite's, when it is root
    assert len(made) > 30 and made <= allowed, made - allowed


def test_every_thread_waits_its_turn_when_it_is_woken(make, settings):
    """sched(7), SCHED_BATCH: what makes batches grow where cores are busy. The units' filter lets the call through."""
    bridge = make(settings, {"bridge": {"webhooks": [WEBHOOK]}}).start("bridge")
    tasks = [int(task.name) for task in pathlib.Path(f"/proc/{bridge.pid}/task").iterdir()]
    assert len(tasks) > 3 and {os.sched_getscheduler(task) for task in tasks} == {os.SCHED_BATCH}


# ---------------------------------------------------------------------------------------------- the secrets


OLD, NEW = (f"the-{word}-secret-that-must-not-be-found-{os.urandom(8).hex()}" for word in ("old", "new"))


@pytest.fixture
def secretive(make, settings):
    """A bridge whose secret comes from a file, and was another one until a reload."""
    ferry = make(settings, {"bridge": {"webhooks": [{**WEBHOOK, "secrets": [{"file": "secret"}]}]}})
    (ferry.folder / "secret").write_text(OLD + "\n")
    bridge = ferry.start("bridge")
    assert bridge.post(event(), secret=OLD).status == 204
    (ferry.folder / "secret").write_text(NEW + "\n")
    bridge.signal(signal.SIGHUP)
    until(lambda: bridge.post(event(), secret=NEW).status == 204, 20, "the new secret")
    until(lambda: bridge.post(event(), secret=OLD).status == 401, 5, "the old one is no more")
    return bridge


def dumpable_memory(pid):
    """What a core dump would hold: every mapping but those that are marked "do not dump"."""
    smaps = pathlib.Path(f"/proc/{pid}/smaps").read_text()
    mappings = re.findall(r"^(\w+)-(\w+) r(?:.*\n(?!\w+-))*?VmFlags:(.*)$", smaps, re.M)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for begin, end, flags in ((int(b, 16), int(e, 16), f.split()) for b, e, f in mappings):
            if not {"dd", "io"} & set(flags):
                with contextlib.suppress(OSError, ValueError, OverflowError):  # the kernel's own pages
                    memory.seek(begin)
                    yield memory.read(end - begin)


def test_a_core_holds_neither_the_old_secret_nor_the_new_one(secretive):
    if os.geteuid() != 0:
        with pytest.raises(PermissionError):  # not even the same user may look
            list(dumpable_memory(secretive.pid))
        return
    dump = b"".join(dumpable_memory(secretive.pid))
    assert b"/webhooks/qlik" in dump, "the heap is in it"
    found = [name for name, secret in (("old", OLD), ("new", NEW)) if secret.encode() in dump]
    assert not found, "a core would show them"


def test_an_abort_leaves_no_core_even_where_the_limit_allows_one(secretive):
    assert resource.prlimit(secretive.pid, resource.RLIMIT_CORE) == (0, 0)
    with contextlib.suppress(PermissionError):  # takes CAP_SYS_RESOURCE
        resource.prlimit(secretive.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    before = set(secretive.folder.iterdir())
    secretive.signal(signal.SIGABRT)
    assert secretive.wait(10) == -signal.SIGABRT
    assert {p.name for p in set(secretive.folder.iterdir()) - before} == set()
