"""`ferry spool`: looking into what a bridge holds on disk, taking a copy, and bringing it to Kafka without the bridge."""
import base64
import json
import signal
import sqlite3
import subprocess
import time

import pytest

from conftest import WEBHOOK
from support import records
from support.ferry import BIN, event
from support.process import Child, free_port, until


@pytest.fixture
def away(settings, make):
    """away(…) → a Ferry whose bridge finds no Kafka at its address, with a spool."""
    def maker(**bootstrap):
        nobody = bootstrap or {"bootstrap.servers": f"127.0.0.1:{free_port()}"}
        return make(settings, {"kafka": nobody, "bridge": {"webhooks": [WEBHOOK], "spool": {"directory": "spool"},
                                                           "ack_timeout": "200ms"}})
    return maker


def spooled(ferry, count, **attributes):
    """The ids of events that a bridge took while Kafka was away; it runs on."""
    bridge = ferry.launch("bridge")
    bridge.wait_for(lambda: bridge.health("/readyz") == 200, 20, "ready: the spool can take events")
    sent = [event(data={"id": "one", "n": n}, **attributes) for n in range(count)]
    assert {bridge.post(one).status for one in sent} == {202}
    return bridge, [one["id"] for one in sent]


def spool(ferry, action, *arguments, **options):
    return ferry.run("ferry", "spool", action, "-c", ferry.path, *arguments, **options)


def point_at(ferry, kafka):
    """From now on its Kafka is this one."""
    ferry.config["kafka"] = kafka.client()
    ferry.write()


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def handed(ferry):
    """The ids of the events that may be in Kafka already."""
    rows = lines(spool(ferry, "export", "-").stdout)
    return {dict(row["headers"])["ce_id"] for row in rows if row["maybe_duplicate"]}


def test_status_and_export_read_beside_the_running_bridge(away, prefix):
    ferry = away()
    bridge, ids = spooled(ferry, 5)
    status = json.loads(spool(ferry, "status", "--json").stdout)
    assert status["events"] == 5 and status["set_aside"] == [] and status["oldest"].endswith("Z")
    assert [(t["topic"], t["events"]) for t in status["topics"]] == [(f"{prefix}.other", 5)]
    assert f"ferry-bridge, process {bridge.pid} on " in status["holder"]
    shown = spool(ferry, "status")
    assert f"{prefix}.other" in shown.stdout and "5 events" in shown.stdout and shown.returncode == 0
    done = spool(ferry, "export", "-")
    rows = lines(done.stdout)
    assert [dict(row["headers"])["ce_id"] for row in rows] == ids and done.returncode == 0
    assert [json.loads(row["value"])["n"] for row in rows] == list(range(5))
    assert all(row["key"] == "one" and row["topic"] == f"{prefix}.other" for row in rows)
    assert bridge.post(event()).status == 202, "the bridge was not disturbed"


def test_an_export_is_a_new_file_for_its_owner_alone(away):
    ferry = away()
    bridge, ids = spooled(ferry, 3)
    bridge.stop()
    target = ferry.folder / "rows.jsonl"
    assert spool(ferry, "export", target).returncode == 0
    assert target.stat().st_mode & 0o777 == 0o600 and len(lines(target.read_text())) == 3
    failed = spool(ferry, "export", ferry.folder / "nowhere" / "rows.jsonl")
    assert failed.returncode == 1 and "cannot write" in failed.stderr


def test_bytes_that_are_no_text_are_exported_as_base64(away):
    ferry = away()
    bridge, _ids = spooled(ferry, 1)
    picture = {**event(), "datacontenttype": "image/png", "data_base64": base64.b64encode(b"\xff\xfe\x00").decode()}
    del picture["data"]
    assert bridge.post(picture).status == 202
    bridge.stop()
    row = lines(spool(ferry, "export", "-").stdout)[-1]
    assert base64.b64decode(row["value_base64"]) == b"\xff\xfe\x00"


