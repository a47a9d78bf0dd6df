"""Destinations that misbehave on command."""
import random
import threading
import time

from faults.workers.fault import WorkerFault
from support.http import Answer

OK_BYTES = len(b"HTTP/1.1 200 Spoiled\r\nContent-Length: 2\r\n\r\nok")


class Storm(WorkerFault):
    name = "storm-429"
    title = "storms of 429 with Retry-After, a third of the time"

    def play(self, stage):
        began = time.monotonic()

        def behave(_body):
            if (time.monotonic() - began) % 3 < 1:
                return Answer(429, "busy", {"Retry-After": "1"})
        stage.sink.behave = behave
        stage.start()
        stage.flow(self.rate, 8 if self.quick else 30)
        stage.finish()
        stage.notes.append(f"{stage.sink.calls} calls for {len(stage.published)} effects")


class Temporary(WorkerFault):
    name = "temporary"
    title = "408, 425, 429, 500–504 at random, half of the answers"

    def play(self, stage):
        dice = random.Random(2)
        stage.sink.behave = lambda _body: (
            Answer(dice.choice((408, 425, 429, 500, 501, 502, 503, 504))) if dice.random() < 0.5 else None)
        stage.start()
        stage.flow(self.rate, 8 if self.quick else 30)


class TemporaryOutside(Temporary):
    name = "retry-topic"
    title = "408, 425, 429, 500–504 at random, what fails waits in the retry topic at once"

    def config(self, stage):
        return {"worker": {"retry": {"in_lane": "1ms"}}}


class Refused(WorkerFault):
    name = "refused"
    title = "400–407, 409–418, 422 for one event in ten: dead letters at once"
    dead_letters = True
    codes = (400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 411, 412, 413, 414, 415, 417, 418, 422)

    def play(self, stage):
        stage.sink.behave = lambda body: Answer(self.codes[body["n"] % len(self.codes)]) if body["n"] % 10 == 3 else None
        stage.start()
        stage.flow(self.rate, 8 if self.quick else 20)

    def check(self, stage, verdict):
        wanted = sum(p.number % 10 == 3 for p in stage.published)
        return [] if verdict.dead == wanted else [f"{verdict.dead} dead letters, {wanted} wanted"]


class Spoiled(WorkerFault):
    name = "spoiled"
    title = "answers that drip, or are reset before, in the head and in the body"

    def play(self, stage):
        counted, lock = {}, threading.Lock()
        kinds = [Answer(503, reset=True), Answer(503, cut=12), Answer(503, cut=30), Answer(503, "later", cut=42),
                 Answer(200, "ok", drip=0.01), Answer(200, "ok", cut=OK_BYTES - 1)]

        def behave(body):
            """Each event is spoiled once, in its own way."""
            with lock:
                counted[body["id"]] = counted.get(body["id"], 0) + 1
            if counted[body["id"]] == 1 and body["n"] % 2:
                return kinds[(body["n"] // 2 + int(body["key"].rpartition("-")[2])) % len(kinds)]
        stage.sink.behave = behave
        stage.start()
        stage.flow(self.rate, 8 if self.quick else 20)
        stage.notes.append("a status that was heard is an outcome, whatever becomes of the rest")


class Hanging(WorkerFault):
    name = "hanging"
    title = "one key's destination never answers; in_doubt: retry"
    p99_limit = 1.0
    finish_limit = 20.0

    def play(self, stage):
        stage.sink.behave = lambda body: Answer(503, hang=True) if body["key"] == "stuck" and not self.over else None
        self.over = False
        stage.start()
        stage.publish("stuck")
        stage.flow(self.rate, 6 if self.quick else 20)
        self.over = True
        stage.finish(40)  # the call is given up after 30 s

    def watched(self, published):
        return published.key != "stuck"


class OneKeyFails(WorkerFault):
    name = "one-key-fails"
    title = "one key fails for ever, 1,000 events of others behind it"
    p99_limit = 1.0

    def play(self, stage):
        self.over = False
        stage.sink.behave = lambda body: Answer(503) if body["key"] == "failing" and not self.over else None
        stage.start()
        for _ in range(10):
            stage.publish("failing", at_once=True)
        time.sleep(1)
        stage.flow(self.rate, 4 if self.quick else 1000 / self.rate)
        self.over = True

    def watched(self, published):
        return published.key != "failing"
