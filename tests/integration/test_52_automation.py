"""The automation worker: Qlik automations by their execution token, and HTTP calls to systems of record."""
import time
import uuid

import pytest

from support import records
from support.ferry import event, merge
from support.http import Answer
from support.process import holds, until

AUTOMATION = "6f7a0c1e-2b3d-4c5e-8f90-a1b2c3d4e5f6"
EXECUTE = f"/api/v1/automations/{AUTOMATION}/actions/execute"


@pytest.fixture
def start(settings, prefix, make, qlik, crm):
    """start(route…, section changes) → the worker, ready."""
    def starter(*routes, **section):
        base = {"group": f"{prefix}-automation", "start": "earliest",
                "retry": {"first": "200ms", "max": "1s", "for": "1h"}, "routes": list(routes)}
        ferry = make(settings, {"automation": merge(base, section)},
                     env={"TOKEN": qlik.token, "API_KEY": qlik.api_key, "CRM_AUTH": crm.authorization})
        return ferry.start("automation")
    return starter


@pytest.fixture
def offboard(qlik):
    """The route that starts an automation for each deleted user."""
    def make_route(**changes):
        route = {"name": "offboard", "events": ["user.deleted"], "input": {"user": ".resource.id"},
                 "qlik": {"tenant": qlik.url, "automation": AUTOMATION, "token": {"env": "TOKEN"}}}
        return merge(route, changes)
    return make_route


@pytest.fixture
def crm_route(crm):
    def make_route(**changes):
        request = {"method": "PATCH", "url": crm.url + r"/users/\(.resource.id)", "headers": {"Authorization": {"env": "CRM_AUTH"}},
                   "json": {"status": '"inactive"', "left": ".time"}, "accept": ["2xx", 404, 410]}
        return {"name": "crm", "events": ["user.deleted"], "request": merge(request, changes)}
    return make_route


@pytest.fixture
def publish(kafka, prefix):
    def send(**attributes):
        data = attributes.pop("data", {"id": str(uuid.uuid4()), "name": "Gone"})
        sent = event("com.qlik.user.deleted", data=data, **attributes)
        records.publish(kafka, f"{prefix}.user.deleted", sent)
        return sent
    return send


@pytest.fixture
def dead(kafka, prefix):
    return lambda count=1, limit=40: records.read(kafka, f"{prefix}.automation.dlq", lambda rs: len(rs) >= count, limit)


def done(program, outcome="done", count=1, limit=30):
    until(lambda: program.metric("ferry_effects_total", worker="automation", outcome=outcome) >= count, limit,
          f"{count} {outcome}")


# ------------------------------------------------------------------------------------------ Qlik automations


def test_the_execution_token_travels_in_its_header_only(start, offboard, publish, qlik):
    program = start(offboard())
    sent = publish()
    call = qlik.wait_for(1, EXECUTE)[0]
    assert call.headers["X-Execution-Token"] == qlik.token
    assert call.json() == {"user": sent["data"]["id"]}
    assert "?" not in call.target and qlik.token.encode() not in call.body
    assert call.headers["Content-Type"].startswith("application/json")
    done(program)


def test_without_an_input_the_data_go_as_they_came(start, offboard, publish, qlik, kafka, prefix):
    route = offboard()
    del route["input"]
    start(route)
    until(lambda: f"{prefix}.user.deleted" in kafka.topics())
    odd = b'{ "id":"u1", "n":1.10, "big":12345678901234567891 }'
    sent = event("com.qlik.user.deleted")
    headers = {f"ce_{k}": str(v) for k, v in sent.items() if k not in ("data", "datacontenttype")}
    records.produce(kafka, f"{prefix}.user.deleted", odd, "u1",
                    headers | {"ce_specversion": "1.0", "content-type": "application/json", "ferry-event": "user.deleted"})
    assert qlik.wait_for(1, EXECUTE)[0].body == odd


