"""More than the bridge can take: slow senders, very many of them, reloads without end, memory that runs out."""
import pathlib
import resource
import signal
import time

from faults.scene import Fault
from support.crowd import Crowd
from support.process import until
from support.scarcity import Scarcity

MIB = 1024 * 1024


def allow_files(count):
    """As many open files as the system lets us have, at most `count`; inherited by what is started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))


def peak_bytes(pid):
    """The most memory that a process ever had resident."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


class CrowdFault(Fault):
    """Others hold every connection; honest senders, each with a connection of its own, go on meanwhile."""
    kinds, each = ("headers",), 2500
    hold = 20.0
    p999_limit = 2.5

    def prepare(self, scene):
        allow_files(20_000)

    def inject(self, scene):
        self.crowds = [Crowd(scene.folder, scene.bridge.port, self.each, kind, seconds=90) for kind in self.kinds]
        for crowd in self.crowds:
            crowd.wait_full(40)

    def mend(self, scene):
        self.held = sum(crowd.stop()["opened"] for crowd in self.crowds)
        self.evicted = scene.bridge.metric("ferry_connections_refused_total", reason="evicted")
        self.peak = peak_bytes(scene.bridge.pid)

    def check(self, scene, verdict):
        tried = self.each * len(self.kinds)
        problems = [] if self.held >= tried else [f"only {self.held} of {tried} connections were tried"]
        return problems + ([] if set(verdict.statuses) <= {202, 204} else [f"answers: {dict(verdict.statuses)}"])

    def clean_up(self, scene):
        for crowd in getattr(self, "crowds", ()):
            crowd.kill()


class Slowloris(CrowdFault):
    name = "slowloris"
    title = "5,000 slowloris connections, all of the 4,096 taken"
    kinds = ("headers", "headers")


class SlowEverything(CrowdFault):
    name = "slow-bodies-and-readers"
    title = "1,500 slow bodies, 1,500 readers that do not read"
    kinds, each = ("body", "reader"), 1500


class TenThousand(CrowdFault):
    name = "ten-thousand"
    title = "10,000 connections, the bridge within 64 MiB"
    kinds, each = ("silent", "headers", "silent", "headers"), 2500

    def check(self, scene, verdict):
        problems = [] if self.peak <= 64 * MIB else [f"{self.peak / MIB:.0f} MiB resident at the peak"]
        return super().check(scene, verdict) + problems


class Reloads(Fault):
    name = "reloads"
    title = "1,000 reloads of the configuration and its secrets under load"
    hold = 0.0
    config = {"bridge": {"webhooks": [{"path": "/webhooks/qlik", "format": "qlik", "signature": "qlik", "secrets": [
        {"env": "QLIK_WEBHOOK_SECRET"}, {"file": "changing"}]}]}}

    @property
    def times(self):
        return 100 if self.options.quick else 1000

    def prepare(self, scene):
        (scene.ferry.folder / "changing").write_text("a-secret-that-is-long-enough-for-qlik\n")

    def reload(self, scene, times):
        done = lambda: scene.bridge.text().count('"configuration reloaded"')  # noqa: E731
        for n in range(times):
            before = done()
            (scene.ferry.folder / "changing").write_text(f"a-secret-that-changes-each-time-{n:08}\n")
            scene.bridge.signal(signal.SIGHUP)
            until(lambda: done() > before, 20, f"reload {n}")

    def inject(self, scene):
        files = lambda: len(list(pathlib.Path(f"/proc/{scene.bridge.pid}/fd").iterdir()))  # noqa: E731
        self.reload(scene, 50)  # until the allocator has what it needs
        self.before = files(), peak_bytes(scene.bridge.pid)
        self.reload(scene, self.times)
        self.after_all = files(), peak_bytes(scene.bridge.pid)

    def check(self, scene, verdict):
        (files, memory), (files_now, memory_now) = self.before, self.after_all
        problems = [] if set(verdict.statuses) <= {202, 204} else [f"answers: {dict(verdict.statuses)}"]
        problems += [f"{files} files became {files_now}"] if files_now > files + 4 else []
        return problems + ([f"{memory} bytes became {memory_now}"] if memory_now > memory + 8 * MIB else [])


class NoMemory(Fault):
    name = "no-memory"
    title = "malloc failing at call k = 1, 2, 3, … under load"
    hold = 0.0
    needs = ("shim",)
    repeats_allowed = 0.05  # a 503 for what is in Kafka all the same

    def prepare(self, scene):
        self.scarcity = Scarcity(scene.folder)
        scene.ferry.env |= self.scarcity.env

    def inject(self, scene):
        self.calls = 0
        enough = time.monotonic() + (20 if self.options.quick else 80)  # the senders' events are bounded
        for k in range(1, 2000):
            if time.monotonic() > enough:
                break
            self.scarcity.fail_at(k)
            end = time.monotonic() + 1
            while not self.scarcity.failed and time.monotonic() < end:
                time.sleep(0.005)
            self.calls += self.scarcity.stop()

    def check(self, scene, verdict):
        problems = [] if self.calls > 100 else [f"only {self.calls} allocations failed"]
        strange = set(verdict.statuses) - {202, 204, 500, 503, None, 0}
        return problems + ([f"answers: {dict(verdict.statuses)}"] if strange else [])
