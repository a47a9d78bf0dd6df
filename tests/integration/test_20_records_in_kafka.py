"""What a record looks like, to clients that nobody here wrote: kcat, Python's and JavaScript's CloudEvents SDK."""
import base64
import datetime
import json
import re
import uuid

import pytest

from conftest import WEBHOOK
from support import records
from support.ferry import event, sign

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
# Numbers, escapes and spaces that a parser and printer in between would change.
ODD = ('{ "price":1.10,"exp":1.0e5,"huge":1e400,"int":12345678901234567891,"zero":-0.0,"esc":"\\u00e5\\/",'
       '"dup":1,"dup":2 ,"name":"Åsa","id":"%s"}')


def send_raw_data(bridge, data, **attributes):
    """A structured event whose data are these very bytes."""
    sent = event(data={}, **attributes)
    del sent["data"]
    body = json.dumps(sent)[:-1].encode() + b', "data" : ' + data + b" }"
    assert bridge.post(body).status == 204
    return sent


def test_every_header_of_the_contract_is_there(bridge, kafka):
    sent = event("com.qlik.app.created", subject="apps/1", dataschema="https://example.com/s", sessionid="s1",
                 toplevelresourceid="resource-1", authclaims='{"sub":"x"}')
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert bridge.post(sent, {"traceparent": trace, "tracestate": "a=b"}).status == 204
    record = records.wait_for_id(kafka, "qlik.app.created", sent["id"])
    headers = record.headers
    received = headers.pop("ferry-received")
    assert headers == {
        "ce_specversion": "1.0", "ce_id": sent["id"], "ce_source": sent["source"], "ce_type": sent["type"],
        "ce_time": sent["time"], "ce_subject": "apps/1", "ce_dataschema": "https://example.com/s", "ce_sessionid": "s1",
        "ce_tenantid": sent["tenantid"], "ce_userid": sent["userid"], "ce_toplevelresourceid": "resource-1",
        "ce_authclaims": '{"sub":"x"}', "content-type": "application/json", "ferry-event": "app.created",
        "ferry-format": "cloudevents", "traceparent": trace, "tracestate": "a=b",
    }
    assert RFC3339.fullmatch(received)
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(received)
    assert abs(age.total_seconds()) < 60
    assert record.key == b"resource-1"


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_data_arrive_byte_for_byte(bridge, kafka, mode):
    data = (ODD % uuid.uuid4()).encode()
    if mode == "structured":
        event_id = send_raw_data(bridge, data)["id"]
    else:
        event_id = str(uuid.uuid4())
        headers = {"ce-specversion": "1.0", "ce-id": event_id, "ce-source": "com.qlik/x", "ce-type": "com.qlik.app.created"}
        assert bridge.post(data, headers).status == 204
    assert records.wait_for_id(kafka, "qlik.app.created", event_id).value == data


@pytest.mark.parametrize("data", [b"null", b"0", b'"text"', b"[]", b"false", b"1e400"])
def test_any_json_value_may_be_data(bridge, kafka, data):
    sent = send_raw_data(bridge, data)
    assert records.wait_for_id(kafka, "qlik.app.created", sent["id"]).value == data


def strict(bridge, sent):
    answer = bridge.post(sent, path="/webhooks/strict", content_type="application/cloudevents+json")
    assert answer.status == 204, answer.body
    return sent["id"]


def acme(**changes):
    result = {**event("com.acme.thing", specversion="1.0"), **changes}
    return {k: v for k, v in result.items() if v is not None}


def test_no_data_is_a_value_of_no_bytes_and_no_tombstone(bridge, kafka):
    event_id = strict(bridge, acme(data=None, datacontenttype=None))
    record = records.wait_for_id(kafka, "qlik.other", event_id)
    assert record.value == b""


def test_text_is_unescaped_and_binary_is_decoded(bridge, kafka):
    text = strict(bridge, acme(datacontenttype="text/plain", data="line\nÅsa \"x\""))
    assert records.wait_for_id(kafka, "qlik.other", text).value == 'line\nÅsa "x"'.encode()
    noise = bytes(range(256))
    binary = strict(bridge, acme(data=None, datacontenttype="image/png", data_base64=base64.b64encode(noise).decode()))
    record = records.wait_for_id(kafka, "qlik.other", binary)
    assert record.value == noise and record.headers["content-type"] == "image/png"


