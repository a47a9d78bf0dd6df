"""The three shapes of Qlik's events, every documented example, and the repairs."""
import json
import pathlib
import re
import time
import uuid

import pytest

from support import records
from support.ferry import event

EVENTS = pathlib.Path(__file__).resolve().parents[1] / "data" / "events"
FIXTURES = sorted(EVENTS.glob("*/*.json"))


def fill(text):
    """Placeholders of a fixture: {{now}} is the time, any other {{word}} something new."""
    text = text.replace("{{now}}", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    return re.sub(r"\{\{\w+\}\}", lambda _found: str(uuid.uuid4()), text)


def legacy(type="com.qlik.v1.app.created", **changes):
    result = {
        "cloudEventsVersion": "0.1", "source": "com.qlik/engine", "contentType": "application/json",
        "eventId": str(uuid.uuid4()), "eventTime": "2026-11-01T10:00:00Z", "eventTypeVersion": "1.0.0", "eventType": type,
        "extensions": {"tenantId": "t1", "userId": "u1", "ownerId": "o1", "spaceId": "s1", "topLevelResourceId": "r1",
                       "actor": {"sub": "x"}, "updates": [1, 2]},
        "data": {"attributes": {"id": "app-1", "name": "Sales"}},
    }
    result.update(changes)
    return {k: v for k, v in result.items() if v is not None}


def test_there_are_fixtures():
    assert FIXTURES, "tests/data/events is empty"


@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_documented_event_arrives_whole(bridge, kafka, path):
    sent, event_id = json.loads(fill(path.read_text(encoding="utf-8"))), str(uuid.uuid4())
    # An id of its own, where the example has one at all.
    sent |= {member: event_id for member in ("id", "eventId") if member in sent}
    canonical = path.parent.name
    assert bridge.post(sent).status == 204
    if not {"id", "eventId"} & set(sent):
        return
    record = records.wait_for_id(kafka, f"qlik.{canonical}", event_id)
    assert record.headers["ferry-event"] == canonical
    assert record.headers["ferry-format"] == path.stem
    assert record.headers["ce_specversion"] == "1.0" and record.headers["ce_time"]
    if "data" in sent:
        assert record.json() == sent["data"]


def test_a_legacy_event_becomes_a_cloudevent(bridge, kafka):
    sent = legacy()
    assert bridge.post(sent).status == 204
    record = records.wait_for_id(kafka, "qlik.app.created", sent["eventId"])
    headers = record.headers
    expected = {
        "ce_specversion": "1.0", "ce_id": sent["eventId"], "ce_source": sent["source"], "ce_type": "com.qlik.v1.app.created",
        "ce_time": "2026-11-01T10:00:00Z", "content-type": "application/json", "ce_eventtypeversion": "1.0.0",
        "ce_tenantid": "t1", "ce_userid": "u1", "ce_ownerid": "o1", "ce_spaceid": "s1", "ce_toplevelresourceid": "r1",
        "ferry-format": "legacy", "ferry-event": "app.created",
    }
    assert expected.items() <= headers.items()
    assert json.loads(headers["ce_actor"]) == {"sub": "x"} and json.loads(headers["ce_updates"]) == [1, 2]
    assert record.key == b"r1"
    assert not {"ce_cloudeventsversion", "ce_eventtype", "ce_eventid", "ce_extensions"} & set(headers)


def test_in_a_hybrid_the_new_members_win(bridge, kafka):
    new = event("com.qlik.app.created", tenantid="new")
    sent = {**legacy(), **new}
    assert bridge.post(sent).status == 204
    headers = records.wait_for_id(kafka, "qlik.app.created", new["id"]).headers
    assert headers["ferry-format"] == "hybrid"
    assert headers["ce_id"] == new["id"] and headers["ce_tenantid"] == "new" and headers["ce_type"] == "com.qlik.app.created"


REPAIRS = [
    {"specversion": "1.0.2"},
    {"specversion": "1.0", "extensions": {"tenantId": "t", "actor": {"a": 1}}},
    {"specversion": "1.0", "updates": [{"op": "replace"}]},
    {"specversion": "1.0", "datacontenttype": "string"},
    {"specversion": "1.0", "time": "2026-11-01"},
    {"specversion": "1.0", "time": None},
    {"specversion": "1.0", "eventType": "com.qlik.app.created"},
]


@pytest.mark.parametrize("change", REPAIRS, ids=str)
def test_where_qlik_strays_the_event_is_repaired_and_counted(bridge, kafka, change):
    before = bridge.metric("ferry_repairs_total")
    sent = {k: v for k, v in {**event(), **change}.items() if v is not None}
    assert bridge.post(sent).status == 204
    record = records.wait_for_id(kafka, "qlik.app.created", sent["id"])
    assert record.headers["ce_specversion"] == "1.0" and record.headers["content-type"] == "application/json"
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", record.headers["ce_time"])
    records.python_sdk(record)
    assert bridge.metric("ferry_repairs_total") > before


def test_a_missing_id_becomes_the_same_id_for_the_same_body(bridge, kafka):
    marker = str(uuid.uuid4())
    sent = event(data={"id": marker})
    del sent["id"]
    assert bridge.post(sent).status == bridge.post(sent).status == 204
    found = records.read(kafka, "qlik.app.created", lambda rs: sum(r.key == marker.encode() for r in rs) >= 2)
    ids = {r.id for r in found if r.key == marker.encode()}
    assert len(ids) == 1 and ids.pop()
