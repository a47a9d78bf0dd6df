"""The operator's eyes and hands on the event topics: ferry tail, ferry replay, ferry topics."""
import json
import signal
import time

import pytest

from conftest import WEBHOOK
from support import records
from support.ferry import event
from support.process import Child, until
from support.ferry import BIN


def lines(done):
    return done.stdout.splitlines()


@pytest.fixture
def ferry(make, settings, kafka, prefix):
    """The CLI over topics of its own: <prefix>.app.created (three partitions), <prefix>.app.deleted, <prefix>.other."""
    kafka.create_topics(f"{prefix}.app.created", partitions=3)
    kafka.create_topics(f"{prefix}.app.deleted", f"{prefix}.other", f"{prefix}.copy")
    made = make(settings)
    made.cli = lambda *arguments, **more: made.run("ferry", *arguments[:1], "-c", made.path, *arguments[1:], **more)
    return made


def created(name="Sales", **attributes):
    return event(data={"id": attributes.pop("resource", name), "name": name}, **attributes)


# ------------------------------------------------------------------------------------------------------------- tail

def test_tail_shows_what_was_published_before(ferry, kafka, prefix):
    one, other = created("one"), created("two", type="com.qlik.app.deleted")
    records.publish(kafka, f"{prefix}.app.created", one)
    records.publish(kafka, f"{prefix}.app.deleted", other)
    done = ferry.cli("tail", "--from", "earliest", "--no-follow")
    assert done.returncode == 0, done.stderr
    found = {line.split("  ")[4]: line.split("  ") for line in lines(done)}
    assert set(found) == {one["id"], other["id"]}
    assert found[one["id"]][1:4] == ["app.created", "one", one["source"]]
    assert found[other["id"]][5] == f"{prefix}.app.deleted/0/0"


def test_tail_prints_the_event_as_json_with_its_data_as_it_came(ferry, kafka, prefix):
    sent = event(data={"id": "n", "big": 12345678901234567891, "text": "a\nb"})
    records.publish(kafka, f"{prefix}.app.created", sent)
    done = ferry.cli("tail", "--from", "-1h", "--no-follow", "--json")
    assert done.returncode == 0 and len(lines(done)) == 1
    assert json.loads(done.stdout)["data"] == sent["data"] and "12345678901234567891" in done.stdout


@pytest.mark.parametrize("arguments", [["--event", "app.deleted"], ["--event", "com.qlik.app.d*"], ["--where", '.data.name == "two"'],
                                       ["--tenant", "another"], ["--id", "the-second"]])
def test_tail_selects(ferry, kafka, prefix, arguments):
    records.publish(kafka, f"{prefix}.app.created", created("one"))
    records.publish(kafka, f"{prefix}.app.deleted",
                    created("two", type="com.qlik.app.deleted", tenantid="another", id="the-second"))
    done = ferry.cli("tail", "--from", "earliest", "--no-follow", *arguments)
    assert [line.split("  ")[4] for line in lines(done)] == ["the-second"], done.stderr


def test_tail_finds_events_without_a_topic_of_their_own(ferry, kafka, prefix):
    records.publish(kafka, f"{prefix}.other", created("new", type="com.qlik.teapot.boiled"))
    records.publish(kafka, f"{prefix}.other", created("old", type="com.qlik.teapot.cooled"))
    done = ferry.cli("tail", "--from", "earliest", "--no-follow", "--event", "teapot.boiled")
    assert [line.split("  ")[1] for line in lines(done)] == ["teapot.boiled"]


def test_tail_follows_until_ctrl_c_and_sees_new_topics(ferry, kafka, prefix, tmp_path):
    records.publish(kafka, f"{prefix}.app.created", created("before"))
    child = Child([BIN / "ferry", "tail", "-c", ferry.path], tmp_path / "tail", env=ferry.env)
    try:
        until(lambda: records.publish(kafka, f"{prefix}.app.created", created("probe")) or "probe" in child.text(), 20)
        kafka.create_topics(f"{prefix}.user.created")
        records.publish(kafka, f"{prefix}.user.created", created("late", type="com.qlik.user.created"))
        child.wait_for(lambda: "user.created" in child.text(), 30)
        assert "before" not in child.text()
        child.signal(signal.SIGINT)
        assert child.wait(10) == 0
    finally:
        child.kill()


def test_what_a_sender_wrote_does_not_move_the_cursor(ferry, kafka, prefix):
    records.produce(kafka, f"{prefix}.app.created", b"{}", "k\x1b[2J\x9b", {
        "ce_specversion": "1.0", "ce_id": "e\x1b[31m\u009b1", "ce_source": "s", "ce_type": "com.qlik.app.created"})
    done = ferry.cli("tail", "--from", "earliest", "--no-follow")
    assert "e [31m 1" in done.stdout and not any(ord(c) < 32 and c != "\n" or 0x7f <= ord(c) < 0xa0 for c in done.stdout)


def test_records_that_are_no_events_are_counted(ferry, kafka, prefix):
    records.produce(kafka, f"{prefix}.app.created", b"not an event")
    records.publish(kafka, f"{prefix}.app.created", created("good"))
    done = ferry.cli("tail", "--from", "earliest", "--no-follow")
    assert done.returncode == 0 and len(lines(done)) == 1 and "1 records are no CloudEvents" in done.stderr
