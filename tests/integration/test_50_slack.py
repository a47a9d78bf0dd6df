"""The Slack worker: what it sends, how it paces, what it retries, and what it gives up."""
import time
import uuid

import pytest

from conftest import WEBHOOK
from support import records
from support.ferry import event, merge
from support.http import Answer, Slack
from support.process import holds, until

HOOK = "/services/T000/B000/XXX"
TEXT = r"*\(.resource.name)* was created by \(.userid // " + '"Qlik")'


@pytest.fixture
def worker(settings, prefix, slack, make):
    """worker(route changes, config changes) → the worker, ready, with one route for app.created."""
    def start(route=None, config=None):
        base = {"name": "new-app", "events": ["app.created"], "webhook": {"env": "SLACK_WEBHOOK_URL"}, "text": TEXT,
                "pace": "100/1s"}
        section = {"group": f"{prefix}-slack", "start": "earliest", "retry": {"first": "200ms", "max": "1s", "for": "1h"},
                   "routes": [merge(base, route or {})]}
        ferry = make(settings, {"slack": section}, config or {},
                     env={"SLACK_WEBHOOK_URL": slack.hook(), "SLACK_BOT_TOKEN": "xoxb-token-of-the-tests"})
        return ferry.start("slack")
    return start


@pytest.fixture
def publish(kafka, prefix):
    def send(sent=None, **attributes):
        sent = sent or event(**attributes)
        records.publish(kafka, f"{prefix}.{sent['type'].removeprefix('com.qlik.')}", sent)
        return sent
    return send


def dead(kafka, prefix, count, limit=30):
    return records.read(kafka, f"{prefix}.slack.dlq", lambda rs: len(rs) >= count, limit)


def test_an_event_becomes_a_message(worker, publish, slack):
    program = worker()
    publish(data={"id": "1", "name": "Sales & <Marketing>"}, userid="Åsa")
    message = slack.wait_for(1, HOOK)[0]
    assert message.headers["Content-Type"].startswith("application/json")
    assert message.json()["text"] == "*Sales &amp; &lt;Marketing&gt;* was created by Åsa"
    until(lambda: program.metric("ferry_effects_total", worker="slack", route="new-app", outcome="done") == 1)


def test_from_the_webhook_to_slack(make, settings, prefix, slack):
    config = {"bridge": {"webhooks": [WEBHOOK]},
              "slack": {"group": f"{prefix}-slack", "routes": [{"name": "all", "events": ["app.created", "app.reload.*"],
                        "webhook": {"env": "SLACK_WEBHOOK_URL"}, "text": r"\(.event) \(.resource.id)"}]}}
    ferry = make(settings, config, env={"SLACK_WEBHOOK_URL": slack.hook()})
    bridge = ferry.start("bridge")
    ferry.start("slack")
    sent = event(data={"id": str(uuid.uuid4()), "name": "Sales"})
    assert bridge.post(sent).status == 204
    assert slack.wait_for(1, HOOK)[0].json()["text"] == f"app.created {sent['data']['id']}"


def test_an_event_that_does_not_match_when_is_left_alone(worker, publish, slack):
    worker({"when": ".resource.isSessionApp != true"})
    publish(data={"id": "same", "name": "session", "isSessionApp": True})
    publish(data={"id": "same2", "name": "real", "isSessionApp": False})
    slack.wait_for(1, HOOK)
    holds(lambda: len(slack.requests(HOOK)) == 1, 1)
    assert "real" in slack.requests(HOOK)[0].json()["text"]


def test_the_same_creation_under_two_names_is_one_message(worker, publish, slack, kafka, prefix):
    program = worker()
    app = {"id": str(uuid.uuid4()), "name": "Sales"}
    for type in ("com.qlik.app.created", "com.qlik.v1.app.created"):
        sent = event(type, data=app)
        records.publish(kafka, f"{prefix}.app.created", sent, canonical="app.created")
    slack.wait_for(1, HOOK)
    until(lambda: program.metric("ferry_effects_total", outcome="duplicate") == 1)
    assert len(slack.requests(HOOK)) == 1


