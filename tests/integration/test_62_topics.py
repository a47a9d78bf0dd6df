"""ferry topics: makes what is missing, and shows topics and rights for others to make. The rights are tried: with
exactly those a bridge, a worker and the operator's commands do their work on brokers that allow nothing else."""
import json
import re
import shlex

import pytest
import yaml

from conftest import WEBHOOK
from support import http, records
from support.ferry import event
from support.kafka import Kafka
from support.process import free_port, until

ROUTES = {"routes": [{"name": "new-app", "events": ["app.created"], "webhook": {"env": "SLACK_WEBHOOK_URL"},
                      "text": r"\(.resource.name)"}]}


@pytest.fixture
def ferry(make, settings):
    return make(settings, {"slack": ROUTES, "topics": {"partitions": 2, "config": {"retention.ms": "7200000"}}},
                env={"SLACK_WEBHOOK_URL": "https://example.com/hook"})


def topics(ferry, *arguments):
    return ferry.run("ferry", "topics", "-c", ferry.path, *arguments)


def rows(done):
    return {row["topic"]: row for row in json.loads(done.stdout)}


def test_topics_makes_the_missing_ones_and_says_so(ferry, kafka, prefix):
    first = topics(ferry, "--dry-run", "--json")
    assert first.returncode == 0 and {r["state"] for r in rows(first).values()} == {"missing"}
    assert not [t for t in kafka.topics() if t.startswith(f"{prefix}.")]
    done = topics(ferry)
    assert done.returncode == 0, done.stderr
    wanted = {f"{prefix}.{name}" for name in ("app.created", "other", "audits", "results", "quarantine", "operations",
                                              "slack.retry", "slack.dlq", "slack.effects")}
    assert {t for t in kafka.topics() if t.startswith(f"{prefix}.")} == wanted
    assert f"{len(wanted)} created" in done.stdout
    assert kafka.topic_config(f"{prefix}.app.created")["retention.ms"] == "7200000"
    told = [r.json() for r in records.read(kafka, f"{prefix}.operations")]
    assert [(t["command"], t["state"], t["count"], set(t["details"])) for t in told] == [("topics", "done", 9, wanted)]
    again = topics(ferry, "--json")
    assert {r["state"] for r in rows(again).values()} == {"exists"}
    assert len(records.read(kafka, f"{prefix}.operations")) == 1, "nothing was changed"


def test_a_topic_that_differs_is_told_and_left_alone(ferry, kafka, prefix):
    kafka.create_topics(f"{prefix}.app.created", partitions=1, config={"retention.ms": "1000"})
    done = topics(ferry, "--json")
    row = rows(done)[f"{prefix}.app.created"]
    assert done.returncode == 0 and row["state"] == "exists" and row["found"] == {"partitions": 1, "replication": 1}
    assert row["differs"] == "1 partitions, not 2; retention.ms is 1000, not 7200000"
    assert kafka.topic_config(f"{prefix}.app.created")["retention.ms"] == "1000"
    text = topics(ferry, "--format", "text")
    assert re.search(rf"{prefix}\.app\.created +event +1 +1 +exists +1 partitions, not 2", text.stdout)


def test_create_never_makes_nothing_and_fails(make, settings, kafka, prefix):
    ferry = make(settings, {"topics": {"create": "never"}})
    done = topics(ferry)
    assert done.returncode == 1 and "topics.create is never" in done.stderr
    assert not [t for t in kafka.topics() if t.startswith(f"{prefix}.")]


@pytest.fixture
def away(make, settings):
    """Without a Kafka."""
    return make(settings, {"kafka": {"bootstrap.servers": f"127.0.0.1:{free_port()}"}, "slack": ROUTES,
                           "topics": {"partitions": 2, "replication": -1}},
                env={"SLACK_WEBHOOK_URL": "https://example.com/hook"})


def test_strimzi_gets_resources(away, prefix):
    done = topics(away, "--format", "strimzi")
    made = {r["spec"]["topicName"]: r for r in yaml.safe_load_all(done.stdout)}
    assert done.returncode == 0 and len(made) == 9
    effects = made[f"{prefix}.slack.effects"]
    assert effects["kind"] == "KafkaTopic" and effects["spec"]["partitions"] == 2 and "replicas" not in effects["spec"]
    assert effects["spec"]["config"]["cleanup.policy"] == "compact,delete"


def test_terraform_gets_resources(away, prefix):
    text = topics(away, "--format", "terraform").stdout
    assert f'resource "kafka_topic" "{prefix}_app_created" {{\n  name = "{prefix}.app.created"\n  partitions = 2\n' in text
    assert text.count("replication_factor = var.ferry_replication") == 9
    assert 'variable "ferry_replication"' in text and 'variable "ferry_partitions"' not in text


