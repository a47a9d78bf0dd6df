"""What the integration tests share: one Kafka, one certificate authority, one bridge with everyday settings; and makers
of everything else. Tests keep apart by ids and by topic prefixes, so that they can share the broker."""
import itertools
import sys

import pytest

sys.dont_write_bytecode = True

from support import http, process, smtp  # noqa: E402
from support.certs import Authority  # noqa: E402
from support.ferry import Ferry, merge  # noqa: E402
from support.kafka import Kafka  # noqa: E402
from support.tenant import Tenant  # noqa: E402

process.stop_all_on_sigterm()
numbers = itertools.count(1)

WEBHOOK = {"path": "/webhooks/qlik", "format": "qlik", "signature": "qlik", "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}]}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("session")


@pytest.fixture(scope="session")
def authority(folder):
    return Authority(folder / "ca")


@pytest.fixture(scope="session")
def certificate(authority):
    return authority.issue("server")


@pytest.fixture(scope="session")
def kafka(folder):
    kafka = Kafka(folder / "kafka").start()
    yield kafka
    kafka.stop()


def everyday(kafka):
    """Topics of the catalogue, one webhook of each format, the defaults for all else."""
    strict = {"path": "/webhooks/strict", "format": "cloudevents", "signature": "qlik", "events": ["com.acme.*"],
              "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}]}
    plain = {"path": "/webhooks/json", "format": "json", "signature": "github", "events": ["com.github.*"],
             "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}], "type": r'com.github.\(.headers["x-github-event"])',
             "id": r'\(.headers["x-github-delivery"])', "source": "https://github.com/acme"}
    return {
        "kafka": kafka.client(),
        "topics": {"name": "qlik.{event}", "internal": "ferry", "create": "known", "partitions": 1, "replication": 1},
        "bridge": {"webhooks": [WEBHOOK, strict, plain]},
    }


@pytest.fixture(scope="session")
def bridge(kafka, folder):
    """The bridge that most tests talk to. Topics: qlik.<event>, qlik.other, ferry.quarantine."""
    ferry = Ferry(folder / "bridge", everyday(kafka))
    try:
        yield ferry.start("bridge", limit=90)
        ferry.stop()
    finally:
        ferry.kill()


@pytest.fixture
def prefix():
    """A prefix for topics and groups that no other test uses."""
    return f"t{next(numbers)}"


@pytest.fixture
def settings(kafka, prefix):
    """A configuration with topics of its own: <prefix>.<event>, created only where a route asks for them."""
    return {
        "kafka": kafka.client(),
        "topics": {"name": prefix + ".{event}", "internal": prefix, "other": prefix + ".other", "create": "routed",
                   "partitions": 1, "replication": 1},
    }


@pytest.fixture
def make(tmp_path):
    """make(config, change…, env=…) → Ferry, stopped after the test, which fails if a program does not stop well."""
    made = []

    def maker(config, *changes, env=None):
        for change in changes:
            config = merge(config, change)
        ferry = Ferry(tmp_path / f"ferry{len(made)}", config, env)
        made.append(ferry)
        return ferry

    try:
        yield maker
        for ferry in made:
            ferry.stop()
    finally:
        for ferry in made:
            ferry.kill()


def stand_in(kind):
    @pytest.fixture
    def fixture():
        with kind() as server:
            yield server
    return fixture


slack = stand_in(http.Slack)
qlik = stand_in(http.QlikTenant)
crm = stand_in(http.Crm)
tenant = stand_in(Tenant)


@pytest.fixture
def secure_tenant(authority, certificate):
    """A tenant over HTTPS, as all real ones; programs need `ca_file: authority.certificate`."""
    with Tenant(authority.server_context(certificate), trust=authority.client_context()) as server:
        yield server


@pytest.fixture
def mail_server(tmp_path, certificate):
    """mail_server("starttls" | "implicit" | "none" | "exim")"""
    made = []

    def maker(kind="starttls"):
        folder = tmp_path / f"smtp-{kind}"
        made.append(smtp.Exim(folder, certificate) if kind == "exim" else smtp.Aiosmtpd(folder, certificate, kind))
        return made[-1]

    yield maker
    for server in made:
        server.stop()
