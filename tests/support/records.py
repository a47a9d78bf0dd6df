"""Reading topics back, by clients that nobody here wrote: confluent-kafka, kcat, and the CloudEvents SDKs of Python and
JavaScript."""
import base64
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import time
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from support.kafka import BUILD
from support.process import until as wait_until

SCRIPT = pathlib.Path(__file__).parent / "cloudevents-js" / "decode.js"


@dataclass
class Record:
    topic: str
    partition: int
    offset: int
    key: object
    value: object
    pairs: list  # (name, bytes), as they came

    @property
    def headers(self):
        """name → text; a name that comes twice is an error."""
        names = [name for name, _ in self.pairs]
        assert len(names) == len(set(names)), f"a header twice: {names}"
        return {name: value.decode() for name, value in self.pairs}

    @property
    def id(self):
        """The event's id in either mode."""
        if "ce_id" in self.headers:
            return self.headers["ce_id"]
        return json.loads(self.value).get("id") if self.value else None

    def json(self):
        return json.loads(self.value)


def _consumer(kafka, user):
    return Consumer({**kafka.client(user), "group.id": f"reader-{os.getpid()}", "enable.auto.commit": False,
                     "auto.offset.reset": "earliest", "enable.partition.eof": False, "fetch.wait.max.ms": 50,
                     "log_level": 0})


def read(kafka, topic, until=None, limit=20.0, user=None):
    """The records of a topic from its beginning. With `until`, waits until until(records) is true, at most `limit`
    seconds; without it, reads to the present end. A topic that does not exist yet has no records."""
    consumer = _consumer(kafka, user)
    try:
        end, records, assigned = time.monotonic() + limit, [], False
        while True:
            if not assigned:
                assigned = _assign(consumer, topic)
            if assigned:
                records += _drain(consumer, topic, assigned)
            if until is None or until(records):
                return records
            assert time.monotonic() < end, f"{topic}: {len(records)} records, but not what was waited for in {limit:g} s"
            time.sleep(0.05)
    finally:
        consumer.close()


def _assign(consumer, topic):
    known = consumer.list_topics(topic, timeout=10).topics[topic]
    if known.error:
        return None
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in known.partitions])
    return {p: 0 for p in known.partitions}


def _drain(consumer, topic, reached):
    """Read on to the present end of all partitions."""
    found = []
    for partition in reached:
        try:
            _low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        except KafkaException as away:  # its leader is being elected, or is back from a pause: the caller comes again
            passing = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError._DESTROY_BROKER, KafkaError._UNKNOWN_PARTITION)
            assert away.args[0].retriable() or away.args[0].code() in passing, away
            continue
        reached[partition] = max(reached[partition], 0)
        goal = high
        stop = time.monotonic() + 10
        while _position(consumer, topic, partition) < goal and time.monotonic() < stop:
            for message in consumer.consume(500, 0.1):
                assert not message.error(), message.error()
                found.append(Record(message.topic(), message.partition(), message.offset(), message.key(),
                                    message.value(), message.headers() or []))
    return found


def _position(consumer, topic, partition):
    offset = consumer.position([TopicPartition(topic, partition)])[0].offset
    return offset if offset >= 0 else 0


def wait_for_id(kafka, topic, event_id, limit=20.0, user=None):
    """The record of one event."""
    found = read(kafka, topic, lambda rs: any(r.id == event_id for r in rs), limit, user)
    return next(r for r in found if r.id == event_id)


def with_id(kafka, topic, event_id):
    """All records of one event that are there now."""
    return [r for r in read(kafka, topic) if r.id == event_id]


def ends(kafka, topics):
    """topic → number of the next offset, summed over partitions; for "nothing was published"."""
    consumer, result = _consumer(kafka, None), {}
    try:
        for topic in topics:
            known = consumer.list_topics(topic, timeout=10).topics[topic]
            result[topic] = sum(consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
                                for p in known.partitions)
        return result
    finally:
        consumer.close()


def produce(kafka, topic, value, key=None, headers=None, user=None):
    """One record, acknowledged."""
    problems = []
    producer = Producer({**kafka.client(user), "enable.idempotence": True, "log_level": 0})
    producer.produce(topic, value, key, headers=list((headers or {}).items()),
                     on_delivery=lambda error, _message: problems.append(error))
    assert producer.flush(30) == 0 and problems == [None], problems


def as_published(event, canonical=None):
    """(key, value, headers) of an event's record, as the bridge would publish it: binary mode, keyed by resource."""
    data = event.get("data", {})
    canonical = canonical or event["type"].removeprefix("com.qlik.").removeprefix("v1.")
    names = [n for n in event if n not in ("data", "datacontenttype")]
    pairs = {f"ce_{n}": str(event[n]) for n in names} | {
        "ce_specversion": "1.0", "content-type": "application/json", "ferry-event": canonical,
        "ferry-format": "cloudevents", "ferry-received": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    key = event.get("toplevelresourceid") or data.get("id") or event["id"]
    return key, json.dumps(data).encode(), pairs


def publish(kafka, topic, event, canonical=None, user=None, headers=None):
    """An event as the bridge would publish it. Waits for the topic to be there."""
    key, value, pairs = as_published(event, canonical)
    wait_until(lambda: topic in kafka.topics(), 30, f"topic {topic}")
    produce(kafka, topic, value, key, pairs | (headers or {}), user)
    return value


def publish_all(kafka, topic, events):
    """Many events, in their order, at once."""
    problems = []
    wait_until(lambda: topic in kafka.topics(), 30, f"topic {topic}")
    producer = Producer({**kafka.client(), "enable.idempotence": True, "log_level": 0})
    for event in events:
        key, value, pairs = as_published(event)
        producer.produce(topic, value, key, headers=list(pairs.items()),
                         on_delivery=lambda error, _message: problems.append(error))
    assert producer.flush(30) == 0 and set(problems) == {None}, problems


def kcat(kafka, topic, user=None):
    """The records as kcat prints them in JSON."""
    done = subprocess.run(["kcat", *kafka.kcat_options(user), "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J"],
                          capture_output=True, check=True, timeout=30)
    return [json.loads(line) for line in done.stdout.splitlines()]


def python_sdk(record):
    """The record as Python's CloudEvents SDK reads it."""
    from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, from_structured
    from cloudevents.core.formats.json import JSONFormat
    message = KafkaMessage(dict(record.pairs), record.key, record.value)
    if record.headers.get("content-type", "").startswith("application/cloudevents"):
        return from_structured(message, JSONFormat())
    return from_binary(message, JSONFormat())


def js_modules():
    """The folder with the JavaScript packages; npm fetches them once."""
    folder = BUILD / "cloudevents-js"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = SCRIPT.with_name("package-lock.json")
        stamp = folder / "installed.json"
        if not stamp.exists() or stamp.read_bytes() != wanted.read_bytes():
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(SCRIPT.with_name(name), folder)
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True,
                           stdin=subprocess.DEVNULL, timeout=300)
            shutil.copy(wanted, stamp)
    return folder / "node_modules"


def javascript_sdk(kafka, topic, event_id, limit=40):
    """The event as the JavaScript SDK reads it from the topic with kafkajs: {"event": …, "dataBytes": …}."""
    done = subprocess.run(["node", SCRIPT, kafka.bootstrap, topic, event_id], capture_output=True, text=True, check=False,
                          timeout=limit, env={**os.environ, "NODE_PATH": str(js_modules()), "KAFKAJS_NO_PARTITIONER_WARNING": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    result["value"] = base64.b64decode(result["value"])
    return result
