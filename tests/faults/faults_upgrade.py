"""An upgrade of the bridge and the way back, on one spool."""
from faults.scene import Fault
from support import earlier
from support.process import until


class Upgraded(Fault):
    name = "upgraded"
    title = "an earlier bridge, this one, and the earlier one again on one spool, no broker answering"
    hold = 0.0
    repeats_allowed = 0.01  # what was on its way to a broker that may yet read it

    def prepare(self, scene):
        self.old = scene.ferry.bin = earlier.programs()

    def inject(self, scene):
        scene.kafka.pause()
        for version in (None, self.old):
            until(lambda: scene.bridge.metric("ferry_spool_events") > 0, 30, "something in the spool")
            held = scene.bridge.metric("ferry_spool_events")
            scene.bridge.stop()
            scene.ferry.bin = version
            scene.start(ready=False)
            scene.bridge.wait_for(lambda: scene.bridge.health("/healthz") == 200, 40)
            found = scene.bridge.metric("ferry_spool_events")
            if found < held:
                scene.problems.append(f"{held:g} events left in the spool, {found:g} found")
            scene.pause(2)
        scene.kafka.resume()

    def clean_up(self, scene):
        scene.kafka.revive()
