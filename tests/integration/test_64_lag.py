"""`ferry lag`: how far the workers are behind, looked at from outside."""
import json
import os
import re
import signal
import subprocess
import time
import uuid

import pytest

from support import records
from support.ferry import BIN, event
from support.process import Child, free_port, until

# An empty partition is known to be empty when a fetch has been waited for.
QUICK = {"fetch.wait.max.ms": 50}
HOOK = "/services/T000/B000/XXX"
ROUTE = {"name": "apps", "events": ["app.*"], "webhook": {"env": "SLACK_WEBHOOK_URL"}, "text": r"\(.data.n)",
         "pace": "1000/1s"}


@pytest.fixture
def ferry(settings, prefix, slack, make):
    section = {"group": f"{prefix}-slack", "start": "earliest", "routes": [ROUTE]}
    return make(settings, {"slack": section, "topics": {"partitions": 2}, "kafka": QUICK}, env={"SLACK_WEBHOOK_URL": slack.hook()})


def publish(kafka, prefix, count):
    for n in range(count):
        records.publish(kafka, f"{prefix}.app.created", event(data={"id": "one", "n": n}, tenantid=str(uuid.uuid4())))


def lag(ferry, *arguments):
    done = ferry.run("ferry", "lag", "-c", ferry.path, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    worker, = json.loads(done.stdout)["workers"]
    return worker


def test_lag_members_and_ages_of_a_worker(ferry, kafka, prefix, slack):
    worker = ferry.start("slack")
    publish(kafka, prefix, 5)
    slack.wait_for(5, HOOK)
    up = until(lambda: (now := lag(ferry))["lag"] == 0 and now, 20, "all committed")
    assert up["state"] == "Stable" and up["oldest_seconds"] is None and up["group"] == f"{prefix}-slack"
    member, = up["members"]
    assert member["partitions"] >= len([p for p in up["partitions"]]) and member["client"] == "ferry"
    assert {p["topic"] for p in up["partitions"]} >= {f"{prefix}.app.created", f"{prefix}.other"}
    assert not any(p["topic"].endswith((".dlq", ".effects", ".retry")) for p in up["partitions"])
    worker.stop()
    publish(kafka, prefix, 3)
    began = time.time()
    time.sleep(1.1)
    down = lag(ferry)
    assert down["state"] == "Empty" and down["members"] == [] and down["lag"] == 3
    behind, = [p for p in down["partitions"] if p["lag"]]
    assert behind["topic"] == f"{prefix}.app.created" and behind["end"] - behind["committed"] == 3
    assert 1.0 <= behind["oldest_seconds"] <= time.time() - began + 3 and down["oldest_seconds"] == behind["oldest_seconds"]
    shown = ferry.run("ferry", "lag", "-c", ferry.path).stdout
    assert re.search(rf"slack +{prefix}-slack +Empty +0 +3 ", shown) and f"{prefix}.app.created" in shown
    assert f"{prefix}.other" not in shown and f"{prefix}.other" in ferry.run("ferry", "lag", "-c", ferry.path, "--all").stdout
    ferry.start("slack")
    until(lambda: lag(ferry)["lag"] == 0, 20, "caught up: the look has not moved the group")
    assert len(slack.wait_for(8, HOOK)) == 8


def test_a_worker_that_never_started(ferry, kafka, prefix):
    kafka.create_topics(f"{prefix}.app.created", partitions=2)
    publish(kafka, prefix, 4)
    never = lag(ferry)
    assert never["state"] == "Dead" and never["lag"] == 4, "it will begin at the beginning"
    assert "never started" in ferry.run("ferry", "lag", "-c", ferry.path).stdout
    ferry.config["slack"]["start"] = "now"
    ferry.write()
    assert lag(ferry)["lag"] == 0, "it will begin at the end"


def test_retries_that_wait_and_dead_letters_are_counted(ferry, kafka, prefix):
    kafka.create_topics(f"{prefix}.slack.retry", f"{prefix}.slack.dlq", f"{prefix}.app.created", partitions=2)

    def retry(kind, offset, **more):
        records.produce(kafka, f"{prefix}.slack.retry", b"", "k", {
            "ferry-retry": kind, "ferry-route": "apps", "ferry-origin": f"{prefix}.app.created/0/{offset}",
            "ferry-attempts": "1", "ferry-first-failure": "2026-11-22T10:00:00.000Z",
            "ferry-due": "2026-11-22T10:00:00.000Z"} | more)
    for kind, offset in (("entry", 1), ("entry", 2), ("entry", 2), ("again", 1), ("done", 2), ("entry", 3), ("done", 9)):
        retry(kind, offset)
    for n in range(3):
        records.produce(kafka, f"{prefix}.slack.dlq", b"{}", "k", {"ferry-route": "apps", "n": str(n)})
    counted = lag(ferry, "--worker", "slack")
    assert (counted["retries_waiting"], counted["dead_letters"]) == (2, 3)
    letters = json.loads(ferry.run("ferry", "dlq", "list", "-c", ferry.path, "--json").stdout)
    assert ferry.run("ferry", "dlq", "drop", "-c", ferry.path, letters[0]["letter"], letters[1]["letter"]).returncode == 0
    assert lag(ferry)["dead_letters"] == 1


def test_watch_looks_again_until_ctrl_c(ferry, kafka, prefix):
    kafka.create_topics(f"{prefix}.app.created")
    watching = Child([BIN / "ferry", "lag", "-c", ferry.path, "--watch", "--json"], ferry.folder / "lag.log", env=ferry.env)
    until(lambda: watching.text().count("\n") >= 2, 30, "two looks")
    watching.signal(signal.SIGINT)
    assert watching.wait(10) == 0
    assert all(json.loads(line)["workers"] for line in watching.text().splitlines())


def test_without_kafka_it_says_so_in_ten_seconds(ferry):
    port = free_port()
    ferry.config["kafka"] = {"bootstrap.servers": f"127.0.0.1:{port}"}
    ferry.write()
    began = time.monotonic()
    done = ferry.run("ferry", "lag", "-c", ferry.path)
    assert done.returncode == 1 and f"no Kafka broker answered at 127.0.0.1:{port}" in done.stderr
    assert time.monotonic() - began < 13


@pytest.mark.parametrize("arguments", [["--worker", "fax"], ["now"], ["--every", "2"]])
def test_wrong_usage_is_2(arguments):
    done = subprocess.run([BIN / "ferry", "lag", *arguments], capture_output=True, text=True, check=False,
                          env={**os.environ})
    assert done.returncode == 2 and done.stderr
