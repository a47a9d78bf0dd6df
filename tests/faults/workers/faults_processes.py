"""Workers that end, freeze, come and go while events flow."""
import random
import signal
import time

from faults.workers.fault import WorkerFault


class Killed(WorkerFault):
    name = "killed"
    title = "kill −9 of a worker at a random moment, started again; many times"

    def play(self, stage):
        rounds = self.seeds
        dice = random.Random(1)
        stage.sink.behave = lambda _body: time.sleep(0.005)
        worker = stage.start()
        with stage.flowing(self.rate, rounds * 3.0):
            for _ in range(rounds):
                time.sleep(dice.uniform(0.5, 2.0))
                stage.kill(worker)
                self.kills += 1
                worker = stage.launch()
        stage.notes.append(f"{self.kills} kills, at most {self.concurrency} in flight each")


class Scaled(WorkerFault):
    name = "scaled"
    title = "1 → 4 → 1 workers, one more or less every 5 s, under load"
    steps = (1, 1, 1, -1, -1, -1)

    def play(self, stage):
        seconds = 35 if self.quick else 180
        stage.start()
        with stage.flowing(self.rate, seconds):
            end, at = time.monotonic() + seconds - 5, 0
            while time.monotonic() < end:
                time.sleep(5)
                if self.steps[at % len(self.steps)] > 0:
                    stage.launch()
                else:
                    stage.leave(stage.workers[0])  # the oldest: its partitions move
                at += 1
        stage.notes.append(f"{at} workers came or left in {seconds} s; repeats allowed: 0")


class Frozen(WorkerFault):
    name = "frozen"
    title = "SIGSTOP of one of two workers beyond the session timeout, then SIGCONT"

    def play(self, stage):
        first = stage.start()
        stage.start()
        with stage.flowing(self.rate, 8 if self.quick else 40):
            for _ in range(1 if self.quick else 3):
                time.sleep(2)
                first.signal(signal.SIGSTOP)
                self.kills += 1
                time.sleep(9)  # the session timeout is 6 s
                first.signal(signal.SIGCONT)
        stage.notes.append(f"{self.kills} times; may repeat what was in flight")
