"""Kafka fails the worker."""
import time

from faults.cluster import BRIDGE
from faults.workers.fault import WorkerFault
from support.http import Answer


class BrokerDown(WorkerFault):
    name = "broker-down"
    title = "the broker is killed while events go to the retry topic and come from it, back 8 s later"

    def config(self, stage):
        return {"worker": {"retry": {"in_lane": "1ms"}}}

    def play(self, stage):
        self.over = False
        stage.sink.behave = lambda body: Answer(503) if not self.over and body["n"] % 3 == 1 else None
        stage.start()
        stage.flow(self.rate, 3)
        broker = stage.kafka.brokers[0]
        broker.kill()
        self.kills = 1  # what took effect could not be marked
        time.sleep(3 if self.quick else 8)
        self.over = True
        broker.start()
        broker.wait()
        stage.flow(self.rate, 3)


class DlqForbidden(WorkerFault):
    name = "dlq-forbidden"
    title = "the right to write the DLQ taken away, given back 8 s later"
    dead_letters = True
    user = BRIDGE

    def play(self, stage):
        stage.sink.behave = lambda body: Answer(400) if body["n"] % 5 == 2 else None
        stage.start()
        stage.flow(self.rate, 2)
        stage.kafka.forbid_writing(stage.dlq)
        with stage.flowing(self.rate, 6):
            time.sleep(3 if self.quick else 8)
            before = len(stage.dead())
            time.sleep(1)
            if len(stage.dead()) != before:
                stage.problems.append("the right was not taken away")
            self.clean_up(stage)

    def clean_up(self, stage):
        stage.kafka.allow_writing(stage.dlq)

    def check(self, stage, verdict):
        wanted = sum(p.number % 5 == 2 for p in stage.published)
        return [] if verdict.dead == wanted else [f"{verdict.dead} dead letters, {wanted} wanted"]
