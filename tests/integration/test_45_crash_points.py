"""kill -9 of the bridge at every crash point: what was acknowledged is in Kafka, in order, and repeats say so. Two seeds
of each point here, twenty with `./dev faults crash-points`."""
import subprocess
from types import SimpleNamespace

import pytest

from faults import faults_crashes
from faults.cluster import Cluster
from faults.faults_crashes import CrashPoints, points
from faults.scene import Scene
from support.ferry import BIN, ROOT


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("crashes"), brokers=1).start()
    yield cluster
    cluster.stop()


def test_every_crash_point_loses_nothing_and_repeats_only_with_a_mark(cluster, tmp_path):
    version = subprocess.run([BIN / "ferry-bridge", "--version"], capture_output=True, text=True, check=True).stdout
    assert "with crash points" in version, f"{BIN} was built without -DFERRY_CRASH_POINTS=ON"
    fault = CrashPoints(SimpleNamespace(quick=True, seeds=2))
    scene = Scene(cluster, tmp_path / "scene", fault)
    verdict = fault.play(scene)
    assert not scene.problems, "\n".join(map(str, scene.problems))
    assert verdict.acknowledged > 1000 and not verdict.lost and not verdict.breaks and not verdict.unmarked


def test_every_crash_point_in_the_source_has_a_wish():
    assert len(points()) >= 15 and len(set(points())) == len(points())
    assert all(faults_crashes.passing(name, seed) >= 1 for name in points() for seed in range(20))


def test_a_release_has_no_crash_points(tmp_path):
    """The same source without the option: not even the names are left."""
    sources = ["core/crash_point.c", "bridge/publish.c", "bridge/order.c", "bridge/order_feed.c", "bridge/spool.c",
               "core/program.c"]
    for source in sources:
        made = tmp_path / (source.replace("/", "-") + ".o")
        subprocess.run(["gcc", "-std=c17", "-O2", "-c", f"-I{ROOT}", "-D_GNU_SOURCE", '-DFERRY_VERSION="0"',
                        "-o", made, ROOT / source], check=True)
        text = made.read_bytes()
        found = [name for name in points() if name.encode() in text]
        assert not found and b"FERRY_CRASH_POINT" not in text and b"with crash points" not in text, (source, found)
