"""The bridge itself: ended under load, and a clock that jumps."""
import time

from faults.scene import Fault
from faults.shim import Shim


class Killed(Fault):
    name = "bridge-killed"
    title = "kill −9 of the bridge under load, started again"
    hold = 0.0
    repeats_allowed = 0.01  # what was on its way at the crash

    def inject(self, scene):
        scene.restart()


class Terminated(Fault):
    name = "sigterm"
    title = "SIGTERM under load, started again"
    hold = 0.0

    def inject(self, scene):
        began = time.monotonic()
        scene.bridge.stop()  # asserts exit code 0 within the time
        self.took = time.monotonic() - began
        scene.start()

    def check(self, scene, verdict):
        return [] if self.took <= 10 else [f"took {self.took:.1f} s to stop"]


class TerminatedInOutage(Fault):
    name = "sigterm-in-outage"
    title = "SIGTERM under load while no broker answers, started again"
    hold = 0.0
    repeats_allowed = 0.01  # what was on its way to a broker that may yet read it

    def inject(self, scene):
        scene.kafka.pause()
        scene.pause(3)
        scene.bridge.stop()
        scene.start(ready=False)
        scene.pause(2)
        scene.kafka.resume()

    def clean_up(self, scene):
        scene.kafka.revive()


class ClockFault(Fault):
    hours = 0
    needs = ("shim",)
    hold = 10.0

    def prepare(self, scene):
        self.shim = Shim(scene.folder)
        scene.ferry.env |= self.shim.env

    def inject(self, scene):
        self.shim.set(clock_offset_s=self.hours * 3600)

    def mend(self, scene):
        self.shim.set(clock_offset_s=0)

    def check(self, scene, verdict):
        return [f"answers: {dict(verdict.statuses)}"] if set(verdict.statuses) - {202, 204} else []


class ClockForward(ClockFault):
    name = "clock-forward"
    title = "wall clock one hour ahead, and back"
    hours = 1


class ClockBack(ClockFault):
    name = "clock-back"
    title = "wall clock one hour behind, and back"
    hours = -1
