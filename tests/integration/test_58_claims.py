"""Keys that cross partitions: two processes that come to the same effect at the same moment have it once."""
import json

import pytest
from confluent_kafka import Producer

from support import records
from support.ferry import event, merge, parse_metrics
from support.http import Answer
from support.process import holds, until

PAIRS = 200
AUTOMATION = "6f7a0c1e-2b3d-4c5e-8f90-a1b2c3d4e5f6"
EXECUTE = f"/api/v1/automations/{AUTOMATION}/actions/execute"
# More input partitions than the other topics of the group have together, so that each of two processes owns some.
EVENTS = ["user.deleted", "app.deleted", "space.deleted"]
WIDTH = 4


@pytest.fixture
def two(settings, prefix, make, qlik):
    """two(route) → two processes of one group, and a place that each owns: [(process, (event, partition))…]"""
    def owned(program):
        return {(labels["topic"].removeprefix(prefix + "."), int(labels["partition"]))
                for name, labels, _ in parse_metrics(program.metrics_text())
                if name == "ferry_consumer_lag" and labels["topic"].removeprefix(prefix + ".") in EVENTS}

    def starter(route):
        route = merge({"name": "orders", "events": EVENTS, "once_per": [".data.order"]}, route)
        section = {"group": f"{prefix}-automation", "start": "earliest", "routes": [route],
                   "retry": {"first": "200ms", "max": "1s", "for": "1h"}}
        change = {"topics": {"partitions": WIDTH}, "kafka": {"session.timeout.ms": 6000}, "automation": section}
        programs = [make(merge(settings, change), env={"TOKEN": qlik.token}).launch("automation") for _ in range(2)]
        for program in programs:
            program.wait_ready()
        until(lambda: all(map(owned, programs)) and owned(programs[0]).isdisjoint(owned(programs[1]))
              and len(owned(programs[0]) | owned(programs[1])) == len(EVENTS) * WIDTH, 30, "each of the two owns partitions")
        return [(program, min(owned(program))) for program in programs]
    return starter


@pytest.fixture
def publish(kafka, prefix):
    """publish([(order, (event, partition))…]): an event of that order, each with an id and a resource of its own."""
    def send(places):
        problems = []
        producer = Producer({**kafka.client(), "linger.ms": 0, "log_level": 0})
        for order, (name, partition) in places:
            sent = event(f"com.qlik.{name}")
            sent["data"]["order"] = order
            key, value, pairs = records.as_published(sent)
            producer.produce(f"{prefix}.{name}", value, key, partition, headers=list(pairs.items()),
                             on_delivery=lambda error, _message: problems.append(error))
        assert producer.flush(30) == 0 and set(problems) == {None}, problems
    return send


def outcome(programs, name):
    return sum(p.metric("ferry_effects_total", worker="automation", outcome=name) for p in programs)


def test_what_comes_to_two_processes_at_the_same_moment_takes_effect_once(two, publish, crm):
    crm.on("/orders/.*", lambda _request: Answer(200, delay=0.02))
    route = {"request": {"method": "PUT", "url": crm.url + r"/orders/\(.data.order)", "json": {"gone": ".time"}}}
    (one, here), (other, there) = two(route)
    rounds = 0
    while rounds < 5 and sum(p.metric("ferry_claims_total", standing="others") for p in (one, other)) == 0:
        publish([(f"o{rounds}-{n}", place) for n in range(PAIRS) for place in (here, there)])
        rounds += 1
        settled = 2 * PAIRS * rounds
        until(lambda: outcome([one, other], "done") + outcome([one, other], "duplicate") >= settled, 30, "all are settled")
    assert sum(p.metric("ferry_claims_total", standing="others") for p in (one, other)) > 0  # they did meet
    asked = [request.path for request in crm.requests("/orders/.*")]
    assert sorted(asked) == sorted(f"/orders/o{round}-{n}" for round in range(rounds) for n in range(PAIRS))
    assert (outcome([one, other], "done"), outcome([one, other], "duplicate")) == (PAIRS * rounds, PAIRS * rounds)


def test_a_process_that_dies_with_its_claim_leaves_the_effect_in_doubt(two, publish, qlik, kafka, prefix):
    qlik.script(EXECUTE, Answer(hang=True), Answer(200, {}))
    route = {"input": {"order": ".data.order"},
             "qlik": {"tenant": qlik.url, "automation": AUTOMATION, "token": {"env": "TOKEN"}}}
    (one, here), (other, there) = two(route)
    publish([("o1", here)])
    qlik.wait_for(1, EXECUTE)
    publish([("o1", there)])
    until(lambda: other.metric("ferry_claims_total", standing="others") >= 1, 10, "the other one waits")
    one.kill()
    letters = records.read(kafka, f"{prefix}.automation.dlq", lambda rs: len(rs) >= 1, 40)
    assert letters[0].headers["ferry-error"] == "outcome-unknown" and json.loads(letters[0].value)["order"] == "o1"
    until(lambda: outcome([other], "duplicate") >= 1, 15, "the record of the dead one is a duplicate")
    holds(lambda: len(qlik.executions()) == 1 and len(records.read(kafka, f"{prefix}.automation.dlq")) == 1, 1)
