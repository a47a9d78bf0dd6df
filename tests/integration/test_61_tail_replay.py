"""The operator's eyes and hands on the event topics: ferry tail, ferry replay, ferry topics."""
import json
import shlex
import signal
import time

import pytest

from support import records
from support.ferry import BIN, event
from support.http import Answer
from support.process import Child, free_port, until


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


# ----------------------------------------------------------------------------------------------------------- replay

def fill(kafka, topic, count, keys=7, partitions=3, start=0, **headers):
    """`count` small events, quickly; the value says the key and its number within the key."""
    from confluent_kafka import Producer
    producer = Producer({**kafka.client(), "enable.idempotence": True, "linger.ms": 20, "log_level": 0,
                         "queue.buffering.max.messages": 1000000})
    for n in range(start, start + count):
        key = f"key-{n % keys}"
        producer.produce(topic, json.dumps({"id": key, "n": n, "name": key}).encode(), key, headers=[
            ("ce_specversion", "1.0"), ("ce_id", f"id-{n}"), ("ce_source", "s"), ("ce_type", "com.qlik.app.created"),
            ("ce_tenantid", "even" if n % 2 == 0 else "odd"), ("content-type", "application/json"),
            ("ferry-event", "app.created"), ("\u00e9", b"\x00\xff"), *headers.items()])
        producer.poll(0)
    assert producer.flush(60) == 0


def in_order(found):
    """Values of each key are in the order of their numbers."""
    last = {}
    for record in found:
        n = record.json()["n"]
        assert last.get(record.key, -1) < n, f"{record.key}: {n} after {last[record.key]}"
        last[record.key] = n


def journal(kafka, prefix):
    return [r.json() for r in records.read(kafka, f"{prefix}.operations")]


def test_a_replay_copies_records_byte_by_byte_in_order(ferry, kafka, prefix):
    fill(kafka, f"{prefix}.app.created", 500)
    done = ferry.cli("replay", "--event", "app.*", "--from", "-1h", "--to-topic", f"{prefix}.copy", "--run-id", "r1", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["run"], result["state"], result["replayed"]) == ("r1", "done", 500)
    source = {dict(r.pairs)["ce_id"]: r for r in records.read(kafka, f"{prefix}.app.created")}
    copies = records.read(kafka, f"{prefix}.copy")
    assert len(copies) == 500 == len(source)
    for copy in copies:
        original = source[dict(copy.pairs)["ce_id"]]
        assert (copy.key, copy.value) == (original.key, original.value)
        assert copy.pairs == original.pairs + [("ferry-replay", b"r1")]
    in_order(copies)
    told = journal(kafka, prefix)
    assert [t["state"] for t in told if t["state"] != "progress"] == ["begun", "done"]
    assert told[-1]["count"] == 500 and told[-1]["filter"]["to_topic"] == f"{prefix}.copy" and "@" in told[-1]["who"]


def test_a_replay_takes_what_lies_between_two_times(ferry, kafka, prefix):
    fill(kafka, f"{prefix}.app.created", 20)
    time.sleep(1.1)
    middle = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    time.sleep(1.1)
    fill(kafka, f"{prefix}.app.created", 30, start=20)
    for times, expected in ((["--from", "-1h", "--to", middle], 20), (["--from", middle], 30), (["--from", "earliest"], 50)):
        done = ferry.cli("replay", "--event", "app.created", *times, "--to-topic", f"{prefix}.copy", "--dry-run", "--json")
        result = json.loads(done.stdout)
        assert result["replayed"] == expected and result["events"] == {"app.created": expected}, done.stdout
    assert not records.read(kafka, f"{prefix}.copy") and f"{prefix}.operations" not in kafka.topics()


@pytest.mark.parametrize("arguments, expected", [(["--id", "id-7"], 1), (["--tenant", "even"], 50), (["--where", ".data.n < 10"], 10)])
def test_a_replay_selects(ferry, kafka, prefix, arguments, expected):
    fill(kafka, f"{prefix}.app.created", 100)
    done = ferry.cli("replay", "--event", "*", "--from", "earliest", "--to-topic", f"{prefix}.copy", *arguments)
    assert done.returncode == 0 and len(records.read(kafka, f"{prefix}.copy")) == expected, done.stderr


