"""One event, looked for by its id in the logs of all programs; and its trace, carried on to what is called."""
import uuid

import pytest

from conftest import WEBHOOK
from support import records
from support.ferry import event, merge
from support.http import Answer
from support.kafka import Kafka
from support.process import until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def lines_of(program, event_id):
    return [line for line in program.logs() if line.get("id") == event_id]


def seen(program, event_id, limit=60):
    """The lines that have the id, once there is one."""
    return until(lambda: lines_of(program, event_id), limit, f"{event_id} in the log of {program.name}")


@pytest.fixture
def everybody(settings, prefix, slack, qlik, crm, mail_server):
    """A route of each worker for user.created, and the environment."""
    mails = mail_server("none")
    config = merge(settings, {
        "bridge": {"webhooks": [WEBHOOK]},
        "slack": {"group": f"{prefix}-slack", "routes": [
            {"name": "note", "events": ["user.created"], "webhook": {"env": "HOOK"}, "text": r"\(.id)"}]},
        "mail": {"group": f"{prefix}-mail", "from": "no-reply@example.com", "recipient_domains": ["example.com"],
                 "smtp": {"url": mails.url, "tls": "none"}, "routes": [
            {"name": "welcome", "events": ["user.created"], "to": ".resource.email", "subject": "s", "text": "t"}]},
        "automation": {"group": f"{prefix}-automation", "routes": [
            {"name": "run", "events": ["user.created"],
             "qlik": {"tenant": qlik.url, "automation": "a", "token": {"env": "TOKEN"}}},
            {"name": "crm", "events": ["user.created"], "request": {
                "method": "POST", "url": f"{crm.url}/users/" + r"\(.resource.id)",
                "headers": {"Authorization": {"env": "CRM_AUTH"}}}}]},
    })
    return config, {"HOOK": slack.hook(), "TOKEN": qlik.token, "CRM_AUTH": crm.authorization}


def created():
    return event("com.qlik.user.created", {"id": str(uuid.uuid4()), "email": "new@example.com"})


def test_an_id_leads_from_the_door_to_every_effect_and_the_trace_to_every_call(make, everybody, slack, qlik, crm, prefix):
    config, env = everybody
    ferry = make(config, env=env)
    bridge, workers = ferry.start("bridge"), [ferry.start(name) for name in ("slack", "mail", "automation")]
    sent = created()
    assert bridge.post(sent, {"traceparent": TRACEPARENT, "tracestate": "a=b"}).status == 204
    taken, = seen(bridge, sent["id"])
    assert {k: taken[k] for k in ("msg", "level", "event", "topic", "from", "safe", "source", "trace")} == {
        "msg": "event taken", "level": "info", "event": "user.created", "topic": f"{prefix}.user.created",
        "from": "/webhooks/qlik", "safe": "kafka", "source": sent["source"], "trace": TRACE}
    for worker, routes in zip(workers, (["note"], ["welcome"], ["crm", "run"])):
        until(lambda: len(lines_of(worker, sent["id"])) == len(routes), 60, f"the effects of {worker.name}")
        lines = lines_of(worker, sent["id"])
        assert sorted(line["route"] for line in lines) == routes
        assert {(line["msg"], line["outcome"], line["trace"]) for line in lines} == {("effect", "done", TRACE)}
    for stand_in in (slack, qlik, crm):
        request, = [r for r in stand_in.requests() if r.method == "POST"]
        assert (request.headers["traceparent"], request.headers["tracestate"]) == (TRACEPARENT, "a=b")
    assert "new@example.com" not in ferry.texts()