def test_json_without_a_media_type_gets_one_and_binary_does_not(bridge, kafka):
    plain = strict(bridge, acme(datacontenttype=None))
    assert records.wait_for_id(kafka, "qlik.other", plain).headers["content-type"] == "application/json"
    binary = strict(bridge, acme(data=None, datacontenttype=None, data_base64="AAE="))
    assert "content-type" not in records.wait_for_id(kafka, "qlik.other", binary).headers


def test_binary_mode_attributes_are_decoded_once(bridge, kafka):
    event_id = str(uuid.uuid4())
    headers = {"CE-SpecVersion": "1.0", "ce-id": event_id, "ce-source": '"com.qlik/x"', "ce-type": "com.qlik.app.created",
               "ce-subject": "100%25 %C3%85sa %2525", "ce-bare": "50% off"}
    assert bridge.post(b"{}", headers).status == 204
    found = records.wait_for_id(kafka, "qlik.app.created", event_id).headers
    assert found["ce_subject"] == "100% Åsa %25" and found["ce_source"] == "com.qlik/x" and found["ce_bare"] == "50% off"


@pytest.mark.parametrize("change, key", [
    ({"toplevelresourceid": "top", "subject": "s", "data": {"id": "d"}}, b"top"),
    ({"subject": "s", "data": {"id": "d"}}, b"d"),
    ({"subject": "s", "data": {"name": "n"}}, b"s"),
    ({"data": {"attributes": {"id": "nested"}}}, b"nested"),
], ids=["top level resource", "data.id", "subject", "data.attributes.id"])
def test_the_key_is_the_resource(bridge, kafka, change, key):
    sent = event(**change)
    assert bridge.post(sent).status == 204
    assert records.wait_for_id(kafka, "qlik.app.created", sent["id"]).key == key


def test_the_key_of_an_event_about_nothing_is_its_id(bridge, kafka):
    sent = event(data={"name": "n"})
    assert bridge.post(sent).status == 204
    assert records.wait_for_id(kafka, "qlik.app.created", sent["id"]).key == sent["id"].encode()


@pytest.mark.parametrize("type", ["com.qlik.app.created", "com.qlik.v1.app.created", "com.qlik.analytics.app.created"])
def test_all_names_of_an_event_come_to_one_topic(bridge, kafka, type):
    sent = event(type)
    assert bridge.post(sent).status == 204
    headers = records.wait_for_id(kafka, "qlik.app.created", sent["id"]).headers
    assert headers["ce_type"] == type and headers["ferry-event"] == "app.created"


def test_a_type_that_nobody_knows_goes_to_the_other_topic(bridge, kafka):
    sent = event("com.qlik.v1.teapot.boiled")
    assert bridge.post(sent).status == 204
    assert records.wait_for_id(kafka, "qlik.other", sent["id"]).headers["ferry-event"] == "teapot.boiled"


def test_a_json_webhook_makes_an_event_from_any_object(bridge, kafka):
    body, delivery = b'{"action":"opened","n":1.10}', str(uuid.uuid4())
    headers = {"X-Hub-Signature-256": "sha256=" + sign(body), "X-GitHub-Event": "issues", "X-GitHub-Delivery": delivery}
    assert bridge.post(body, headers, path="/webhooks/json", secret=None).status == 204
    record = records.wait_for_id(kafka, "qlik.other", delivery)
    assert record.value == body
    assert record.headers["ce_type"] == "com.github.issues" and record.headers["ce_source"] == "https://github.com/acme"
    assert record.headers["ferry-format"] == "json"


def test_an_invalid_traceparent_is_dropped(bridge, kafka):
    sent = event()
    assert bridge.post(sent, {"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"}).status == 204
    assert "traceparent" not in records.wait_for_id(kafka, "qlik.app.created", sent["id"]).headers


