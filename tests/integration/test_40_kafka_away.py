"""Kafka is not there, goes away, or comes back: the sender hears the truth, and nothing needs a restart."""
import pytest

from conftest import WEBHOOK
from support import records
from support.ferry import event, merge
from support.kafka import Kafka
from support.process import until


@pytest.fixture
def own_kafka(tmp_path):
    """A broker of this test alone, not started yet; its address is known already."""
    kafka = Kafka(tmp_path / "kafka")
    yield kafka
    kafka.stop()


@pytest.fixture
def away(own_kafka, settings):
    return merge(settings, {"kafka": own_kafka.client(), "bridge": {"webhooks": [WEBHOOK]}})


def test_a_bridge_without_kafka_says_503_and_recovers_without_a_restart(own_kafka, away, make, prefix):
    bridge = make(away).launch("bridge")
    bridge.wait_for(lambda: bridge.health("/healthz") == 200, 20, "alive without Kafka")
    assert bridge.health("/readyz") == 503
    assert bridge.metric("ferry_kafka_up") == 0
    refused = bridge.post(event())
    assert refused.problem["status"] == 503 and int(refused.headers["Retry-After"]) >= 1
    own_kafka.start()
    sent = event()
    until(lambda: bridge.post(sent).status == 204, 60, "204 once Kafka is there")
    assert bridge.metric("ferry_kafka_up") == 1 and bridge.health("/readyz") == 200
    assert records.with_id(own_kafka, f"{prefix}.other", sent["id"])


def test_with_a_spool_the_sender_is_told_202_and_kafka_gets_it_later(own_kafka, away, make, prefix):
    bridge = make(away, {"bridge": {"spool": {"directory": "spool"}, "ack_timeout": "500ms"}}).launch("bridge")
    bridge.wait_for(lambda: bridge.health("/readyz") == 200, 20, "ready: the spool can take events")
    sent = [event(data={"id": "one", "n": n}) for n in range(20)]
    assert {bridge.post(one).status for one in sent} == {202}
    assert bridge.metric("ferry_spool_events") == 20 and bridge.metric("ferry_kafka_up") == 0
    own_kafka.start()
    found = records.read(own_kafka, f"{prefix}.other", lambda rs: len(rs) >= 20, 90)
    assert [r.json()["n"] for r in found] == list(range(20)), "in the order of acceptance"
    until(lambda: bridge.metric("ferry_spool_events") == 0, 20, "an empty spool")
    until(lambda: bridge.post(event()).status == 204, 20, "204 again")


def test_what_is_in_the_spool_survives_kill_9(own_kafka, away, make, prefix):
    ferry = make(away, {"bridge": {"spool": {"directory": "spool"}, "ack_timeout": "200ms"}})
    bridge = ferry.launch("bridge")
    bridge.wait_for(lambda: bridge.health("/readyz") == 200, 20)
    sent = [event() for _ in range(10)]
    assert {bridge.post(one).status for one in sent} == {202}
    bridge.kill()
    own_kafka.start()
    ferry.start("bridge")
    found = records.read(own_kafka, f"{prefix}.other", lambda rs: {s["id"] for s in sent} <= {r.id for r in rs}, 60)
    assert len(found) == 10


def test_a_broker_that_hangs_and_wakes_costs_no_event_and_no_order(own_kafka, away, make, prefix):
    own_kafka.start()
    bridge = make(away, {"bridge": {"spool": {"directory": "spool"}, "ack_timeout": "500ms"}}).start("bridge")
    until(lambda: bridge.post(event(data={"id": "warm", "n": -1})).status == 204, 30, "the topic's leader")
    statuses = []
    for n in range(30):
        if n == 10:
            own_kafka.brokers[0].pause()
        if n == 20:
            own_kafka.brokers[0].resume()
        statuses.append(bridge.post(event(data={"id": "one", "n": n})).status)
    assert set(statuses) <= {202, 204} and statuses[:10] == [204] * 10 and 202 in statuses
    found = records.read(own_kafka, f"{prefix}.other", lambda rs: {r.json()["n"] for r in rs} >= set(range(30)), 90)
    found = [r for r in found if r.json()["n"] >= 0]
    first_seen = list(dict.fromkeys(r.json()["n"] for r in found))
    assert first_seen == list(range(30))
    repeated = [r for i, r in enumerate(found) if r.json()["n"] in [x.json()["n"] for x in found[:i]]]
    assert all("ferry-maybe-duplicate" in r.headers for r in repeated)