def test_without_kafka_it_says_so(away):
    done = topics(away)
    assert done.returncode == 1 and "no Kafka broker answered" in done.stderr


def test_an_unknown_format_is_wrong_usage(away):
    done = topics(away, "--format", "terrafrom")
    assert done.returncode == 2 and "did you mean terraform?" in done.stderr


# ------------------------------------------------------------------------------------------------- rights, for real

USERS = {"ferry-bridge": "bridge-password", "ferry-slack": "slack-password", "ferry": "cli-password"}


def grant(kafka, text):
    """Does what the printed commands of kafka-acls.sh would do."""
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        words = shlex.split(line)
        options = [(name[2:], value) for name, value in zip(words, words[1:]) if name.startswith("--") and not value.startswith("--")]
        user = next(v for n, v in options if n == "allow-principal").removeprefix("User:")
        operations = [re.sub("(?<=[a-z])(?=[A-Z])", "_", v).upper() for n, v in options if n == "operation"]
        for name, value in options:
            if name in ("topic", "group"):
                kafka.allow(user, name.upper(), value, *operations, prefix="prefixed" in words)


@pytest.fixture(scope="module")
def secured(folder, authority):
    kafka = Kafka(folder / "rights", authority=authority, users=USERS).start()
    yield kafka
    kafka.stop()


def test_each_program_works_with_exactly_the_rights_that_are_printed(secured, make, slack):
    def login(user):
        return {k: v for k, v in secured.client((user, USERS[user])).items() if k in ("sasl.username", "sasl.password")}

    def literal(user):  # a password stands in the environment
        return login(user) | {"sasl.password": {"env": "PASSWORD_" + user.replace("-", "_").upper()}}
    common = {k: v for k, v in secured.client(("ferry", "")).items() if not k.startswith("sasl.user") and k != "sasl.password"}
    config = {
        "kafka": common | literal("ferry"),
        "topics": {"name": "qlik.{event}", "internal": "ferry", "other": "else.where", "create": "routed", "partitions": 1, "replication": 1},
        "worker": {"start": "earliest"},
        "bridge": {"webhooks": [WEBHOOK], "kafka": literal("ferry-bridge"), "console": {"key": {"env": "CONSOLE_KEY"}}},
        "slack": {**ROUTES, "kafka": literal("ferry-slack")},
    }
    env = {f"PASSWORD_{user.replace('-', '_').upper()}": password for user, password in USERS.items()}
    ferry = make(config, env=env | {"SLACK_WEBHOOK_URL": slack.hook(), "CONSOLE_KEY": "a-key-of-the-console"})
    denied = topics(ferry)
    assert denied.returncode == 1 and "refused" in denied.stdout
    printed = topics(ferry, "--format", "acls")
    assert printed.returncode == 0, printed.stderr
    grant(secured, printed.stdout)

    bridge, worker = ferry.start("bridge"), ferry.start("slack")
    known, unknown = event(data={"id": "a", "name": "with rights"}), event("com.qlik.teapot.boiled")
    assert bridge.post(known).status == 204 and bridge.post(unknown).status == 204 and bridge.post(b"no event").status == 204
    until(lambda: any(m["text"] == "with rights" for m in slack.messages()), 40)
    until(lambda: worker.metric("ferry_effects_total", outcome="done") >= 1)
    console = f"http://{bridge.admin}/console/"
    cookie = http.send("POST", console + "login", b"key=a-key-of-the-console").headers["Set-Cookie"].split(";")[0]

    def look():
        return http.send("GET", console + "state.json", headers={"Cookie": cookie}).json()
    seen = until(lambda: (now := look()).get("routes") and now.get("flow", {}).get("recent") and now, 40, "the console sees events")
    assert seen["problem"] is None and seen["workers"][0]["state"] == "Stable"
    until(lambda: look()["routes"][0]["effects"] == 1, 40, "… and the effect")
    assert not [line for line in bridge.logs() + worker.logs() if "authoriz" in json.dumps(line).lower()]

    assert topics(ferry).returncode == 0
    shown = ferry.run("ferry", "tail", "-c", ferry.path, "--from", "earliest", "--no-follow")
    assert shown.returncode == 0 and len(shown.stdout.splitlines()) == 2, shown.stderr
    done = ferry.run("ferry", "replay", "-c", ferry.path, "--event", "app.created", "--from", "-1h", "--to-worker", "slack")
    assert done.returncode == 0 and "1 records replayed" in done.stdout, done.stderr