def test_a_damaged_row_is_named_and_the_others_are_exported(away, prefix):
    ferry = away()
    bridge, ids = spooled(ferry, 3)
    bridge.stop()
    with sqlite3.connect(ferry.folder / "spool" / "spool.db") as database:
        number, = database.execute("SELECT sequence FROM rows ORDER BY sequence LIMIT 1 OFFSET 1").fetchone()
        database.execute("UPDATE rows SET record = zeroblob(length(record)) WHERE sequence = ?", (number,))
    done = spool(ferry, "export", "-")
    rows = lines(done.stdout)
    assert done.returncode == 1 and f"row {number} of {prefix}.other is damaged" in done.stderr
    assert [row.get("damaged", False) for row in rows] == [False, True, False] and "value" not in rows[1]


def test_drain_is_refused_while_the_bridge_runs(away):
    ferry = away()
    bridge, _ids = spooled(ferry, 2)
    done = spool(ferry, "drain", "--timeout", "2s")
    assert done.returncode == 1 and f"in use by ferry-bridge, process {bridge.pid} on " in done.stderr
    bridge.stop()
    assert json.loads(spool(ferry, "status", "--json").stdout)["events"] == 2


def test_a_second_bridge_is_told_who_has_the_spool(away):
    ferry = away()
    bridge, _ids = spooled(ferry, 1)
    code, said = ferry.fail("ferry-bridge")
    assert code == 1 and f"ferry-bridge, process {bridge.pid} on " in said
    bridge.stop()
    again = ferry.launch("bridge")
    opened = until(lambda: [line for line in again.logs() if line["msg"] == "spool opened"], 20)
    assert opened[0]["events"] == 1, "what an earlier run left"


def test_drain_brings_everything_to_kafka_in_order(away, kafka, prefix):
    ferry = away()
    bridge, ids = spooled(ferry, 300)
    bridge.stop()
    point_at(ferry, kafka)
    before = handed(ferry)
    assert len(before) < 5, "what the bridge's producer held when it stopped"
    planned = spool(ferry, "drain", "--dry-run")
    assert planned.returncode == 0 and planned.stdout.startswith("300 events")
    done = spool(ferry, "drain", "--json", limit=90)
    assert json.loads(done.stdout) == {"drained": 300, "set_aside": 0, "left": 0}, done.stderr
    assert done.returncode == 0
    found = records.read(kafka, f"{prefix}.other", lambda rs: len(rs) >= 300)
    assert [r.id for r in found] == ids, "once each, in the order of acceptance"
    assert {r.id for r in found if "ferry-maybe-duplicate" in r.headers} == before
    assert json.loads(spool(ferry, "status", "--json").stdout)["events"] == 0
    journal = [r.json() for r in records.read(kafka, f"{prefix}.operations")]
    assert [(o["command"], o["count"]) for o in journal] == [("spool drain", 300)]


def test_only_the_row_that_is_too_large_is_set_aside_though_kafka_refuses_its_whole_batch(away, kafka, prefix):
    ferry = away()
    ferry.config["topics"]["config"] = {"max.message.bytes": "20000"}
    ferry.write()
    bridge, ids = spooled(ferry, 5)
    large, small = event(data={"id": "one", "text": "x" * 30000}), event(data={"id": "one"})
    assert [bridge.post(one).status for one in (large, small)] == [202, 202]
    bridge.stop()
    point_at(ferry, kafka)
    done = spool(ferry, "drain", "--json", limit=60)
    assert json.loads(done.stdout) == {"drained": 6, "set_aside": 1, "left": 0}, done.stderr
    assert [r.id for r in records.read(kafka, f"{prefix}.other", lambda rs: len(rs) >= 6)] == [*ids, small["id"]]


