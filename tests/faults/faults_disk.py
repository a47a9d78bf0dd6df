"""The disk of the spool, while Kafka is away (its brokers are stopped), so that every acknowledgement is the disk's."""
import os
import shutil
import subprocess

from faults import machine
from faults.scene import Fault
from faults.shim import FAIL, Shim, lose_power
from support.ferry import BIN


class Outage(Fault):
    """`strike` comes when rows are being written, `heal` before Kafka is back."""
    hold = 6.0

    def strike(self, scene):
        pass

    def heal(self, scene):
        pass

    def inject(self, scene):
        scene.kafka.pause()
        scene.pause(4)
        self.strike(scene)

    def mend(self, scene):
        self.heal(scene)
        scene.kafka.resume()

    def clean_up(self, scene):
        scene.kafka.revive()


class AllFrozen(Outage):
    name = "all-frozen"
    title = "SIGSTOP of all brokers for 10 s"


class SmallDisk(Outage):
    megabytes = 64
    needs = ("namespace",)

    def prepare(self, scene):
        machine.mount(scene.spool, self.megabytes)

    def clean_up(self, scene):
        super().clean_up(scene)
        machine.unmount(scene.spool)


class SpoolDiskFull(SmallDisk):
    name = "spool-disk-full"
    title = "the spool's disk full"
    megabytes = 12

    def padding(self, number):
        return 4000

    def check(self, scene, verdict):
        refused = sorted(s.took for s in scene.load.sent if s.status == 503)
        if not refused:
            return ["nobody was refused: the disk was not full"]
        usual = refused[len(refused) // 2]
        return [] if usual <= 0.05 else [f"503 after {usual * 1000:.0f} ms, more than 50 ms"]


class SpoolLimit(Outage):
    name = "spool-limit"
    title = "the spool at its limit"
    config = {"bridge": {"spool": {"limit": "1MiB"}}}
    check = SpoolDiskFull.check


class BitFlips(Fault):
    """No cluster: tests/unit/bridge/test_spool_damage.c, at every byte."""
    name = "bit-flips"
    title = "a bit flipped at every byte of a small spool"
    kafka = False

    def play(self, scene):
        done = subprocess.run([BIN / "test_spool_damage"], capture_output=True, text=True, check=False, timeout=1200,
                              env={**os.environ, "FERRY_TEST_EVERY_BYTE": "1"})
        print(next((line for line in done.stdout.splitlines() if "places tried" in line), ""), flush=True)
        if done.returncode:
            scene.problems.append(done.stdout + done.stderr)


class ShimFault(Outage):
    needs = ("shim",)
    keep_synced = False

    def prepare(self, scene):
        self.shim = Shim(scene.folder, self.keep_synced)
        scene.ferry.env |= self.shim.env


class FsyncFailsOnce(ShimFault):
    name = "fsync-eio-once"
    title = "fsync of the spool fails once"

    def strike(self, scene):
        self.shim.set(fsync_left=1, fsync_mode=FAIL)

    def check(self, scene, verdict):
        return [] if verdict.statuses[503] else ["the batch whose fsync failed was not refused"]


class FsyncFails(ShimFault):
    name = "fsync-eio"
    title = "every fsync of the spool fails, until the disk is replaced"

    def strike(self, scene):
        self.shim.set(fsync_left=-1, fsync_mode=FAIL)

    def heal(self, scene):
        self.shim.set(fsync_mode=0)

    def check(self, scene, verdict):
        return [] if verdict.statuses[503] else ["nobody was refused"]


class SpoolReadOnly(ShimFault):
    """As a file system that the kernel has remounted after an error: what is open stays open, writing fails."""
    name = "spool-read-only"
    title = "the spool's disk read-only for 6 s"

    def strike(self, scene):
        self.shim.set(read_only=1)

    def heal(self, scene):
        self.shim.set(read_only=0)

    check = FsyncFails.check


class FsyncSlow(ShimFault):
    name = "fsync-slow"
    title = "every fsync of the spool takes 300 ms"

    def strike(self, scene):
        self.shim.set(fsync_delay_ms=300)

    def heal(self, scene):
        self.shim.set(fsync_delay_ms=0)


class PowerLoss(ShimFault):
    """The bridge is killed, and its disk holds what was synced and any pages of the rest (shim.lose_power)."""
    name = "power-loss"
    title = "loss of power while rows are written"
    keep_synced = True
    repeats_allowed = 0.01  # what was on its way at the crash
    rate = 200
    fsync_mode = 0      # of the proof: 2, an fsync that does nothing

    def prepare(self, scene):
        super().prepare(scene)
        self.shim.set(fsync_mode=self.fsync_mode, fsync_left=-1)

    def strike(self, scene):
        scene.bridge.kill()
        lost = lose_power(scene.spool, self.shim.synced, scene.folder.name)
        print(f"  {lost} pages lost", flush=True)
        shutil.rmtree(self.shim.synced)  # the disk is stable now
        self.shim.synced.mkdir()
        for path in scene.spool.glob("spool.db*"):
            shutil.copy(path, self.shim.synced)
        scene.start(ready=False)