def test_a_queued_run_is_followed_to_its_end(start, offboard, publish, qlik):
    qlik.queued = 2
    program = start(offboard(qlik={"wait": "finished", "auth": {"api_key": {"env": "API_KEY"}}}))
    publish()
    looks = qlik.wait_for(3, f"/api/v1/automations/{AUTOMATION}/runs/run-1", 60)
    assert all(r.headers["Authorization"] == f"Bearer {qlik.api_key}" and "X-Execution-Token" not in r.headers for r in looks)
    done(program)
    assert len(qlik.executions()) == 1


def test_a_queued_run_is_enough_where_accepted_is_waited_for(start, offboard, publish, qlik):
    qlik.queued = 1000
    program = start(offboard())
    publish()
    done(program)
    assert len(qlik.executions()) == 1


@pytest.mark.parametrize("final", ["failed", "stopped", "exceeded limit"])
def test_a_run_that_fails_is_a_dead_letter(start, offboard, publish, qlik, dead, final):
    qlik.queued, qlik.final = 1, final
    start(offboard(qlik={"wait": "finished", "auth": {"api_key": {"env": "API_KEY"}}}))
    publish()
    assert final in dead()[0].headers["ferry-reason"]
    assert len(qlik.executions()) == 1


def test_a_wrong_token_is_a_dead_letter_with_the_original(start, offboard, publish, qlik, dead, kafka, prefix):
    program = start(offboard())
    qlik.token = "another-token"
    sent = publish()
    original = records.wait_for_id(kafka, f"{prefix}.user.deleted", sent["id"])
    letter = dead()[0]
    assert (letter.value, letter.key) == (original.value, original.key)
    assert [p for p in letter.pairs if not p[0].startswith("ferry-") or p[0] in original.headers] == original.pairs
    own = {name for name in letter.headers if name not in original.headers}
    assert own == {"ferry-error", "ferry-reason", "ferry-attempts", "ferry-origin", "ferry-route", "ferry-failed-at"}
    assert letter.headers["ferry-origin"] == f"{original.topic}/{original.partition}/{original.offset}"
    assert letter.headers["ferry-attempts"] == "1" and letter.headers["ferry-route"] == "offboard"
    assert len(qlik.executions()) == 1
    done(program, "dead")


def test_a_full_queue_is_temporary(start, offboard, publish, qlik):
    qlik.script(EXECUTE, Answer(400, {"errors": [{"title": "queue full"}]}), Answer(400, {}), Answer(200, {"ok": 1}))
    program = start(offboard())
    publish()
    qlik.wait_for(3, EXECUTE)
    done(program)


def test_an_unreachable_tenant_is_waited_for(start, offboard, publish, qlik):
    program = start(offboard(qlik={"tenant": "http://127.0.0.1:9"}))
    publish()
    holds(lambda: program.metric("ferry_effects_total", outcome="dead") == 0, 2)
    assert program.metric("ferry_effects_total", outcome="done") == 0


def test_a_call_whose_outcome_is_unknown_is_parked_and_not_repeated(start, offboard, publish, qlik, dead):
    qlik.script(EXECUTE, Answer(reset=True))
    start(offboard())
    publish()
    assert dead()[0].headers["ferry-error"] == "outcome-unknown"
    assert len(qlik.executions()) == 1


def test_a_call_in_doubt_is_repeated_where_the_configuration_says_so(start, offboard, publish, qlik):
    qlik.script(EXECUTE, Answer(reset=True), Answer(200, {}))
    program = start(offboard(), in_doubt="retry")
    publish()
    qlik.wait_for(2, EXECUTE)
    done(program)


def test_a_crash_in_the_middle_of_a_call_never_makes_a_second_one(settings, prefix, make, qlik, offboard, publish, dead):
    qlik.script(EXECUTE, Answer(hang=True))
    section = {"group": f"{prefix}-automation", "start": "earliest", "routes": [offboard()]}
    ferry = make(settings, {"automation": section, "kafka": {"session.timeout.ms": 6000}}, env={"TOKEN": qlik.token})
    first = ferry.start("automation")
    publish()
    qlik.wait_for(1, EXECUTE)
    first.kill()
    ferry.start("automation")
    assert dead()[0].headers["ferry-error"] == "outcome-unknown"
    assert len(qlik.executions()) == 1


# ------------------------------------------------------------------------------------------- plain requests