def test_drain_without_kafka_gives_up_and_loses_nothing(away, kafka, prefix):
    ferry = away()
    bridge, ids = spooled(ferry, 20)
    bridge.stop()
    began = time.monotonic()
    done = spool(ferry, "drain", "--timeout", "1s", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["left"] == 20
    assert "no Kafka broker answered at 127.0.0.1:" in done.stderr and time.monotonic() - began < 15
    point_at(ferry, kafka)
    assert spool(ferry, "drain", limit=90).returncode == 0
    assert [r.id for r in records.read(kafka, f"{prefix}.other", lambda rs: len(rs) >= 20)] == ids


def test_a_broker_that_hangs_in_the_middle_costs_nothing(away, kafka, prefix):
    ferry = away()
    bridge, ids = spooled(ferry, 20)
    bridge.stop()
    point_at(ferry, kafka)
    kafka.create_topics(f"{prefix}.other")
    kafka.brokers[0].pause()
    try:
        assert spool(ferry, "drain", "--timeout", "1s", limit=60).returncode == 1
    finally:
        kafka.brokers[0].resume()
    assert spool(ferry, "drain", limit=60).returncode == 0
    found = [r.id for r in records.read(kafka, f"{prefix}.other", lambda rs: len({r.id for r in rs}) >= 20)]
    assert list(dict.fromkeys(found)) == ids


@pytest.mark.parametrize("number, in_doubt", [(signal.SIGINT, False), (signal.SIGKILL, True)])
def test_what_the_producer_holds_when_drain_ends_stays_in_the_spool(away, kafka, prefix, number, in_doubt):
    ferry = away()
    bridge, ids = spooled(ferry, 100)
    bridge.stop()
    before = handed(ferry)
    kafka.create_topics(f"{prefix}.other")
    ferry.config["kafka"] = {**kafka.client(), "linger.ms": 20000}  # nothing leaves the producer
    ferry.write()
    drain = Child([BIN / "ferry", "spool", "drain", "-c", ferry.path], ferry.folder / "drain.log", env=ferry.env)
    drain.wait_for(lambda: handed(ferry) == set(ids), 30, "all is handed over, and that is on disk")
    drain.signal(number)
    assert drain.wait(30) == (-number if number == signal.SIGKILL else 1)
    assert handed(ferry) == (set(ids) if in_doubt else before)
    point_at(ferry, kafka)
    assert spool(ferry, "drain", limit=60).returncode == 0
    found = records.read(kafka, f"{prefix}.other", lambda rs: len(rs) >= 100)
    assert [r.id for r in found] == ids, "all, in the order of acceptance"
    assert {r.id for r in found if "ferry-maybe-duplicate" in r.headers} == (set(ids) if in_doubt else before)


def test_a_topic_that_is_missing_keeps_its_events_and_the_others_flow(away, kafka, prefix):
    ferry = away()
    ferry.config["slack"] = {"routes": [{"name": "all", "events": ["app.created"], "text": "x",
                                         "webhook": {"env": "SLACK_WEBHOOK_URL"}}]}
    ferry.config["topics"]["create"] = "never"
    ferry.write()
    bridge, _ids = spooled(ferry, 3)
    deleted = event("com.qlik.app.deleted")
    assert bridge.post(deleted).status == 202
    bridge.stop()
    kafka.create_topics(f"{prefix}.other")
    point_at(ferry, kafka)
    done = spool(ferry, "drain", "--json", limit=60)
    assert done.returncode == 1 and json.loads(done.stdout) == {"drained": 1, "set_aside": 0, "left": 3}
    assert f"{prefix}.app.created: the topic is missing" in done.stderr
    assert [r.id for r in records.read(kafka, f"{prefix}.other")] == [deleted["id"]]


def test_a_directory_without_a_spool_is_nothing_to_drain(away, tmp_path):
    ferry = away()
    done = spool(ferry, "drain")
    assert done.returncode == 0 and "nothing to drain" in done.stderr
    looked = spool(ferry, "status")
    assert looked.returncode == 1 and "there is no" in looked.stderr


@pytest.mark.parametrize("arguments", [[], ["look"], ["export"], ["drain", "x"], ["status", "--set-aside"],
                                       ["drain", "--timeout", "soon"], ["drain", "--directory", "/tmp"]])
def test_wrong_usage_is_2(away, arguments):
    done = subprocess.run([BIN / "ferry", "spool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr
