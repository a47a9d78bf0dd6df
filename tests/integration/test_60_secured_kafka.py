"""A Kafka as production has it: TLS, passwords, ACLs, and topics that somebody else made.

Passwords go by PLAIN inside TLS, and by SCRAM-SHA-512. Before 2.6.1, librdkafka repeats the client's nonce in SCRAM, which
Kafka 3.8.1 and later refuse, and Debian 12 has 2.0.2: for SCRAM, programs that were built with such a one are run with a newer one.
"""
import pytest

from conftest import WEBHOOK
from support import records
from support.ferry import event, library, merge
from support.kafka import Kafka
from support.process import until

BRIDGE, WORKER = ("ferry-bridge", "bridge-password"), ("ferry-slack", "slack-password")
TOPICS = ["qlik.app.created", "qlik.other", "ferry.quarantine", "ferry.results", "ferry.audits", "ferry.operations",
          "ferry.slack.retry", "ferry.slack.dlq"]


@pytest.fixture(scope="module")
def secured(folder, authority):
    kafka = Kafka(folder / "secured", authority=authority, users=dict([BRIDGE, WORKER])).start()
    kafka.create_topics(*TOPICS)
    kafka.create_topics("ferry.slack.effects", config={"cleanup.policy": "compact,delete"})
    kafka.allow(BRIDGE[0], "TOPIC", "qlik.", "WRITE", "DESCRIBE", prefix=True)
    kafka.allow(BRIDGE[0], "TOPIC", "ferry.", "WRITE", "DESCRIBE", prefix=True)
    kafka.allow(WORKER[0], "TOPIC", "qlik.", "READ", "DESCRIBE", prefix=True)
    kafka.allow(WORKER[0], "TOPIC", "ferry.slack.", "READ", "WRITE", "DESCRIBE", prefix=True)
    kafka.allow(WORKER[0], "GROUP", "ferry-slack", "READ", "DESCRIBE")
    for user in (BRIDGE, WORKER):
        kafka.create_scram_user(*user)
    yield kafka
    kafka.stop()


@pytest.fixture
def config(secured):
    def client(user):
        return {k: {"env": "KAFKA_" + user[0].partition("-")[2].upper()} if k == "sasl.password" else v
                for k, v in secured.client(user).items()}
    return {
        "kafka": {k: v for k, v in client(BRIDGE).items() if k not in ("sasl.username", "sasl.password")},
        "topics": {"name": "qlik.{event}", "internal": "ferry", "create": "never", "replication": -1},
        "bridge": {"webhooks": [WEBHOOK],
                   "kafka": {k: v for k, v in client(BRIDGE).items() if k in ("sasl.username", "sasl.password")}},
        "slack": {"kafka": {k: v for k, v in client(WORKER).items() if k in ("sasl.username", "sasl.password")},
                  "routes": [{"name": "new-app", "events": ["app.created"], "webhook": {"env": "SLACK_WEBHOOK_URL"},
                              "text": r"\(.resource.name)"}]},
    }


@pytest.fixture
def passwords(slack):
    return {"KAFKA_BRIDGE": BRIDGE[1], "KAFKA_SLACK": WORKER[1], "SLACK_WEBHOOK_URL": slack.hook()}


def test_the_bridge_publishes_with_no_more_rights_than_to_write(secured, config, passwords, make):
    bridge = make(config, env=passwords).start("bridge")
    known, unknown = event(), event("com.qlik.teapot.boiled")
    assert bridge.post(known).status == 204 and bridge.post(unknown).status == 204
    records.wait_for_id(secured, "qlik.app.created", known["id"])
    records.wait_for_id(secured, "qlik.other", unknown["id"])
    assert bridge.post(b"not an event").status == 204


def test_create_never_makes_no_topic(secured, config, passwords, make):
    before = set(secured.topics())
    bridge = make(config, env=passwords).start("bridge")
    sent = event("com.qlik.app.deleted")
    assert bridge.post(sent).status == 204
    records.wait_for_id(secured, "qlik.other", sent["id"])
    assert set(secured.topics()) - {"__consumer_offsets"} == before - {"__consumer_offsets"}


def test_a_worker_reads_and_marks_with_its_own_rights(secured, config, passwords, make, slack):
    ferry = make(config, {"worker": {"start": "earliest"}}, env=passwords)
    program = ferry.start("slack")
    sent = event(data={"id": "secured", "name": "through TLS"})
    records.publish(secured, "qlik.app.created", sent)
    until(lambda: any(m["text"] == "through TLS" for m in slack.messages()), 40)
    until(lambda: program.metric("ferry_effects_total", outcome="done") >= 1)


@pytest.fixture
def scram(secured, passwords, tmp_path):
    if library("librdkafka", "rd_kafka_version_str") >= (2, 6, 1):
        return passwords
    return passwords | secured.newer_librdkafka(tmp_path / "librdkafka")


def test_bridge_and_worker_log_in_by_scram(secured, config, scram, make, slack):
    change = {"kafka": {"sasl.mechanism": "SCRAM-SHA-512"}, "worker": {"start": "earliest"}}
    ferry = make(config, change, env=scram)
    bridge, worker = ferry.start("bridge"), ferry.start("slack")
    sent = event(data={"id": "scram", "name": "by SCRAM"})
    assert bridge.post(sent).status == 204
    records.wait_for_id(secured, "qlik.app.created", sent["id"])
    until(lambda: any(m["text"] == "by SCRAM" for m in slack.messages()), 40)
    until(lambda: worker.metric("ferry_effects_total", outcome="done") >= 1)


def test_a_wrong_scram_password_is_refused(config, scram, make):
    change = {"kafka": {"sasl.mechanism": "SCRAM-SHA-512"}}
    bridge = make(config, change, env=scram | {"KAFKA_BRIDGE": "a-wrong-password"}).launch("bridge")
    bridge.wait_for(lambda: bridge.health("/healthz") == 200, 20)
    until(lambda: any("uthenticat" in str(line) for line in bridge.logs()), 20, "a word about authentication")
    assert bridge.post(event()).status == 503


def test_a_wrong_password_is_said_in_the_log_and_not_shown(secured, config, passwords, make):
    bridge = make(config, env=passwords | {"KAFKA_BRIDGE": "a-wrong-password"}).launch("bridge")
    bridge.wait_for(lambda: bridge.health("/healthz") == 200, 20)
    until(lambda: any("uthenticat" in str(line) for line in bridge.logs()), 20, "a word about authentication")
    assert "a-wrong-password" not in bridge.text() and bridge.health("/readyz") == 503


def test_a_certificate_of_another_authority_is_refused(secured, config, passwords, make, tmp_path):
    from support.certs import Authority
    other = Authority(tmp_path / "other")
    change = {"kafka": {"ssl.ca.location": str(other.certificate)}}
    bridge = make(merge(config, change), env=passwords).launch("bridge")
    bridge.wait_for(lambda: bridge.health("/healthz") == 200, 20)
    until(lambda: any("ertificate" in str(line) or "SSL" in str(line) for line in bridge.logs()), 20)
    assert bridge.metric("ferry_kafka_up") == 0 and bridge.post(event()).status == 503