def test_a_request_is_made_from_the_event(start, crm_route, publish, crm):
    program = start(crm_route())
    sent = publish(data={"id": "a/b ?#..å", "name": "Gone"})
    call = crm.wait_for(1)[0]
    assert (call.method, call.target) == ("PATCH", "/users/a%2Fb%20%3F%23..%C3%A5")
    assert call.json() == {"status": "inactive", "left": sent["time"]}
    assert call.headers["Authorization"] == crm.authorization
    done(program)


def test_each_call_has_an_idempotency_key_that_a_repeat_keeps(start, crm_route, publish, crm):
    crm.script("/users/.*", Answer(503), Answer(200))
    start(crm_route())
    publish()
    first, second = crm.wait_for(2)
    assert first.headers["Idempotency-Key"] and first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


@pytest.mark.parametrize("status", [404, 410, 204])
def test_what_accept_names_counts_as_done(start, crm_route, publish, crm, status):
    crm.script("/users/.*", Answer(status))
    done(_published(start(crm_route()), publish))


def _published(program, publish):
    publish()
    return program


@pytest.mark.parametrize("status", [400, 403, 409, 422])
def test_other_refusals_are_permanent(start, crm_route, publish, crm, dead, status):
    crm.script("/users/.*", Answer(status, "no"))
    start(crm_route())
    publish()
    assert str(status) in dead()[0].headers["ferry-reason"]
    assert len(crm.requests()) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502])
def test_temporary_refusals_are_retried(start, crm_route, publish, crm, status):
    crm.script("/users/.*", Answer(status), Answer(200))
    program = start(crm_route())
    publish()
    crm.wait_for(2)
    done(program)


def test_a_redirect_is_not_followed(start, crm_route, publish, crm, dead):
    crm.script("/users/.*", Answer(302, headers={"Location": crm.url + "/elsewhere"}))
    start(crm_route())
    publish()
    dead()
    assert crm.requests("/elsewhere") == []


@pytest.mark.parametrize("resource", ["..", "."])
def test_an_id_cannot_climb_in_the_path(start, crm_route, publish, crm, dead, resource):
    start(crm_route())
    publish(data={"id": resource})
    dead()
    assert crm.requests() == []


def test_a_blocked_resource_does_not_stop_another(start, crm_route, publish, crm):
    crm.on("/users/slow", lambda _request: Answer(503))
    program = start(crm_route())
    publish(data={"id": "slow"})
    crm.wait_for(1, "/users/slow")
    for n in range(10):
        publish(data={"id": f"fast-{n}"})
    began = time.monotonic()
    crm.wait_for(10, "/users/fast-.*", 15)
    assert time.monotonic() - began < 10
    done(program, count=10)


def test_an_event_for_two_routes_is_settled_for_each_alone(start, offboard, crm_route, publish, qlik, crm, dead):
    crm.script("/users/.*", Answer(422))
    program = start(offboard(), crm_route())
    publish()
    qlik.wait_for(1, EXECUTE)
    assert [r.headers["ferry-route"] for r in dead()] == ["crm"]
    done(program)


def test_no_token_is_in_logs_or_topics(start, offboard, crm_route, publish, qlik, crm, dead, kafka, prefix):
    secrets = [qlik.token, qlik.api_key, crm.authorization.removeprefix("Bearer ")]
    qlik.script(EXECUTE, Answer(403, f"bad token {qlik.token}"))
    crm.script("/users/.*", Answer(422, f"bad key {crm.authorization}"))
    program = start(offboard(), crm_route())
    publish()
    dead(2)
    everything = program.text()
    for topic in kafka.topics():
        if topic.startswith(prefix + "."):
            everything += repr([(r.value, r.pairs) for r in records.read(kafka, topic)])
    assert not [s for s in secrets if s in everything]


def test_plain_http_to_another_host_is_refused_at_start(make, settings, offboard):
    route = offboard(qlik={"tenant": "http://tenant.example.com"})
    ferry = make(settings, {"automation": {"group": "g", "routes": [route]}}, env={"TOKEN": "t"})
    code, text = ferry.fail("ferry-automation")
    assert code == 78 and "http" in text