def test_a_trigger_s_call_is_found_by_the_id_that_its_caller_was_told(make, everybody, qlik):
    config, env = everybody
    trigger = {"name": "refresh", "keys": [{"name": "script", "secret": {"env": "KEY"}}]}
    route = {"name": "run", "events": ["trigger.refresh"],
             "qlik": {"tenant": qlik.url, "automation": "a", "token": {"env": "TOKEN"}}}
    ferry = make(config, {"bridge": {"triggers": [trigger]}, "automation": {"routes": [route]}}, env={**env, "KEY": "k" * 40})
    bridge, worker = ferry.start("bridge"), ferry.start("automation")
    answer = bridge.post(b"", {"X-Ferry-Key": "k" * 40, "Accept": "application/json", "traceparent": TRACEPARENT},
                         path="/triggers/refresh", secret=None)
    assert answer.status == 202
    call = answer.json()["id"]
    assert [(line["msg"], line["from"], line["trace"]) for line in seen(bridge, call)] == [
        ("event taken", "/triggers/refresh", TRACE)]
    assert [(line["outcome"], line["trace"]) for line in seen(worker, call)] == [("done", TRACE)]
    request, = [r for r in qlik.requests() if r.method == "POST"]
    assert request.headers["traceparent"] == TRACEPARENT
    assert "k" * 40 not in ferry.texts()


def test_an_effect_that_fails_is_found_by_the_events_id_until_it_is_a_dead_letter(make, everybody, slack):
    config, env = everybody
    ferry = make(config, {"worker": {"retry": {"first": "100ms", "max": "100ms"}}}, env=env)
    bridge, worker = ferry.start("bridge"), ferry.start("slack")
    slack.script("/services/.*", Answer(503), Answer(400, "invalid_blocks"))
    sent = created()
    assert bridge.post(sent).status == 204
    until(lambda: len(lines_of(worker, sent["id"])) >= 2, 60, "both attempts")
    first, second = lines_of(worker, sent["id"])
    assert (first["outcome"], first["level"]) == ("retry", "warn") and "503" in first["reason"]
    assert (second["outcome"], second["error"]) == ("dead", "http-refused")


def test_an_event_that_kafka_did_not_take_at_once_is_found_on_its_way_through_the_spool(make, settings, tmp_path, prefix):
    kafka = Kafka(tmp_path / "kafka")
    try:
        ferry = make(settings, {"kafka": kafka.client(), "bridge": {"webhooks": [WEBHOOK], "ack_timeout": "200ms",
                                                                    "spool": {"directory": "spool"}}})
        bridge = ferry.launch("bridge").wait_ready()
        early, late = created(), created()
        assert bridge.post(early).status == 202
        assert [line["safe"] for line in seen(bridge, early["id"])] == ["spool"]
        bridge.stop()
        bridge = ferry.launch("bridge").wait_ready()
        assert bridge.post(late, {"traceparent": TRACEPARENT}).status == 202
        kafka.start()
        for sent, last in ((early, 1), (late, 2)):
            until(lambda: len(lines_of(bridge, sent["id"])) == last, 90, "it leaves the spool")
        left = lines_of(bridge, late["id"])[-1]
        assert (left["msg"], left["event"], left["trace"]) == ("event left the spool", "user.created", TRACE)
        assert lines_of(bridge, early["id"])[0]["msg"] == "event left the spool"
        assert records.with_id(kafka, f"{prefix}.other", late["id"])
        ferry.stop()
    finally:
        kafka.stop()


def test_without_kafka_and_spool_the_refusal_names_the_event(make, settings, tmp_path):
    away = {"kafka": {"bootstrap.servers": "127.0.0.1:9"}, "bridge": {"webhooks": [WEBHOOK], "ack_timeout": "200ms"}}
    bridge = make(settings, away).launch("bridge")
    bridge.wait_for(lambda: bridge.health("/healthz") == 200, 30)
    sent = created()
    assert bridge.post(sent).status == 503
    assert [line["msg"] for line in seen(bridge, sent["id"])] == ["request refused"]


def test_lines_of_what_went_well_can_be_left_out(make, everybody, slack):
    config, env = everybody
    ferry = make(config, {"log": {"events": False}}, env=env)
    bridge, worker = ferry.start("bridge"), ferry.start("slack")
    slack.script("/services/.*", Answer(200, "ok"), Answer(400, "invalid_blocks"))
    good, bad = created(), created()
    for sent in (good, bad):
        assert bridge.post(sent).status == 204
        until(lambda: len(slack.messages()) >= (1 if sent is good else 2), 60, "the call")
    assert [line["outcome"] for line in seen(worker, bad["id"])] == ["dead"]
    assert not lines_of(worker, good["id"]) and not lines_of(bridge, good["id"]) and not lines_of(bridge, bad["id"])
