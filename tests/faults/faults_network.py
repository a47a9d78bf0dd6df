"""The network between the bridge and Kafka."""
from faults import machine
from faults.scene import Fault


class NetworkFault(Fault):
    needs = ("namespace",)
    percent = 100

    def ports(self, scene):
        return [b.port for b in scene.kafka.brokers]

    def inject(self, scene):
        machine.drop(self.ports(scene), self.percent)

    def mend(self, scene):
        machine.heal()

    def clean_up(self, scene):
        machine.heal()


class Parted(NetworkFault):
    name = "parted"
    title = "the bridge parted from all brokers"
    hold = 20.0


class OneParted(NetworkFault):
    name = "one-parted"
    title = "the bridge parted from one leader, which stays leader"
    hold = 15.0

    def ports(self, scene):
        return [scene.kafka.leader(scene.topics[0]).port]


class PacketLoss(NetworkFault):
    name = "packet-loss"
    title = "10 % of the packets lost"
    hold = 20.0
    percent = 10
