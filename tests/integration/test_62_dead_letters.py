"""`ferry dlq`: which dead letters there are, one of them in full, trying them again, dropping them; and `ferry lag`."""
import json
import os
import pty
import re
import subprocess
import time

import pytest

from support import records
from support.ferry import BIN, event
from support.http import Answer
from support.process import Child, free_port, until

# An empty partition is known to be empty when a fetch has been waited for.
QUICK = {"session.timeout.ms": 6000, "fetch.wait.max.ms": 50}
HOOK = "/services/T000/B000/XXX"
ROUTE = {"name": "new-app", "events": ["app.created"], "webhook": {"env": "SLACK_WEBHOOK_URL"},
         "text": r"\(.resource.name)", "pace": "100/1s"}


@pytest.fixture
def ferry(settings, prefix, slack, make):
    section = {"group": f"{prefix}-slack", "start": "earliest", "routes": [ROUTE],
               "retry": {"first": "200ms", "max": "1s", "for": "1h"}}
    return make(settings, {"slack": section, "kafka": QUICK},
                env={"SLACK_WEBHOOK_URL": slack.hook()})


@pytest.fixture
def dead(ferry, kafka, prefix, slack):
    """dead(n, …) → a worker that has given up n events, each of another resource; and the events."""
    def give_up(count, answer=Answer(403, "action_prohibited"), **attributes):
        slack.script(HOOK, *[answer] * count)
        worker = ferry.start("slack")
        sent = [event(data={"id": f"r{n}", "name": f"app {n}", "owner": "ada.lovelace@example.com"}, **attributes)
                for n in range(count)]
        for one in sent:
            records.publish(kafka, f"{prefix}.app.created", one)
        records.read(kafka, f"{prefix}.slack.dlq", lambda rs: len(rs) >= count, 30)
        return worker, sent
    return give_up


def dlq(ferry, action, *arguments, **options):
    return ferry.run("ferry", "dlq", action, "-c", ferry.path, *arguments, **options)


