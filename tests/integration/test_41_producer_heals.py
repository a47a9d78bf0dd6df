"""What an operator or a broken cluster can do to a topic under the bridge's hands: senders go on hearing 2xx, order and
obligations hold, and half a minute after the cause is gone nothing reminds of it. No restart. The whole list of faults,
longer and under a heavier load, is played by ./dev faults."""
import argparse

import pytest

from faults import faults_topics as faults
from faults.cluster import Cluster
from faults.scene import Scene
from support.ferry import event


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three brokers with ACLs, replication 3."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster")).start()
    yield cluster
    cluster.kill()


def play(fault_class, cluster, folder):
    """A short outage under a light load; the scene and the judge's verdict."""
    short = {"hold": 4.0, "before": 1.0, "after": 0.5, "rate": 80, "connections": 4}
    fault = type(fault_class.__name__, (fault_class,), short)(argparse.Namespace(quick=True, seeds=1))
    scene = Scene(cluster, folder / fault.name, fault)
    try:
        fault.prepare(scene)
        verdict = fault.play(scene)
        assert scene.problems == [] and scene.healed <= 30
        scene.logs = scene.bridge.logs()
        return scene, verdict
    finally:
        scene.end()
        fault.clean_up(scene)


@pytest.mark.parametrize("fault", [faults.Recreated, faults.Forbidden], ids=lambda fault: fault.name)
def test_a_topic_that_cannot_be_written_costs_no_answer_and_heals_by_itself(fault, cluster, tmp_path):
    _scene, verdict = play(fault, cluster, tmp_path)
    assert set(verdict.statuses) == {202, 204} and verdict.acknowledged == verdict.events


class TooLarge(faults.TooLarge):
    """Large events in the outage alone; when all is well again, one more."""

    def padding(self, number):
        return 40000 if number in (40, 60) else 100

    def check(self, scene, verdict):
        answer = scene.bridge.post(event(data={"id": "large", "padding": "x" * 40000}))
        return [] if answer.status == 413 and verdict.aside > 0 else [f"{answer.status}, {verdict.aside} set aside"]


def test_what_is_too_large_for_its_topic_is_413_or_set_aside_and_the_rest_flows(cluster, tmp_path):
    scene, verdict = play(TooLarge, cluster, tmp_path)
    assert verdict.aside == sum(s.acknowledged for s in scene.load.sent if s.padding > 20000)
    assert set(verdict.statuses) <= {202, 204, 413}
    assert any(line["level"] == "error" and "aside" in line["msg"] for line in scene.logs), "an alarm"
