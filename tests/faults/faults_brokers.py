"""Brokers die, freeze and come back."""
import contextlib
import shutil

from faults import machine
from faults.scene import Fault
from support.process import until


class BrokerFault(Fault):
    """Brokers are killed, and started again."""

    def victims(self, scene):
        return [scene.kafka.leader(scene.topics[0])]

    def inject(self, scene):
        for broker in self.victims(scene):
            broker.kill()

    def mend(self, scene):
        scene.kafka.revive()  # the cause is gone when they are up again

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


class BrokerDiskFull(Fault):
    name = "broker-disk-full"
    title = "a broker's disk full: it ends; then room, and started again"
    needs = ("namespace",)
    hold = 12.0

    def prepare(self, scene):
        """The third broker moves to a small disk, and catches up."""
        broker = scene.kafka.brokers[2]
        broker.stop()
        self.data = broker.folder / "data"
        shutil.rmtree(self.data)
        machine.mount(self.data, 400)
        broker.start()
        broker.wait()
        until(lambda: scene.kafka.whole(scene.topics), 60, "the third broker in sync")

    def inject(self, scene):
        self.filler = self.data / "filler"
        with self.filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))

    def mend(self, scene):
        self.filler.unlink()
        scene.kafka.revive()

    def check(self, scene, verdict):
        log = (self.data.parent / "log").read_text(errors="replace")
        noticed = "No space left on device" in log or "java.lang.InternalError" in log  # of a mapped index
        return [] if noticed else ["the broker did not notice that its disk is full"]

    def clean_up(self, scene):
        broker = scene.kafka.brokers[2]
        broker.stop()
        machine.unmount(self.data)
        shutil.rmtree(self.data, ignore_errors=True)
        scene.kafka.revive()
