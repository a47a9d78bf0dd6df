"""kill −9 of a worker at every crash point (core/crash_point.h): around calls, marks, dead letters and the retry topic."""
import random
import re
import signal
import threading
import time

from faults.workers.fault import WorkerFault
from support.ferry import ROOT
from support.http import Answer
from support.process import Timeout, until

# How often a place is passed in a moment, at least, by the beginning of its name.
MOST = {"call-": 20, "mark-": 20, "letter-": 3, "note-": 4, "settled": 20}


def points():
    """The names in the source, so that none is forgotten."""
    return [name for path in sorted((ROOT / "consumers").glob("*.c"))
            for name in re.findall(r'FERRY_CRASH_POINT\("([a-z-]+)"\)', path.read_text())]


def passing(name, seed):
    most = next(m for prefix, m in MOST.items() if name.startswith(prefix))
    return random.Random(f"{name} {seed}").randint(1, most)


class CrashPoints(WorkerFault):
    name = "crash-points"
    title = "kill −9 of a worker at each crash point, started again at once"
    dead_letters = True
    rate = 80
    finish_limit = 120.0

    def config(self, stage):
        """A member with a name of its own is back at once; what fails goes to the retry topic without delay."""
        return {"kafka": {"group.instance.id": "the-one"}, "worker": {"retry": {"in_lane": "1ms"}}}

    def play(self, stage):
        self.failed_once, self.over, self.passed = set(), threading.Event(), 0
        stage.sink.behave = self.answer
        stage.start()
        flow = threading.Thread(target=self.keep_sending, args=(stage,))
        flow.start()
        try:
            stage.kill(stage.workers[0])
            for seed in range(self.seeds):
                for name in points():
                    self.end_at(stage, f"{name}:{passing(name, seed)}")
        finally:
            self.over.set()
            flow.join()
        stage.start()
        stage.notes.append(f"{self.kills} kills, {self.passed} of them at one of {len(points())} points")

    def answer(self, body):
        if body["n"] % 10 == 3:
            return Answer(400)
        # Some keys only: under a steady stream a lane that fails again and again stays in the retry topic.
        if body["key"].endswith(("0", "5")) and body["n"] % 5 == 1 and body["id"] not in self.failed_once:
            self.failed_once.add(body["id"])
            return Answer(503)
        return None

    def keep_sending(self, stage):
        while not self.over.is_set():
            stage.flow(self.rate, 0.5)

    def end_at(self, stage, wish):
        """A place that is not passed in time (all lanes may be in the retry topic) is a kill at any moment."""
        worker = stage.launch(FERRY_CRASH_POINT=wish)
        try:
            until(lambda: not worker.running, 15)
            self.passed += 1
            if worker.process.returncode != -signal.SIGKILL:
                stage.problems.append(f"{wish}: ended with {worker.process.returncode}:\n{worker.text()[-1000:]}")
        except Timeout:
            pass
        self.kills += 1
        stage.kill(worker)

    def check(self, stage, verdict):
        return [] if self.passed >= self.kills / 2 else [f"only {self.passed} places were passed"]


class CleanLeave(WorkerFault):
    name = "clean-leave"
    title = "SIGTERM of a worker in full flow, another at once; many times"

    def play(self, stage):
        rounds = max(3, self.seeds)
        stage.start()
        with stage.flowing(self.rate, rounds * 3.0):
            for _ in range(rounds):
                time.sleep(1.5)
                stage.leave(stage.workers[0])
                stage.launch()
        stage.notes.append(f"{rounds} times; repeats allowed: 0")
