"""What an operator of Kafka can do to a topic."""
import time

from confluent_kafka import admin

from faults.faults_brokers import BrokerFault
from faults.scene import Fault
from support.process import until


class Recreated(Fault):
    name = "recreated"
    title = "topic deleted, created again 5 s later"
    hold = 5.0

    def inject(self, scene):
        self.at = time.monotonic()
        for future in scene.kafka.admin().delete_topics(scene.topics[:1]).values():
            future.result(30)

    def mend(self, scene):
        scene.kafka.make_topics(scene.topics[0])

    def forgives(self, sent):
        """Kafka had it, and was told to forget it."""
        return sent.event == "app.created" and sent.at < self.at + 1


class Forbidden(Fault):
    name = "forbidden"
    title = "the right to write a topic taken away, given back 8 s later"

    def inject(self, scene):
        scene.kafka.forbid_writing(scene.topics[0])

    def mend(self, scene):
        scene.kafka.allow_writing(scene.topics[0])

    def clean_up(self, scene):
        self.mend(scene)


class Leaderless(BrokerFault):
    name = "leaderless"
    title = "a topic without a leader (its one replica is away)"

    def prepare(self, scene):
        """One topic lives on the second broker alone."""
        for future in scene.kafka.admin().delete_topics(scene.topics[:1]).values():
            future.result(30)
        until(lambda: scene.topics[0] not in scene.kafka.topics(), 20, "topic gone")
        made = scene.kafka.admin().create_topics([admin.NewTopic(
            scene.topics[0], 1, replica_assignment=[[2]], config={"min.insync.replicas": "1"})])
        for future in made.values():
            future.result(30)

    def victims(self, scene):
        return scene.kafka.brokers[1:2]


class TooFewInSync(BrokerFault):
    name = "isr-too-small"
    title = "fewer in-sync replicas than `min.insync.replicas`"
    topic_config = {"min.insync.replicas": "3"}

    def victims(self, scene):
        return scene.kafka.brokers[2:]


class TooLarge(Fault):
    name = "too-large"
    title = "events too large for the topic, spooled while Kafka was away"
    rate = 100
    before = 6.0    # a few are refused at once, 413
    topic_config = {"max.message.bytes": "20000"}

    def padding(self, number):
        return 40000 if number % 40 == 20 else 100

    def inject(self, scene):
        scene.kafka.pause()

    def mend(self, scene):
        scene.kafka.resume()

    def check(self, scene, verdict):
        large = {s.id for s in scene.load.sent if s.padding > 20000}
        answers = {s.status for s in scene.load.sent if s.id in large}
        found = [] if {202, 413} <= answers <= {202, 413} else [f"large events were answered {answers}, not 413, or 202"]
        if verdict.aside == 0:
            found.append("nothing was set aside")
        if verdict.aside > len(large):
            found.append(f"{verdict.aside} were set aside, but only {len(large)} were too large")
        if {s.status for s in scene.load.sent if s.id not in large} - {202, 204}:
            found.append("small events were refused")
        return found

    def clean_up(self, scene):
        scene.kafka.revive()