def test_a_replay_into_the_topic_that_it_reads_ends_and_is_not_replayed_itself(ferry, kafka, prefix):
    topic = f"{prefix}.app.created"
    fill(kafka, topic, 50)
    again = ["replay", "--event", "app.created", "--from", "earliest", "--to-topic", topic, "--json"]
    assert json.loads(ferry.cli(*again).stdout)["replayed"] == 50
    second = json.loads(ferry.cli(*again).stdout)
    assert (second["replayed"], second["left_out"]["replays"]) == (50, 50)
    third = json.loads(ferry.cli(*again, "--replays-too", "--run-id", "third").stdout)
    assert third["replayed"] == 150
    copies = [[value for name, value in r.pairs if name == "ferry-replay"] for r in records.read(kafka, topic)]
    assert copies.count([b"third"]) == 150 and max(map(len, copies)) == 1


def test_a_live_group_does_not_notice(ferry, kafka, prefix):
    from confluent_kafka import Consumer, TopicPartition
    fill(kafka, f"{prefix}.app.created", 30)
    group = Consumer({**kafka.client(), "group.id": f"{prefix}-group", "auto.offset.reset": "earliest"})
    places = [TopicPartition(f"{prefix}.app.created", p, 1) for p in range(3)]
    group.commit(offsets=places, asynchronous=False)
    assert ferry.cli("replay", "--event", "*", "--from", "earliest", "--to-topic", f"{prefix}.copy").returncode == 0
    assert [p.offset for p in group.committed(places, 10)] == [1, 1, 1]
    group.close()


def test_a_replay_that_is_killed_goes_on_and_loses_nothing(ferry, kafka, prefix, tmp_path):
    fill(kafka, f"{prefix}.app.created", 2000)
    command = ["replay", "-c", ferry.path, "--event", "*", "--from", "earliest", "--to-topic", f"{prefix}.copy",
               "--run-id", "killed", "--rate", "600/s"]
    child = Child([BIN / "ferry", *command], tmp_path / "replay", env=ferry.env)
    try:
        child.wait_for(lambda: len(journal(kafka, prefix)) >= 3, 20)
        child.kill()
    finally:
        child.kill()
    before = len(records.read(kafka, f"{prefix}.copy"))
    assert 0 < before < 2000
    fill(kafka, f"{prefix}.app.created", 100, start=2000)  # the ends stay as they were
    done = ferry.cli("replay", "--event", "*", "--from", "earliest", "--to-topic", f"{prefix}.copy", "--run-id", "killed")
    assert done.returncode == 0, done.stderr
    copies = records.read(kafka, f"{prefix}.copy")
    assert {r.json()["n"] for r in copies} == set(range(2000))
    assert len(copies) <= 2000 + 1300, "no more than what was under way since the last word in the journal"
    assert len(copies) < before + 2000, "it went on, and did not begin anew"
    once_more = ferry.cli("replay", "--event", "*", "--from", "earliest", "--to-topic", f"{prefix}.copy", "--run-id", "killed")
    assert once_more.returncode == 0 and "is done" in once_more.stdout
    assert len(records.read(kafka, f"{prefix}.copy")) == len(copies)


def test_ctrl_c_says_how_to_go_on_and_repeats_nothing(ferry, kafka, prefix, tmp_path):
    fill(kafka, f"{prefix}.app.created", 1500)
    child = Child([BIN / "ferry", "replay", "-c", ferry.path, "--event", "app.*", "--from", "earliest", "--to-topic",
                   f"{prefix}.copy", "--where", ".data.n >= 0", "--rate", "600"], tmp_path / "replay", env=ferry.env)
    try:
        child.wait_for(lambda: len(journal(kafka, prefix)) >= 2, 20)
        child.signal(signal.SIGINT)
        assert child.wait(20) == 0
    finally:
        child.kill()
    text = child.text()
    assert "stopped" in text
    line = next(line for line in text.splitlines() if line.startswith("to go on: "))
    assert "'app.*'" in line and "'.data.n >= 0'" in line
    words = [w for w in shlex.split(line)[5:] if w not in ("--rate", "600")]
    done = ferry.run("ferry", "replay", *words)
    assert done.returncode == 0, done.stderr
    copies = records.read(kafka, f"{prefix}.copy")
    assert sorted(r.json()["n"] for r in copies) == list(range(1500))
    in_order(copies)


def test_a_run_id_belongs_to_one_choice(ferry, kafka, prefix):
    fill(kafka, f"{prefix}.app.created", 5)
    assert ferry.cli("replay", "--event", "*", "--from", "earliest", "--to-topic", f"{prefix}.copy", "--run-id", "r").returncode == 0
    done = ferry.cli("replay", "--event", "app.*", "--from", "earliest", "--to-topic", f"{prefix}.copy", "--run-id", "r")
    assert done.returncode == 2 and "other flags" in done.stderr