def listed(ferry, *arguments):
    done = dlq(ferry, "list", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def journal(kafka, prefix):
    return [r.json() for r in records.read(kafka, f"{prefix}.operations")]


def retries(kafka, prefix):
    """The entries of redriven letters."""
    found = records.read(kafka, f"{prefix}.slack.retry")
    return [r for r in found if r.headers.get("ferry-retry") == "entry" and "ferry-redrive" in r.headers]


def test_letters_are_listed_and_counted(ferry, dead, prefix):
    _worker, sent = dead(3)
    letters = listed(ferry)
    assert [one["letter"] for one in letters] == [f"{prefix}.slack.dlq/0/{n}" for n in range(3)]
    assert {one["route"] for one in letters} == {"new-app"} and {one["event"] for one in letters} == {"app.created"}
    assert all(one["attempts"] == 1 and one["error"] == "http-refused" and "action_prohibited" in one["reason"]
               and one["state"] == "open" and one["origin"].startswith(f"{prefix}.app.created/0/") for one in letters)
    shown = dlq(ferry, "list").stdout
    assert f"{prefix}.slack.dlq/0/2" in shown and "3 dead letters" in shown and "3  slack http-refused" in shown


def test_filters_choose(ferry, dead):
    dead(2)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    assert len(listed(ferry, "--reason", "http-refused", "--route", "new-app", "--worker", "slack", "--event", "app.*",
                      "--from", "-10m", "--to", now)) == 2
    for leave in (("--reason", "template_null"), ("--route", "other"), ("--worker", "mail"), ("--event", "user.*"),
                  ("--from", now), ("--to", "-10m")):
        assert listed(ferry, *leave) == [], leave
    assert [one["letter"].rpartition("/")[2] for one in listed(ferry, "slack/0/1")] == ["1"]


def test_one_letter_is_shown_with_headers_and_value_and_addresses_masked(ferry, dead, prefix):
    _worker, (sent,) = dead(1, subject="\x1b]0;owned\x07")
    shown = dlq(ferry, "show", "slack/0/0")
    assert shown.returncode == 0 and f"ce_id: {sent['id']}" in shown.stdout and "ferry-route: new-app" in shown.stdout
    assert '{\n  "id": "r0",\n  "name": "app 0",' in shown.stdout
    assert "a***@example.com" in shown.stdout and "ada.lovelace" not in shown.stdout
    assert "\x1b" not in shown.stdout and r"\x1b]0;owned\x07" in shown.stdout
    whole = json.loads(dlq(ferry, "show", "--json", "--unmasked", f"{prefix}.slack.dlq/0/0").stdout)
    assert json.loads(whole["value"]) == sent["data"] and whole["key"] == "r0"
    assert {"name": "ce_id", "value": sent["id"]} in whole["headers"]


def test_redriven_letters_go_to_the_retry_topic_of_their_route_once(ferry, dead, kafka, prefix):
    worker, sent = dead(3)
    worker.stop()
    assert json.loads(dlq(ferry, "redrive", "--dry-run", "--json").stdout) == {"would_be_redriven": 3, "refused": 0}
    done = dlq(ferry, "redrive", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["redriven"] == 3, done.stderr
    entries = retries(kafka, prefix)
    originals = {r.id: r for r in records.read(kafka, f"{prefix}.app.created")}
    assert {r.headers["ce_id"] for r in entries} == {one["id"] for one in sent}
    for entry in entries:
        original = originals[entry.headers["ce_id"]]
        assert (entry.key, entry.value) == (original.key, original.value)
        assert entry.pairs[:len(original.pairs)] == original.pairs, "byte-identical, in order, Ferry's own behind"
        assert entry.headers["ferry-origin"] == f"{original.topic}/{original.partition}/{original.offset}"
        assert entry.headers["ferry-route"] == "new-app" and entry.headers["ferry-redrive"] == answer["run"]
        assert entry.headers["ferry-attempts"] == "0" and "ferry-failed-at" not in entry.headers
    record, = journal(kafka, prefix)
    assert record["command"] == "dlq redrive" and record["count"] == 3 and record["state"] == "done"
    assert record["details"] == {"letters": {f"{prefix}.slack.dlq": {"0": [[0, 2]]}}}
    again = dlq(ferry, "redrive")
    assert again.returncode == 0 and "no dead letter to be redriven" in again.stdout
    assert listed(ferry) == [] and {one["state"] for one in listed(ferry, "--all")} == {"redriven"}
    assert len(retries(kafka, prefix)) == 3


def test_a_redriven_letter_takes_effect(ferry, dead, slack):
    _worker, sent = dead(2)
    before = len(slack.requests(HOOK))
    slack.script(HOOK, Answer(200, "ok"))
    assert dlq(ferry, "redrive").returncode == 0
    until(lambda: len(slack.requests(HOOK)) >= before + 2, 30, "the redriven messages")
    assert {r.json()["text"] for r in slack.requests(HOOK)[before:]} == {one["data"]["name"] for one in sent}
    assert listed(ferry) == []

    def lag():
        done = ferry.run("ferry", "lag", "-c", ferry.path, "--json")
        return json.loads(done.stdout)["workers"][0]
    until(lambda: lag()["retries_waiting"] == 0, 20, "the entries settled")
    assert lag()["dead_letters"] == 0


def test_dropped_letters_are_left_out_and_nothing_is_deleted(ferry, dead, kafka, prefix):
    dead(3)
    done = dlq(ferry, "drop", "slack/0/0", "slack/0/2", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["dropped"] == 2
    assert [one["letter"] for one in listed(ferry)] == [f"{prefix}.slack.dlq/0/1"]
    assert [one["state"] for one in listed(ferry, "--all")] == ["dropped", "open", "dropped"]
    assert len(records.read(kafka, f"{prefix}.slack.dlq")) == 3
    assert journal(kafka, prefix)[0]["details"] == {"letters": {f"{prefix}.slack.dlq": {"0": [[0, 0], [2, 2]]}}}
    assert json.loads(dlq(ferry, "redrive", "--dry-run", "--json").stdout)["would_be_redriven"] == 1


def test_what_cannot_be_redriven_is_refused_with_the_reason(ferry, dead, kafka, prefix):
    dead(1)
    records.produce(kafka, f"{prefix}.app.created", b"\xff not json", "k", {"ce_id": "x"})
    records.read(kafka, f"{prefix}.slack.dlq", lambda rs: len(rs) >= 2, 30)
    ferry.stop()
    refused = dlq(ferry, "redrive", "slack/0/1")
    assert refused.returncode == 1 and f"{prefix}.slack.dlq/0/1: it has no route" in refused.stderr
    ferry.config["slack"]["routes"][0]["name"] = "renamed"
    ferry.write()
    gone = dlq(ferry, "redrive", "slack/0/0")
    assert gone.returncode == 1 and "its route is not in the configuration any more" in gone.stderr
    assert retries(kafka, prefix) == [] and len(listed(ferry)) == 2


def test_on_a_terminal_it_asks_first(ferry, dead, kafka, prefix):
    dead(1)
    for answer, left in (("n\n", 1), ("y\n", 0)):
        mine, theirs = pty.openpty()
        process = subprocess.Popen([BIN / "ferry", "dlq", "drop", "-c", ferry.path], stdin=theirs, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **ferry.env})
        os.close(theirs)
        os.write(mine, answer.encode())
        _out, said = process.communicate(timeout=30)
        os.close(mine)
        assert "Drop 1 dead letter? [y/N]" in said and process.returncode == left
        assert len(listed(ferry)) == left


def test_a_redrive_that_is_killed_half_way_goes_on(ferry, dead, kafka, prefix):
    worker, _sent = dead(1)
    worker.stop()
    one = records.read(kafka, f"{prefix}.slack.dlq")[0]
    many = 3000
    fill(kafka, f"{prefix}.slack.dlq", one, many - 1, prefix)
    before = len(listed(ferry))
    assert before == many
    first = Child([BIN / "ferry", "dlq", "redrive", "-c", ferry.path], ferry.folder / "redrive.log", env=ferry.env)
    until(lambda: not first.running or f"{prefix}.operations" in kafka.topics() and journal(kafka, prefix), 30)
    first.kill()
    assert dlq(ferry, "redrive", limit=60).returncode == 0
    assert listed(ferry) == []
    origins = [r.headers["ferry-origin"] for r in retries(kafka, prefix)]
    assert len(set(origins)) == many and len(origins) <= many + 1000, "at most one batch twice"
    named = sum(r["details"]["letters"][f"{prefix}.slack.dlq"]["0"][0][1] + 1
                - r["details"]["letters"][f"{prefix}.slack.dlq"]["0"][0][0] for r in journal(kafka, prefix))
    assert named == many


def fill(kafka, topic, letter, count, prefix):
    """More letters like this one, of other origins."""
    from confluent_kafka import Producer
    producer = Producer({**kafka.client(), "log_level": 0})
    for n in range(count):
        pairs = [(k, f"{prefix}.app.created/0/{n + 1000}".encode() if k == "ferry-origin" else v) for k, v in letter.pairs]
        producer.produce(topic, letter.value, letter.key, headers=pairs, partition=0)
    assert producer.flush(30) == 0


def test_letters_of_a_topic_that_was_made_anew_are_not_taken_for_handled_ones(ferry, dead, kafka, prefix):
    worker, _sent = dead(1)
    assert dlq(ferry, "drop", "--yes").returncode == 0
    record = records.read(kafka, f"{prefix}.operations")[0]
    long_ago = {**record.json(), "time": "2020-01-01T00:00:00.000Z"}
    records.produce(kafka, f"{prefix}.app.created", b"\xff", "k", {"ce_id": "y"})
    records.read(kafka, f"{prefix}.slack.dlq", lambda rs: len(rs) >= 2, 30)
    long_ago["details"] = {"letters": {f"{prefix}.slack.dlq": {"0": [[1, 1]]}}}
    records.produce(kafka, f"{prefix}.operations", json.dumps(long_ago).encode(), "old")
    assert [one["letter"] for one in listed(ferry)] == [f"{prefix}.slack.dlq/0/1"]


def test_a_letter_that_is_not_there_and_kafka_that_is_not(ferry, dead):
    dead(1)
    missing = dlq(ferry, "show", "slack/0/99")
    assert missing.returncode == 1 and "there is no dead letter" in missing.stderr
    ferry.config["kafka"] = {"bootstrap.servers": f"127.0.0.1:{free_port()}"}
    ferry.write()
    began = time.monotonic()
    away = dlq(ferry, "list")
    assert away.returncode == 1 and "no Kafka broker answered at 127.0.0.1:" in away.stderr
    assert time.monotonic() - began < 13


@pytest.mark.parametrize("arguments, word", [
    ([], "say what to do"), (["look"], "say what to do"), (["show"], "one letter"), (["list", "--worker", "fax"], "slack"),
    (["list", "--reason", "http-refuse"], "did you mean http-refused"), (["list", "--from", "soon"], "moments"),
    (["list", "--yes"], "redrive and drop"), (["drop"], "--yes for all"), (["redrive", "--unmasked"], "show")])
def test_wrong_usage_is_2_and_says_what_is_right(arguments, word):
    done = subprocess.run([BIN / "ferry", "dlq", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2 and word in done.stderr and re.search("--help", done.stderr)
