"""An upgrade and the way back: workers of two versions in one group, on the same topics."""
import collections
import threading
import time

from faults.workers.fault import WorkerFault
from support import earlier
from support.http import Answer


class Upgraded(WorkerFault):
    name = "upgraded"
    title = "three workers replaced one by one by this version, then by the earlier one again, under load"
    rate = 40
    events = ("app.updated", "app.deleted")
    retry = {"first": "300ms", "max": "2s", "for": "1h", "in_lane": "1ms"}  # what fails once waits in the retry topic
    workers = 3

    def config(self, stage):
        return {"worker": {"retry": self.retry}}

    def play(self, stage):
        """One event in ten is refused twice, so that each version finds entries, and marks, of the other."""
        calls, lock = collections.Counter(), threading.Lock()

        def busy(body):
            with lock:
                calls[body["id"]] += 1
                return Answer(503) if body["n"] % 10 == 3 and calls[body["id"]] < 3 else None

        stage.sink.behave = busy
        old, pause = earlier.programs(), 2 if self.quick else 6
        stage.bin = old
        stage.start(self.workers)
        self.ended = threading.Event()
        sender = threading.Thread(target=self.flow, args=(stage,))
        sender.start()
        try:
            for version in (None, old):
                stage.bin = version
                for _ in range(self.workers):
                    time.sleep(pause)
                    stage.leave(stage.workers[0])
                    stage.launch().wait_ready(60)
                time.sleep(pause)
                self.repeat_some(stage)
        finally:
            self.ended.set()
            sender.join()
        stage.notes.append(f"{2 * self.workers} workers replaced; {sum(c > 1 for c in calls.values())} events waited in the "
                           "retry topic; repeats allowed: 0")

    def flow(self, stage):
        while not self.ended.is_set():
            stage.flow(self.rate, 1.0)

    def repeat_some(self, stage):
        """The same records once more: whoever owns them now knows what the other version did."""
        for sent in [p for p in stage.published if not p.key.startswith("warm-")][:50]:
            stage.produce_again(sent)