@pytest.mark.parametrize("arguments, word", [
    (["--from", "-1h", "--to-topic", "x"], "--event"), (["--event", "*", "--to-topic", "x"], "--from"),
    (["--event", "*", "--from", "-1h"], "--to-url"), (["--event", "*", "--from", "soon", "--to-topic", "x"], "2026-"),
    (["--event", "*", "--from", "-1h", "--to-topic", "x", "--to-worker", "mail"], "one destination"),
    (["--event", "*", "--from", "-1h", "--to-worker", "fax"], "slack, mail, automation"),
    (["--event", "*", "--from", "-1h", "--to-topic", "x", "--where", ".data |"], "--where"),
    (["--event", "*", "--from", "-1h", "--to-url", "http://example.com/"], "http:// to this machine alone"),
    (["--event", "*", "--from", "-1h", "--to-topic", "x", "--rate", "many"], "--rate")])
def test_wrong_usage_names_the_flag(ferry, arguments, word):
    done = ferry.cli("replay", *arguments)
    assert done.returncode == 2 and word in done.stderr, done.stderr


def test_a_topic_that_is_not_there_is_said(ferry, kafka, prefix):
    fill(kafka, f"{prefix}.app.created", 1)
    done = ferry.cli("replay", "--event", "*", "--from", "-1h", "--to-topic", f"{prefix}.nowhere")
    assert done.returncode == 1 and f"no topic {prefix}.nowhere" in done.stderr
    done = ferry.cli("replay", "--event", "*", "--from", "-1h", "--to-topic", f"{prefix}.operations")
    assert done.returncode == 2 and "Ferry's own" in done.stderr


@pytest.mark.parametrize("command", [["tail"], ["replay", "--event", "*", "--from", "-1h", "--to-topic", "x"]])
def test_without_kafka_a_command_says_so_soon(make, settings, command):
    ferry = make(settings, {"kafka": {"bootstrap.servers": f"127.0.0.1:{free_port()}"}})
    began = time.monotonic()
    done = ferry.run("ferry", command[0], "-c", ferry.path, *command[1:])
    assert done.returncode == 1 and "no Kafka broker answered" in done.stderr and time.monotonic() - began < 13


# ------------------------------------------------------------------------------------------------- replay to an URL

@pytest.fixture
def hook(crm):
    return crm.script("/hook", Answer(204))


def posted(server):
    """(number, answer's place in time) of what came; and that keys were in order."""
    numbers, last = [], {}
    for request in server.requests("/hook"):
        data = request.json()
        assert last.get(data["id"], -1) <= data["n"]
        last[data["id"]] = data["n"]
        numbers.append(data["n"])
    return numbers


def test_events_are_posted_in_order_by_key(ferry, kafka, prefix, hook):
    fill(kafka, f"{prefix}.app.created", 200)
    done = ferry.cli("replay", "--event", "*", "--from", "earliest", "--to-url", hook.url + "/hook", "--run-id", "posted")
    assert done.returncode == 0, done.stderr
    assert sorted(posted(hook)) == list(range(200))
    for request in hook.requests("/hook"):
        names = {k.lower(): v for k, v in request.headers.items()}
        assert names["ce-id"] == f"id-{request.json()['n']}" and names["ferry-replay"] == "posted"
        assert names["content-type"] == "application/json" and names["ce-specversion"] == "1.0"
    assert journal(kafka, prefix)[-1]["filter"]["to_url"] == hook.url, "a path may be a secret"
    assert "/hook" not in json.dumps(journal(kafka, prefix))


def test_structured_posts_are_whole_events(ferry, kafka, prefix, hook):
    fill(kafka, f"{prefix}.app.created", 3)
    done = ferry.cli("replay", "--event", "*", "--from", "earliest", "--to-url", hook.url + "/hook", "--structured")
    assert done.returncode == 0, done.stderr
    assert {r.json()["id"] for r in hook.requests("/hook")} == {"id-0", "id-1", "id-2"}


def test_a_busy_destination_is_waited_for(ferry, kafka, prefix, crm):
    crm.script("/hook", Answer(429, headers={"Retry-After": "2"}), Answer(503), Answer(500), Answer(reset=True), Answer(204))
    fill(kafka, f"{prefix}.app.created", 20)
    began = time.monotonic()
    done = ferry.cli("replay", "--event", "*", "--from", "earliest", "--to-url", crm.url + "/hook")
    assert done.returncode == 0 and time.monotonic() - began >= 2, done.stderr
    assert set(posted(crm)) == set(range(20)) and len(posted(crm)) >= 24


