"""Every event of the catalogue, in its three shapes, from the webhook through Kafka to a worker's effect."""
import json
import uuid

from conftest import WEBHOOK
from support.process import until
from test_30_formats import FIXTURES, fill

HOOK = "/services/T000/B000/XXX"


def sent_event(path):
    """The fixture with an id of its own; None for those that have none, which are told apart by nothing else."""
    sent, event_id = json.loads(fill(path.read_text(encoding="utf-8"))), str(uuid.uuid4())
    present = {"id", "eventId"} & set(sent)
    return (sent | {member: event_id for member in present}, event_id) if present else None


def test_every_documented_event_takes_effect_in_all_shapes(make, settings, prefix, slack):
    route = {"name": "all", "events": ["*"], "webhook": {"env": "SLACK_WEBHOOK_URL"}, "pace": "10000/1s",
             "once_per": [".id"], "text": r'\(.event) \(.id) \(.resource | type)'}
    config = {"topics": {"name": prefix + ".{family}"}, "bridge": {"webhooks": [WEBHOOK]},
              "slack": {"group": f"{prefix}-slack", "start": "earliest", "routes": [route]}}
    ferry = make(settings, config, env={"SLACK_WEBHOOK_URL": slack.hook()})
    bridge = ferry.start("bridge")
    worker = ferry.start("slack")
    expected = set()
    for path in FIXTURES:
        prepared = sent_event(path)
        if prepared is None:
            continue
        sent, event_id = prepared
        assert bridge.post(sent).status == 204, path
        expected.add(f"{path.parent.name} {event_id}")
    assert len(expected) > 300

    def seen():
        return {r.json()["text"].rpartition(" ")[0] for r in slack.requests(HOOK)}
    until(lambda: seen() >= expected, 60, f"{len(expected)} messages")
    assert seen() == expected and len(slack.requests(HOOK)) == len(expected)
    assert {r.json()["text"].rpartition(" ")[2] for r in slack.requests(HOOK)} == {"object"}
    until(lambda: worker.metric("ferry_effects_total", worker="slack", outcome="done") == len(expected))
    assert worker.metric("ferry_dead_letters_total") == 0
