"""What a worker fault is. The runner finds every subclass with a name in the files `faults_*.py` of this folder."""
import time

from faults.workers import judge
from faults.workers.stage import EVENT


class WorkerFault:
    name = title = None
    worker = "automation"
    events = (EVENT,)
    topics = "{event}"
    user = None              # who the worker is at Kafka; None: the administrator
    concurrency = 16
    env = {}
    rate, seconds = 60, 10.0
    finish_limit = 90.0
    dead_letters = False     # some are expected
    p99_limit = None         # seconds, of the keys that nothing is done to
    seeds = 2                # how often, when it is quick; --seeds otherwise
    kills = 0                # so many processes were ended or frozen: each may repeat what it had in flight

    def __init__(self, options):
        self.options = options
        self.quick = options.quick
        if not self.quick:
            self.seeds = options.seeds

    def config(self, stage):
        """Changes to the configuration."""
        return {}

    def play(self, stage):
        """Publishes, breaks, mends; afterwards the runner waits until all is settled."""
        raise NotImplementedError

    def watched(self, published):
        """Is it of a key that nothing was done to?"""
        return True

    def repeats_allowed(self):
        return self.kills * self.concurrency

    def check(self, stage, verdict):
        """Problems beyond the judge's."""
        return []

    def clean_up(self, stage):
        """Always, at the end."""

    def run(self, stage):
        began = time.monotonic()
        self.play(stage)
        stage.finish(self.finish_limit)
        verdict = judge.judge(stage.published, stage.sink.taken, stage.dead(), self.watched)
        stage.problems += self.problems(verdict) + self.check(stage, verdict)
        stage.seconds = time.monotonic() - began
        return verdict

    def problems(self, verdict):
        found = []
        if verdict.missing:
            found.append(f"{len(verdict.missing)} missing: {verdict.missing[:5]}")
        if verdict.repeated > self.repeats_allowed():
            found.append(f"{verdict.repeated} repeated, more than {self.repeats_allowed()}")
        if verdict.breaks:
            found.append(f"{len(verdict.breaks)} order breaks: {verdict.breaks[:5]}")
        if verdict.altered:
            found.append(f"{len(verdict.altered)} dead letters are not what was published: {verdict.altered[:3]}")
        if verdict.dead and not self.dead_letters:
            found.append(f"{verdict.dead} dead letters, none expected")
        if self.p99_limit and (verdict.p99 is None or verdict.p99 > self.p99_limit):
            found.append(f"p99 of the other keys is {verdict.p99} s")
        return found