def test_a_refusal_stops_the_run_and_it_goes_on_when_that_is_mended(ferry, kafka, prefix, crm):
    refusing = True
    crm.on("/hook", lambda request: Answer(422 if refusing and request.json()["n"] == 50 else 204))
    fill(kafka, f"{prefix}.app.created", 100)
    command = ["replay", "--event", "*", "--from", "earliest", "--to-url", crm.url + "/hook", "--run-id", "mended"]
    done = ferry.cli(*command)
    assert done.returncode == 1 and "answered 422 to the event id-50" in done.stderr and "to go on: " in done.stderr
    refusing = False
    done = ferry.cli(*command)
    assert done.returncode == 0, done.stderr
    assert set(r.json()["n"] for r in crm.requests("/hook")) == set(range(100))


# ------------------------------------------------------------------------------------------------- replay to a worker

def slack_section():
    text = r"\(.resource.name) \(.id)"
    return {"worker": {"start": "earliest"}, "slack": {"routes": [
        {"name": "new-app", "events": ["app.created"], "webhook": {"env": "SLACK_WEBHOOK_URL"}, "text": text, "pace": "1000/1s"}]}}


@pytest.fixture
def crew(make, settings, kafka, prefix, slack):
    """A Slack worker that has brought what was published: three events."""
    made = make(settings, slack_section(), env={"SLACK_WEBHOOK_URL": slack.hook()})
    made.cli = lambda *arguments, **more: made.run("ferry", *arguments[:1], "-c", made.path, *arguments[1:], **more)
    made.worker = made.start("slack")
    for n in range(3):
        records.publish(kafka, f"{prefix}.app.created", created(f"app-{n}", id=f"first-{n}"))
    until(lambda: len(slack.messages()) == 3, 40)
    return made


def to_slack(ferry, *arguments):
    done = ferry.cli("replay", "--event", "app.*", "--from", "-1h", "--to-worker", "slack", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def outcome(ferry, name):
    return ferry.worker.metric("ferry_effects_total", outcome=name)


def test_a_worker_repeats_effects_only_when_told_to(crew, slack, kafka, prefix):
    assert to_slack(crew)["replayed"] == 3
    until(lambda: outcome(crew, "skipped") == 3, 40)
    assert to_slack(crew, "--effects")["replayed"] == 3
    until(lambda: outcome(crew, "duplicate") == 3, 40)
    assert len(slack.messages()) == 3
    assert to_slack(crew, "--again")["replayed"] == 3
    until(lambda: len(slack.messages()) == 6, 40)


def test_what_no_route_takes_is_left_out(crew, kafka, prefix):
    records.publish(kafka, f"{prefix}.other", event("com.qlik.teapot.boiled"))
    done = crew.cli("replay", "--event", "teapot.*", "--from", "-1h", "--to-worker", "slack", "--json")
    result = json.loads(done.stdout)
    assert (result["replayed"], result["left_out"]["unwanted"]) == (0, 1)


def test_a_replay_to_a_worker_that_is_killed_and_run_again_repeats_no_effect(crew, slack, kafka, prefix, tmp_path):
    count = 60
    fill(kafka, f"{prefix}.app.created", count, keys=count, partitions=1)
    until(lambda: len(slack.messages()) == 3 + count, 60)
    command = ["replay", "-c", crew.path, "--event", "app.*", "--from", "-1h", "--to-worker", "slack", "--again", "--run-id", "half"]
    child = Child([BIN / "ferry", *command, "--rate", "20"], tmp_path / "replay", env=crew.env)
    try:
        child.wait_for(lambda: len(journal(kafka, prefix)) >= 3, 30)
    finally:
        child.kill()
    entries = len([r for r in records.read(kafka, f"{prefix}.slack.retry") if dict(r.pairs).get("ferry-retry") == b"entry"])
    assert 0 < entries < 3 + count
    assert crew.run("ferry", *command).returncode == 0
    until(lambda: len(slack.messages()) >= 2 * (3 + count), 60)
    waiting = lambda: crew.worker.metric("ferry_retry_waiting")  # noqa: E731
    until(lambda: waiting() == 0, 40)
    assert len(slack.messages()) == 2 * (3 + count), "each took effect once more, and once only"
