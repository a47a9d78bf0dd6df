"""What earlier versions left behind is taken up: a spool, what waits in the retry topic, marks of effects. The files of
tests/data/formats are as those versions wrote them; unit tests (test_*_format.c) hold what is written today against them.
A newer version's leavings are neither misread nor passed over. Old and new side by side, under load: `./dev faults upgraded`
and `./dev faults workers upgraded`."""
import json
import pathlib
import sqlite3

import pytest

from conftest import WEBHOOK
from support import records
from support.ferry import event
from support.process import holds, until

FORMATS = pathlib.Path(__file__).parents[1] / "data" / "formats"
HOOK = "/services/T000/B000/XXX"
QUICK = {"session.timeout.ms": 6000, "fetch.wait.max.ms": 50}


def golden(name):
    """(key, value, headers) of each record of a file."""
    for line in (FORMATS / name).read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        key = bytes.fromhex(record["key_hex"]) if "key_hex" in record else record["key"].encode()
        yield key, record["value"].encode(), dict(record["headers"])


@pytest.fixture
def worker(settings, prefix, kafka, slack, make):
    """worker(route) → the Slack worker's program, launched; its topics are there before."""
    kafka.create_topics(f"{prefix}.slack.retry", f"{prefix}.slack.dlq", f"{prefix}.other", f"{prefix}.reload.finished",
                        f"{prefix}.app.created")
    kafka.create_topics(f"{prefix}.slack.effects", config={"cleanup.policy": "compact,delete"})

    def launch(route):
        routes = [{"name": route, "events": ["app.created", "reload.finished"], "webhook": {"env": "SLACK_WEBHOOK_URL"},
                   "text": r"\(.id)", "pace": "100/1s"}]
        section = {"group": f"{prefix}-slack", "start": "earliest", "routes": routes}
        return make(settings, {"kafka": QUICK, "slack": section}, env={"SLACK_WEBHOOK_URL": slack.hook()}).launch("slack")
    return launch


def outcomes(program, outcome):
    return program.metric("ferry_effects_total", outcome=outcome)


def test_a_spool_of_format_1_is_brought_to_kafka(settings, make, kafka, tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    with sqlite3.connect(folder / "spool.db") as database:
        database.executescript((FORMATS / "spool-1.sql").read_text(encoding="utf-8"))
    database.close()
    topics = {"name": "formats1.{event}", "internal": "formats1", "other": "formats1.other"}
    bridge = {"webhooks": [WEBHOOK], "spool": {"directory": str(folder)}}
    routes = [{"name": "r", "events": ["app.created"], "text": "x", "webhook": {"env": "QLIK_WEBHOOK_SECRET"}}]
    program = make(settings, {"topics": topics, "bridge": bridge, "slack": {"routes": routes}}).start("bridge")
    found = records.read(kafka, "formats1.app.created", lambda rs: len(rs) >= 2, 60)
    assert [r.json() for r in found] == [{"id": "a-1", "name": "Åsa", "n": 7}, {"id": "a-1", "name": "Åsa", "n": 8}]
    assert [r.headers.get("ferry-maybe-duplicate") for r in found] == [None, "true"]  # the second had been handed over
    until(lambda: program.metric("ferry_spool_events") == 0)


@pytest.mark.parametrize("version", [0, 1])
def test_what_an_earlier_version_left_to_be_tried_again_is_tried(worker, kafka, prefix, slack, version):
    entry, *_ = golden(f"retry-{version}.jsonl")
    key, value, headers = entry
    headers |= {"ferry-origin": f"{prefix}.app.created/0/41", "ce_specversion": "1.0", "ce_source": "com.qlik/engine",
                "ce_type": "com.qlik.app.created", "ce_time": "2026-11-22T10:00:00Z", "content-type": "application/json"}
    own = [name for name in headers if name == "ferry-retry" or name.startswith("ferry-") and name != "ferry-event"]
    block = {name: headers.pop(name) for name in own}  # Ferry's own are the last
    records.produce(kafka, f"{prefix}.slack.retry", value, key, headers | block)
    program = worker("new-app").wait_ready(60)
    assert slack.wait_for(1, HOOK, 20)[0].json()["text"] == "e-1"
    until(lambda: outcomes(program, "done") == 1)
    notes = records.read(kafka, f"{prefix}.slack.retry", lambda rs: len(rs) >= 2)
    assert (notes[1].headers["ferry-retry"], notes[1].headers["ferry-version"]) == ("done", "1")


@pytest.mark.parametrize("version", [0, 1])
def test_a_mark_of_an_earlier_version_is_believed(worker, kafka, prefix, slack, version):
    for key, value, headers in golden(f"effects-{version}.jsonl"):
        records.produce(kafka, f"{prefix}.slack.effects", value, key, headers)
    records.publish(kafka, f"{prefix}.reload.finished", event("com.qlik.v1.reload.finished", id="id-1"))
    program = worker("route").wait_ready(60)
    until(lambda: outcomes(program, "duplicate") == 1, 60)
    assert slack.requests(HOOK) == []


@pytest.mark.parametrize("change", [{"ferry-version": "2"}, "undone"])
def test_a_mark_that_only_a_newer_version_knows_is_a_doubt(worker, kafka, prefix, slack, change):
    """It may have been had, and it may not: Slack is told again, and it is counted."""
    (key, value, headers), = golden("effects-1.jsonl")
    value, headers = (change.encode(), headers) if isinstance(change, str) else (value, headers | change)
    records.produce(kafka, f"{prefix}.slack.effects", value, key, headers)
    records.publish(kafka, f"{prefix}.reload.finished", event("com.qlik.v1.reload.finished", id="id-1"))
    program = worker("route").wait_ready(60)
    assert slack.wait_for(1, HOOK, 20)[0].json()["text"] == "id-1"
    until(lambda: outcomes(program, "doubtful") == 1)


def test_a_worker_does_not_pass_over_what_a_newer_version_left_to_be_tried_again(worker, kafka, prefix, slack):
    key, value, headers = next(golden("retry-1.jsonl"))
    records.produce(kafka, f"{prefix}.slack.retry", value, key, headers | {"ferry-version": "2"})
    records.publish(kafka, f"{prefix}.app.created", event("com.qlik.app.created"))
    program = worker("new-app")
    program.wait_for(lambda: "what a newer version has written" in program.text(), 60)
    said = next(line for line in program.logs() if "newer version" in line["msg"])
    assert (said["level"], said["topic"], said["offset"]) == ("error", f"{prefix}.slack.retry", 0)
    holds(lambda: slack.requests(HOOK) == [], 2, "an effect, though it may have to wait for what is not understood")