def test_an_event_of_64_kib_passes(bridge, kafka):
    sent = event(data={"id": "big", "text": "å" * 32768})
    assert bridge.post(sent).status == 204
    assert records.wait_for_id(kafka, "qlik.app.created", sent["id"]).json() == sent["data"]


# -------------------------------------------------------------------------------------- other people's readers


def test_kcat_reads_the_record(bridge, kafka):
    sent = event(subject="Åsa")
    assert bridge.post(sent).status == 204
    records.wait_for_id(kafka, "qlik.app.created", sent["id"])
    found = [r for r in records.kcat(kafka, "qlik.app.created") if sent["id"] in r["headers"]]
    assert len(found) == 1 and json.loads(found[0]["payload"]) == sent["data"]
    assert "Åsa" in found[0]["headers"] and found[0]["key"] == sent["data"]["id"]


def test_the_python_sdk_reads_the_record(bridge, kafka):
    sent = event()
    assert bridge.post(sent).status == 204
    read = records.python_sdk(records.wait_for_id(kafka, "qlik.app.created", sent["id"]))
    assert (read.get_id(), read.get_type(), read.get_source()) == (sent["id"], sent["type"], sent["source"])
    assert read.get_data() == sent["data"] and read.get_extension("tenantid") == sent["tenantid"]


def test_the_javascript_sdk_reads_the_record(bridge, kafka):
    sent = event()
    assert bridge.post(sent).status == 204
    read = records.javascript_sdk(kafka, "qlik.app.created", sent["id"])["event"]
    assert (read["id"], read["type"], read["tenantid"]) == (sent["id"], sent["type"], sent["tenantid"])
    assert read["data"] == sent["data"]


@pytest.fixture(scope="module")
def structured(kafka, tmp_path_factory):
    from support.ferry import Ferry
    config = {"kafka": kafka.client(), "bridge": {"webhooks": [WEBHOOK]},
              "topics": {"name": "whole.{family}", "internal": "whole", "other": "whole.other", "create": "known",
                         "partitions": 1, "replication": 1, "encoding": "structured"}}
    ferry = Ferry(tmp_path_factory.mktemp("structured"), config)
    yield ferry.start("bridge", limit=90)
    ferry.stop()


def test_structured_records_have_no_attribute_headers_and_data_byte_for_byte(structured, kafka):
    data = (ODD % uuid.uuid4()).encode()
    sent = send_raw_data(structured, data)
    record = records.wait_for_id(kafka, "whole.app", sent["id"])
    assert record.headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
    assert not [name for name in record.headers if name.startswith("ce_")]
    assert record.headers["ferry-event"] == "app.created"
    assert data in record.value
    whole = json.loads(record.value)
    assert whole["specversion"] == "1.0" and whole["id"] == sent["id"] and whole["tenantid"] == sent["tenantid"]


def test_both_sdks_read_structured_records(structured, kafka):
    sent = event("com.qlik.app.deleted")
    assert structured.post(sent).status == 204
    read = records.python_sdk(records.wait_for_id(kafka, "whole.app", sent["id"]))
    assert read.get_id() == sent["id"] and read.get_data() == sent["data"]
    assert records.javascript_sdk(kafka, "whole.app", sent["id"])["event"]["data"] == sent["data"]


def test_topics_get_their_partitions_and_settings(make, kafka, settings, prefix):
    change = {"topics": {"create": "known", "name": prefix + ".{family}", "partitions": 3, "config": {"retention.ms": "3600000"}},
              "bridge": {"webhooks": [WEBHOOK]}}
    make(settings, change).start("bridge", limit=90)
    assert len(kafka.topics()[f"{prefix}.app"].partitions) == 3
    assert kafka.topic_config(f"{prefix}.app")["retention.ms"] == "3600000"


def test_events_of_one_resource_stay_in_order(structured, kafka):
    resource = str(uuid.uuid4())
    sent = [event(data={"id": resource, "n": n}) for n in range(50)]
    for one in sent:
        assert structured.post(one).status == 204
    found = records.read(kafka, "whole.app", lambda rs: sum(r.key == resource.encode() for r in rs) >= 50)
    assert [r.json()["data"]["n"] for r in found if r.key == resource.encode()] == list(range(50))
