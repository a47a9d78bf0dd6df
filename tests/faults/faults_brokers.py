"""Brokers die, freeze and come back."""
from faults.scene import Fault


class BrokerFault(Fault):
    def victims(self, scene):
        return [scene.kafka.leader(scene.topics[0])]

    def inject(self, scene):
        self.hit = self.victims(scene)
        for broker in self.hit:
            broker.kill()

    def mend(self, scene):
        for broker in self.hit:
            broker.start()

    def clean_up(self, scene):
        scene.kafka.revive()


class LeaderKilled(BrokerFault):
    name = "leader-killed"
    title = "kill −9 of a leader, one broker of three gone"
    hold = 15.0
    heals_from = "inject"
    p999_limit = 2.5


class TwoKilled(BrokerFault):
    name = "two-killed"
    title = "kill −9 of two brokers, then back"

    def victims(self, scene):
        return scene.kafka.brokers[:2]


class AllKilled(BrokerFault):
    name = "all-killed"
    title = "kill −9 of all brokers, then back"

    def victims(self, scene):
        return scene.kafka.brokers


class Restarts(Fault):
    name = "restarts"
    title = "every broker restarted, one after the other"
    hold = 0.0

    def inject(self, scene):
        for broker in scene.kafka.brokers:
            broker.stop()
            broker.start()
            broker.wait()
            scene.pause(3)

    def clean_up(self, scene):
        scene.kafka.revive()


class Frozen(Fault):
    name = "frozen"
    title = "SIGSTOP of a leader for 25 s"
    hold = 25.0

    def inject(self, scene):
        self.broker = scene.kafka.leader(scene.topics[0])
        self.broker.pause()

    def mend(self, scene):
        self.broker.resume()

    def clean_up(self, scene):
        scene.kafka.revive()