def test_once_holds_across_a_restart_and_a_kill(settings, prefix, slack, make, publish):
    section = {"group": f"{prefix}-slack", "start": "earliest", "routes": [
        {"name": "new-app", "events": ["app.created"], "webhook": {"env": "SLACK_WEBHOOK_URL"}, "text": TEXT}]}
    ferry = make(settings, {"slack": section, "kafka": {"session.timeout.ms": 6000}}, env={"SLACK_WEBHOOK_URL": slack.hook()})
    first = ferry.start("slack")
    sent = publish()
    slack.wait_for(1, HOOK)
    until(lambda: first.metric("ferry_effects_total", outcome="done") == 1)
    first.kill()
    second = ferry.start("slack")
    publish(sent)
    until(lambda: second.metric("ferry_effects_total", outcome="duplicate") >= 1)
    second.stop()
    third = ferry.start("slack")
    publish(sent)
    until(lambda: third.metric("ferry_effects_total", outcome="duplicate") >= 1)
    assert len(slack.requests(HOOK)) == 1


def test_too_many_requests_is_obeyed_and_retried(worker, publish, slack):
    slack.script(HOOK, Answer(429, "rate_limited", {"Retry-After": "2"}), Answer(200, "ok"))
    program = worker()
    publish()
    first, second = slack.wait_for(2, HOOK)
    assert second.at - first.at >= 1.9
    until(lambda: program.metric("ferry_effects_total", outcome="done") == 1)


@pytest.mark.parametrize("status, word", [(500, "oops"), (503, ""), (400, "rollup_error")])
def test_a_temporary_failure_is_retried(worker, publish, slack, status, word):
    slack.script(HOOK, Answer(status, word), Answer(status, word), Answer(200, "ok"))
    program = worker()
    publish()
    slack.wait_for(3, HOOK)
    until(lambda: program.metric("ferry_effects_total", outcome="done") == 1)


def test_the_events_of_one_resource_stay_in_order_through_a_retry(worker, publish, slack):
    slack.script(HOOK, Answer(500), Answer(200, "ok"))
    worker({"text": r"\(.data.n)"})
    for n in range(5):
        publish(data={"id": "one", "name": "x", "n": n}, type="com.qlik.app.created", tenantid=f"t{n}")
    slack.wait_for(6, HOOK)
    assert [r.json()["text"] for r in slack.requests(HOOK)] == ["0", "0", "1", "2", "3", "4"]


@pytest.mark.parametrize("status, word", [(400, "invalid_payload"), (403, "action_prohibited"), (400, "no_text")])
def test_a_permanent_failure_is_a_dead_letter_with_the_original(worker, publish, slack, kafka, prefix, status, word):
    slack.script(HOOK, Answer(status, word))
    worker()
    sent = publish()
    original = records.wait_for_id(kafka, f"{prefix}.app.created", sent["id"])
    letter = dead(kafka, prefix, 1)[0]
    assert (letter.value, letter.key) == (original.value, original.key)
    assert original.headers.items() <= letter.headers.items()
    assert letter.headers["ferry-route"] == "new-app" and letter.headers["ferry-attempts"] == "1"
    assert letter.headers["ferry-origin"] == f"{original.topic}/{original.partition}/{original.offset}"
    assert letter.headers["ferry-error"] and word in letter.headers["ferry-reason"] and letter.headers["ferry-failed-at"]
    assert len(slack.requests(HOOK)) == 1


@pytest.mark.parametrize("word", ["no_service", "channel_is_archived", "no_active_hooks", "team_disabled"])
def test_a_dead_destination_parks_the_route(worker, publish, slack, kafka, prefix, word):
    slack.script(HOOK, Answer(404, word))
    program = worker()
    for _ in range(4):
        publish()
    letters = dead(kafka, prefix, 4)
    assert {r.headers["ferry-error"] for r in letters} == {"destination-dead"}
    assert program.metric("ferry_route_parked", route="new-app") == 1
    assert len(slack.requests(HOOK)) <= 2, "after the first word, no more calls"


def test_a_hole_that_yields_null_is_a_dead_letter_that_names_it(worker, publish, kafka, prefix, slack):
    worker({"text": r"\(.resource.nobody)"})
    publish()
    letter = dead(kafka, prefix, 1)[0]
    assert letter.headers["ferry-error"] == "template_null" and ".resource.nobody" in letter.headers["ferry-reason"]
    assert slack.requests(HOOK) == []


