"""What a fault is, and the scene it is played in.

A fault is a class in a file `faults_*.py` of this folder; the runner finds it by itself:

    class LeaderKilled(Fault):
        name = "leader-killed"                   # ./dev faults leader-killed
        title = "kill −9 of the leader"          # in the table
        def inject(self, scene): …               # senders are at work: break something
        def mend(self, scene): …                 # `hold` seconds later: make it whole

Everything else is the runner's: it makes the topics, starts the bridge, lets the senders work, waits until the bridge has
healed (answers are 204 and the spool is empty), reads Kafka back and judges. A fault may override any step, and add what
it expects in `check`, which returns problems in words. A fault of quite another shape overrides `play`.
"""
import itertools
import json
import shutil
import time

from faults import oracle
from faults.cluster import BRIDGE
from faults.load import TYPES, Load
from support.ferry import Ferry, merge
from support.process import until

QUIET, STEADY, POLL = 0.5, 2.0, 0.1
_numbers = itertools.count(1)


class Fault:
    name = title = None
    kafka = True            # the cluster is wanted
    needs = ()              # "namespace": nft and tmpfs mounts of our own
    hold = 8.0              # seconds between inject and mend
    before, after = 3.0, 2.0
    heals_from = "mend"     # or "inject": the bridge heals although nobody mends anything
    heal_limit = 30.0
    p999_limit = None       # seconds, where the answers' times are promised
    rate, connections = 500, 16
    repeats_allowed = 0.001  # of what was acknowledged; only with a mark
    config = {}             # changes to the bridge's configuration
    topic_config = {}
    env = {}

    def __init__(self, options):
        self.options = options

    # ------------------------------------------------------------------------------ for a fault to fill in

    def prepare(self, scene):
        """Before the bridge starts."""

    def inject(self, scene):
        raise NotImplementedError

    def mend(self, scene):
        pass

    def padding(self, number):
        return 100

    def forgives(self, sent):
        """An obligation that the fault itself took away."""
        return False

    def check(self, scene, verdict):
        """Problems beyond the oracle's."""
        return []

    def clean_up(self, scene):
        """Always, at the end: the next fault finds a whole cluster."""

    # ------------------------------------------------------------------------------------------- the play

    def play(self, scene):
        scene.start()
        scene.load = scene.senders(self).start()
        scene.pause(self.before)
        scene.injected = time.monotonic()
        self.inject(scene)
        if self.heals_from == "inject":
            scene.wait_healed(scene.injected, self.heal_limit)
            scene.pause(max(0.0, self.hold - (time.monotonic() - scene.injected)))
            self.mend(scene)
        else:
            scene.pause(self.hold)
            self.mend(scene)
            scene.mended = time.monotonic()
            scene.wait_healed(scene.mended, self.heal_limit)
        scene.pause(self.after)
        scene.finish()
        return scene.judge(self)


class Scene:
    def __init__(self, kafka, folder, fault):
        self.kafka, self.folder = kafka, folder
        self.prefix = f"f{next(_numbers)}"
        self.topics = [f"{self.prefix}.{event}" for event in TYPES]
        self.spool = folder / "spool"
        self.load = self.bridge = self.healed = self.injected = self.mended = None
        self.problems = []
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if kafka:
            kafka.make_topics(*self.topics, f"{self.prefix}.other", f"{self.prefix}.quarantine", config=fault.topic_config)
            self.ferry = Ferry(folder / "ferry", merge(self._config(), fault.config),
                               {"KAFKA_PASSWORD": BRIDGE[1], **fault.env})

    def _config(self):
        hook = {"path": "/webhooks/qlik", "format": "qlik", "signature": "qlik", "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}]}
        route = {"name": "routed", "events": list(TYPES), "webhook": {"env": "NOT_ASKED_FOR"}, "text": "x"}
        return {
            "kafka": self.kafka.client(BRIDGE) | {"sasl.password": {"env": "KAFKA_PASSWORD"}},
            "topics": {"name": self.prefix + ".{event}", "internal": self.prefix, "other": f"{self.prefix}.other",
                       "create": "never"},
            "bridge": {"webhooks": [hook], "spool": {"directory": str(self.spool)}},
            "slack": {"routes": [route]},
        }

    # ------------------------------------------------------------------------------------------ the actors

    def start(self, ready=True, **env):
        """The bridge, or the bridge again."""
        self.ferry.env |= env
        self.bridge = self.ferry.launch("bridge")
        if ready:
            self.bridge.wait_ready(40)
            until(self._serves, 30, "204")
        return self.bridge

    def _serves(self):
        return self.bridge.metric("ferry_kafka_up") == 1

    def restart(self, ready=True, **env):
        self.bridge.kill()
        return self.start(ready, **env)

    def senders(self, fault):
        return Load(self.bridge.port, fault.rate, fault.connections, padding=fault.padding)

    def pause(self, seconds):
        """Time passes; a bridge that ends meanwhile is a failure unless a fault ended it."""
        time.sleep(seconds)

    # ----------------------------------------------------------------------------------------- the healing

    def is_quiet(self):
        """Answers are 204 and nothing is in the spool."""
        lately = self.load.statuses(time.monotonic() - QUIET)
        return bool(lately) and set(lately) == {204} and self.bridge.metric("ferry_spool_events") == 0

    def wait_healed(self, since, limit):
        """Until it has been quiet for a while; the last unquiet moment counts."""
        unquiet, end = since, since + max(limit * 2, limit + 30)
        while (now := time.monotonic()) < end:
            if not self.is_quiet():
                unquiet = now
            elif now - unquiet > STEADY:
                self.healed = unquiet - since
                if self.healed > limit:
                    self.problems.append(f"healed in {self.healed:.1f} s, more than {limit:g} s")
                return
            time.sleep(POLL)
        self.problems.append(f"not healed: {dict(self.load.statuses(time.monotonic() - 2))}, "
                             f"{self.bridge.metric('ferry_spool_events'):g} events in the spool")

    def finish(self, limit=60):
        """No more is sent, and the spool drains."""
        self.load.stop()
        until(lambda: self.bridge.metric("ferry_spool_events") == 0, limit, "an empty spool")

    def judge(self, fault):
        aside = oracle.set_aside(self.spool)
        verdict = oracle.judge(self.load.sent, oracle.read_back(self.kafka, self.topics), aside, fault.forgives)
        self.problems += verdict.problems()
        share = verdict.repeats / max(1, verdict.acknowledged)
        if share > fault.repeats_allowed:
            self.problems.append(f"{verdict.repeats} repeats: {share:.2%}")
        if fault.p999_limit and verdict.p999 > fault.p999_limit:
            self.problems.append(f"p99.9 is {verdict.p999:.2f} s, more than {fault.p999_limit:g} s")
        self.problems += fault.check(self, verdict)
        return verdict

    def save(self, verdict):
        """What was seen, for a person who looks for the cause."""
        if self.load:
            rows = [[s.id, s.event, round(s.at, 3), round(s.took, 3), s.status] for s in self.load.sent]
            (self.folder / "sent.json").write_text(json.dumps(rows))

    def end(self):
        if self.load:
            self.load.stop()
        if self.kafka:
            self.ferry.kill()
