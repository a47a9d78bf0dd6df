"""kill −9 of the bridge at every crash point (core/crash_point.h).

A round plays all points side by side, each with a bridge, topics and a spool of its own: Kafka freezes, so that requests go
to the spool; it wakes, so that the spool is fed. A bridge that ends at its point is started again, at which moment its
senders go on. What is asked for is the n-th passing, n by the seed."""
import random
import re
import signal
import time

from faults import oracle, scene as scenes
from faults.load import Load
from faults.scene import Fault
from support.ferry import ROOT

STOPPING = ("stop-",)       # passed when the bridge is told to end
STARTING = ("start-",)      # passed when a bridge finds rows
# How often a place is passed in a round, at least, by the beginning of its name: the longest that fits counts.
MOST = {"publish-": 120, "publish-give-up": 2, "report-": 20, "spool-": 20, "spool-queued": 40, "feed-": 2,
        "feed-between-rows": 30, "start-": 1, "stop-": 1}


def points():
    """The names in the source, so that none is forgotten. Those of the audits are played by test_65_audits.py: webhooks
    do not pass them."""
    names = []
    for path in sorted((ROOT / "bridge").glob("*.c")):
        names += re.findall(r'FERRY_CRASH_POINT\("([a-z-]+)"\)', path.read_text())
    return [name for name in names if not name.startswith("audits-")]


def passing(name, seed):
    most = MOST[max((prefix for prefix in MOST if name.startswith(prefix)), key=len)]
    return random.Random(f"{name} {seed}").randint(1, most)


class Player:
    """One bridge that is to end at a place."""

    def __init__(self, kafka, folder, fault, name, seed):
        self.name, self.seed = name, seed
        self.scene = scenes.Scene(kafka, folder, fault)
        self.wish = f"{name}:{passing(name, seed)}"
        self.ended = self.failed = False

    def start(self):
        scene = self.scene
        early = {} if self.name.startswith(STARTING) else {"FERRY_CRASH_POINT": self.wish}
        scene.start(ready=False, **early)
        return self

    def send(self, fault):
        self.scene.load = Load(self.scene.bridge.port, fault.rate, fault.connections, padding=fault.padding).start()

    def tend(self):
        """Start it again when it has ended at its point."""
        bridge = self.scene.bridge
        if self.failed or bridge.running:
            return
        code = bridge.wait(5)
        if code != -signal.SIGKILL or self.ended:
            self.failed = True
            self.scene.problems.append(f"{self.wish}: ended with {code}:\n{bridge.text()[-1000:]}")
            return
        self.ended = True
        self.scene.start(ready=False, FERRY_CRASH_POINT="")

    def restart_for(self):
        """The points of starting and stopping are passed on request."""
        if self.name.startswith(STOPPING) and not self.ended:
            self.scene.bridge.signal(signal.SIGTERM)
        elif self.name.startswith(STARTING) and not self.ended:
            self.scene.bridge.kill()
            self.scene.start(ready=False, FERRY_CRASH_POINT=self.wish)


class CrashPoints(Fault):
    name = "crash-points"
    title = "kill −9 of the bridge at every crash point"
    rate, connections = 15, 2
    config = {"bridge": {"ack_timeout": "150ms"}}
    repeats_allowed = 1.0   # a crash repeats what was handed over: marked
    heal_limit = 60
    at_once, at_once_quick = 24, 40

    def play(self, scene):
        """Several rounds; the verdicts are added up."""
        jobs = [(name, seed) for seed in range(2 if self.options.quick else self.options.seeds) for name in points()]
        total = oracle.Verdict()
        while jobs:
            most = self.at_once_quick if self.options.quick else self.at_once
            batch, jobs = jobs[:most], jobs[most:]
            self.round(scene, batch, total)
        return total

    def round(self, scene, batch, total):
        players = [Player(scene.kafka, scene.folder / f"{name}-{seed}", self, name, seed) for name, seed in batch]
        try:
            self.act(scene.kafka, players)
            for player in players:
                self.add(scene, player, total)
        finally:
            for player in players:
                player.scene.end()
            scene.kafka.resume()
            names = [t for p in players for t in p.scene.kafka.topics() if t.startswith(p.scene.prefix + ".")]
            for future in scene.kafka.admin().delete_topics(names).values():
                future.result(30)

    def act(self, kafka, players):
        for player in players:
            player.start()
        for player in players:
            if not player.ended and player.scene.bridge.running:
                player.scene.bridge.wait_for(lambda p=player: p.scene.bridge.health("/readyz") == 200, 40)
        for player in players:
            player.send(self)
        self.tend(players, 1.5)
        kafka.pause()
        self.tend(players, 1.5)
        for player in players:
            player.restart_for()
        self.tend(players, 1.0)
        kafka.resume()
        self.tend(players, 3.0)
        self.tend(players, 30.0, lambda: all(p.ended and p.scene.is_quiet() for p in players))

    @staticmethod
    def tend(players, seconds, enough=lambda: False):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not enough():
            for player in players:
                player.tend()
            time.sleep(0.05)

    def add(self, scene, player, total):
        own = player.scene
        own.finish(60)
        if not player.ended:
            scene.problems.append(f"{player.wish} was never passed")
        verdict = own.judge(self)
        scene.problems += [f"{player.wish}: {p}" for p in own.problems]
        total.events += verdict.events
        total.acknowledged += verdict.acknowledged
        total.repeats += verdict.repeats
        total.needless += verdict.needless
        total.statuses += verdict.statuses
        for name in ("lost", "altered", "unmarked", "breaks"):
            setattr(total, name, getattr(total, name) + getattr(verdict, name))
        total.longest = max(total.longest, verdict.longest)
        total.p999 = max(total.p999, verdict.p999)
