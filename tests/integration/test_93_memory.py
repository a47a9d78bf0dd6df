"""Memory runs out at one allocation after the other on the way of a request: the sender hears the truth, nothing that was
acknowledged is lost, and the next request is served."""
import uuid

import pytest

from conftest import WEBHOOK
from support import records
from support.ferry import encode, event, sign
from support.process import until
from support.scarcity import Scarcity, walk


STRICT = {"path": "/webhooks/strict", "format": "cloudevents", "signature": "github", "events": ["com.acme.*"],
          "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}]}

PLAIN = {"path": "/webhooks/json", "format": "json", "signature": "github", "events": ["com.github.*"],
         "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}], "type": r'com.github.\(.headers["x-github-event"])',
         "id": r'\(.headers["x-github-delivery"])', "source": "https://github.com/acme"}


def one(bridge):
    sent = event()
    return bridge.post(sent, timeout=10).status, [sent["id"]]


def batch(bridge):
    sent = [event("com.acme.thing", specversion="1.0") for _ in range(3)]
    body = encode(sent)
    answer = bridge.post(body, {"X-Hub-Signature-256": "sha256=" + sign(body)}, path=STRICT["path"],
                         content_type="application/cloudevents-batch+json", timeout=10)
    return answer.status, [e["id"] for e in sent]


def other_json(bridge):
    sent = str(uuid.uuid4())
    body = b'{"action": "opened"}'
    headers = {"X-Hub-Signature-256": "sha256=" + sign(body), "X-GitHub-Event": "push", "X-GitHub-Delivery": sent}
    return bridge.post(body, headers, path="/webhooks/json", timeout=10).status, [sent]


def no_event(bridge):
    return bridge.post(b"signed, but no event", timeout=10).status, []


@pytest.mark.parametrize("kafka_is", ["there", "away"])
def test_an_allocation_that_fails_costs_one_request_at_most(make, settings, kafka, prefix, tmp_path, kafka_is):
    scarcity = Scarcity(tmp_path)
    there = kafka.client()
    settings["bridge"] = {"spool": {"directory": "spool"}, "ack_timeout": "300ms", "webhooks": [WEBHOOK, STRICT, PLAIN]}
    if kafka_is == "away":
        settings["kafka"] = {"bootstrap.servers": "127.0.0.1:1"}
    ferry = make(settings, env=scarcity.env)
    bridge = ferry.start("bridge")
    good = {204} if kafka_is == "there" else {202}
    until(lambda: bridge.post(event()).status in good, 20, "everyday's answer")
    accepted = []
    for send in (one, batch, no_event, other_json):
        heard, ids, problems = walk(bridge, scarcity, good | {202}, lambda send=send: send(bridge))
        assert not problems, problems
        assert len(heard) > 12, "a request makes more allocations than that"
        assert {a for a in heard.values() if a not in good}, "none of them mattered"
        accepted += ids
    if kafka_is == "away":
        bridge.stop()
        ferry.config["kafka"] = there
        ferry.write()
        ferry.env.pop("LD_PRELOAD")
        ferry.start("bridge")
    found = records.read(kafka, f"{prefix}.other", lambda rs: set(accepted) <= {r.id for r in rs}, 30)
    assert set(accepted) <= {r.id for r in found}