def test_a_record_that_is_no_event_is_a_dead_letter_and_stops_nothing(worker, publish, kafka, prefix, slack):
    worker()
    until(lambda: f"{prefix}.app.created" in kafka.topics())
    records.produce(kafka, f"{prefix}.app.created", b"\xff not json", "k", {"ce_id": "x"})
    publish()
    slack.wait_for(1, HOOK)
    assert dead(kafka, prefix, 1)[0].value == b"\xff not json"


def test_messages_keep_the_pace(worker, publish, slack):
    worker({"pace": "1/1s"})
    for _ in range(4):
        publish()
    found = slack.wait_for(4, HOOK)
    assert found[3].at - found[0].at >= 1.9


def test_blocks_come_with_a_text(make, settings, prefix, slack, publish):
    route = {"name": "blocks", "events": ["app.created"], "webhook": {"env": "SLACK_WEBHOOK_URL"}, "text": r"\(.resource.name)",
             "blocks": {"file": "blocks.jq"}}
    ferry = make(settings, {"slack": {"group": f"{prefix}-slack", "start": "earliest", "routes": [route]}},
                 env={"SLACK_WEBHOOK_URL": slack.hook()})
    (ferry.folder / "blocks.jq").write_text(
        '[{type: "section", text: {type: "mrkdwn", text: ("New: " + .resource.name)}}]\n')
    ferry.start("slack")
    publish(data={"id": "b", "name": "Sales"})
    message = slack.wait_for(1, HOOK)[0].json()
    assert message["text"] == "Sales" and message["blocks"][0]["text"]["text"] == "New: Sales"


def test_a_channel_is_posted_to_with_the_bots_token(make, settings, prefix, slack, publish):
    route = {"name": "bot", "events": ["app.created"], "channel": "C0123", "token": {"env": "SLACK_BOT_TOKEN"},
             "api": f"{slack.url}/api", "text": r"\(.resource.name)"}
    limited = Answer(200, {"ok": False, "error": "ratelimited"}, {"Retry-After": "1"})
    slack.script("/api/chat.postMessage", limited, Answer(200, {"ok": True, "ts": "1"}))
    section = {"group": f"{prefix}-slack", "start": "earliest", "retry": {"first": "200ms", "max": "1s", "for": "1h"},
               "routes": [route]}
    program = make(settings, {"slack": section}, env={"SLACK_BOT_TOKEN": "xoxb-token-of-the-tests"}).start("slack")
    publish(data={"id": "c", "name": "Sales"})
    call = slack.wait_for(2, "/api/chat.postMessage")[-1]
    assert call.headers["Authorization"] == "Bearer xoxb-token-of-the-tests"
    assert call.json()["channel"] == "C0123" and call.json()["text"] == "Sales"
    until(lambda: program.metric("ferry_effects_total", outcome="done") == 1)


@pytest.mark.parametrize("trusted", [True, False])
def test_only_a_certificate_of_a_trusted_authority_is_believed(make, settings, prefix, publish, authority, certificate, trusted):
    with Slack(authority.server_context(certificate)) as server:
        section = {"group": f"{prefix}-slack", "start": "earliest", "routes": [
            {"name": "tls", "events": ["app.created"], "webhook": {"env": "HOOK"}, "text": "hello"}]}
        change = {"ca_file": str(authority.certificate)} if trusted else {}
        program = make(settings, {"slack": section}, change, env={"HOOK": server.hook()}).start("slack")
        publish()
        if trusted:
            server.wait_for(1, HOOK)
        else:
            until(lambda: "ertificate" in program.text(), 20, "a word about the certificate")
            assert server.requests() == []


def test_an_old_event_is_settled_as_expired(worker, publish, slack):
    program = worker(config={"slack": {"max_age": "1h"}})
    publish(time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 7200)))
    until(lambda: program.metric("ferry_effects_total", outcome="expired") == 1)
    assert slack.requests(HOOK) == []


def test_a_message_to_slack_holds_no_address_of_the_webhook_in_logs(worker, publish, slack):
    program = worker()
    slack.script(HOOK, Answer(400, "invalid_payload"))
    publish()
    slack.wait_for(1, HOOK)
    until(lambda: program.metric("ferry_effects_total", outcome="dead") == 1)
    assert "/services/T000" not in program.text()
