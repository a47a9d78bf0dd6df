"""The recipes of docs/recipes (and what docs/personal-data.md does), each as its page has it: configuration, files, commands and what comes of them are read from
the page; only addresses are exchanged for those of the suite's Kafka and of stand-ins (support/pages.py says how a page is
marked). What cannot run here is at least loaded, and its page says so."""
import json
import os
import re
import subprocess
import uuid

import pytest
import yaml

from support import pages
from support.ferry import BIN, SECRET
from support.http import Answer, Crm, QlikTenant, Slack, send
from support.kafka import JAVA, Kafka, jars
from support.process import Child, free_port, holds
from support.smtp import PASSWORD

FOLDER = pages.ROOT / "docs" / "recipes"
RECIPES = {p.stem: p for p in sorted(FOLDER.glob("*.md")) if p.stem != "README"}
RECIPES["personal-data"] = pages.ROOT / "docs" / "personal-data.md"
RUNNING = [name for name, path in RECIPES.items() if pages.read(path).has("run")]
# Secrets that recipes name; what is an address is the stand-in's.
SECRETS = {"QLIK_WEBHOOK_SECRET": SECRET, "GITHUB_SECRET": "github-secret-of-the-tests", "STRIPE_SECRET": "whsec_of-the-tests",
           "IFTTT_KEY": "ifttt-key-of-32-characters-or-more", "FAVOURITE_KEY": "favourite-key-of-32-characters-or-so",
           "SMTP_PASSWORD": PASSWORD, "KAFKA_KEY": "a-key-of-the-cloud", "KAFKA_SECRET": "and-its-secret",
           "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T000/B000/XXX"}


# What Kafka's bin/ has, by the class that each starts.
KAFKA_TOOLS = {"connect-standalone.sh": "org.apache.kafka.connect.cli.ConnectStandalone",
               "kafka-get-offsets.sh": "org.apache.kafka.tools.GetOffsetShell",
               "kafka-delete-records.sh": "org.apache.kafka.tools.DeleteRecordsCommand"}


class Tenant(QlikTenant):
    """A tenant that knows everybody by the same names."""

    def __init__(self):
        super().__init__()
        for kind, name in (("users", "Ada Lovelace"), ("apps", "Sales overview"), ("spaces", "Finance")):
            self.on(f"/api/v1/{kind}/.*", lambda _request, name=name: Answer(200, {"name": name}))


class Cloud(Kafka):
    """A broker with a log-in: an API key over TLS, and client certificates on a second port."""

    def __init__(self, folder, authority):
        super().__init__(folder, authority=authority, users={SECRETS["KAFKA_KEY"]: SECRETS["KAFKA_SECRET"]})
        self.client_certificate = authority.issue("ferry-client", usage="clientAuth")
        broker, self.certificate_port = self.brokers[0], free_port()
        places = f"SASL_SSL://127.0.0.1:{broker.port},SSL://127.0.0.1:{self.certificate_port}"
        self.extra = {
            "listeners": f"{places},CONTROLLER://127.0.0.1:{broker.controller_port}", "advertised.listeners": places,
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT",
            "listener.name.ssl.ssl.client.auth": "required",
            "super.users": f"User:{SECRETS['KAFKA_KEY']};User:admin;User:CN=ferry-client;User:ANONYMOUS",
        }

    def place(self, protocol):
        return f"127.0.0.1:{self.certificate_port}" if protocol == "SSL" else self.bootstrap


class Scene:
    """A recipe's programs, files and stand-ins."""

    def __init__(self, page, kafka, prefix, make, stand_ins):
        self.kafka, self.stand_ins, self.children, self.workers = kafka, stand_ins, [], set()
        self.listen = f"127.0.0.1:{free_port()}"
        self.exchanges = {"127.0.0.1:9092": kafka.bootstrap, "127.0.0.1:8080": self.listen, "127.0.0.1:8093": f"127.0.0.1:{free_port()}",
                          "https://acme.eu.qlikcloud.com": stand_ins["qlik"].url, "https://crm.example.com": stand_ins["crm"].url}
        if "mail" in stand_ins:
            self.exchanges["smtps://mail.example.com:465"] = stand_ins["mail"].url
        if kafka.secured:
            self.exchanges |= {"/etc/ferry/kafka-client.pem": str(kafka.client_certificate.certificate),
                               "/etc/ferry/kafka-client.key": str(kafka.client_certificate.key)}
        self.prefix = prefix
        config = yaml.safe_load(self.exchange(page.block("ferry.yaml").text))
        env = {**SECRETS, "SLACK_WEBHOOK_URL": stand_ins["slack"].hook(), "CRM_AUTH": stand_ins["crm"].authorization,
               "QLIK_EXECUTION_TOKEN": stand_ins["qlik"].token, "QLIK_API_KEY": stand_ins["qlik"].api_key}
        self.ferry = make(config, self.private(config), env=env)
        for block in page.blocks:
            if block.is_file and block.role != "ferry.yaml":
                (self.ferry.folder / block.role).write_text(self.exchange(block.text), encoding="utf-8")

    def exchange(self, text):
        """The page's text with the addresses and the topics of this test."""
        for name, ours in self.exchanges.items():
            text = text.replace(name, ours)
        return re.sub(r"(?<![\w.-])qlik(\\*)\.(?=[a-z{*(\\])", rf"{self.prefix}\1.", text)

    def private(self, config):
        """What keeps this recipe's programs apart from those of other tests on the same machine and Kafka."""
        change = {"topics": {"internal": self.prefix, "other": f"{self.prefix}.other", "create": "routed", "partitions": 1,
                             "replication": 1, "name": self.prefix + ".{event}"},
                  "kafka": {"bootstrap.servers": self.kafka.bootstrap}, "ca_file": str(self.stand_ins["authority"].certificate)}
        if self.kafka.secured:
            change["kafka"] = {"bootstrap.servers": self.kafka.place(config["kafka"]["security.protocol"]),
                               "ssl.ca.location": str(self.kafka.authority.certificate)}
            change["topics"]["config"] = None
        if name := config.get("topics", {}).get("name"):
            change["topics"]["name"] = name
        change["bridge"] = {"listen": self.listen, "spool": {"directory": "spool"}}
        self.workers = {"slack", "mail", "automation"} & set(config)
        for worker in self.workers:
            change[worker] = {"group": f"{self.prefix}-{worker}"}
        if not self.workers:  # a route that nobody runs: its topic is made, and not those of the whole catalogue
            change["slack"] = {"routes": [{"name": "none", "events": ["app.created", "user.created"], "text": "none",
                                           "webhook": {"env": "SLACK_WEBHOOK_URL"}}]}
        return change

    def start(self):
        sections = [s for s in ("slack", "mail", "automation", "bridge") if s in {*self.workers, "bridge"}]
        for program in [self.ferry.launch(section) for section in sections]:
            program.wait_ready(60)

    def command(self, block):
        """Arguments and environment of a block's commands."""
        tools = self.ferry.folder / "tools"
        tools.mkdir(exist_ok=True)
        for name, main in KAFKA_TOOLS.items():
            if name in block.text:
                java = " ".join([*JAVA, "-cp", f"'{jars('connect')}/*'", main])
                (tools / name).write_text(f'#!/bin/sh\nexec {java} "$@"\n')
                (tools / name).chmod(0o755)
        env = {**os.environ, **self.ferry.env, "PATH": f"{BIN}:{tools}:{os.environ['PATH']}"}
        return ["bash", "-euo", "pipefail", "-c", self.exchange(block.text)], env

    def run(self, block):
        """The commands of a block; what they print."""
        arguments, env = self.command(block)
        done = subprocess.run(arguments, cwd=self.ferry.folder, env=env, capture_output=True, text=True, check=False,
                              timeout=300)
        assert done.returncode == 0, f"{block}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def leave_running(self, block):
        arguments, env = self.command(block)
        self.children.append(Child(arguments, self.ferry.folder / f"child{len(self.children)}.log", env, self.ferry.folder))

    def stop(self):
        for child in self.children:
            child.kill()

    # ------------------------------------------------------------------------------------------- what came of it

    def effects(self, kind):
        """What the stand-in of that name was sent, as the pages write it, in order."""
        if kind == "slack":
            return [m["text"] for m in self.stand_ins["slack"].messages()]
        if kind == "mail":
            return [print_mail(m) for m in self.stand_ins["mail"].mails()]
        if kind == "qlik":
            return [print_request(r) for r in self.stand_ins["qlik"].executions()]
        return [print_request(r) for r in self.stand_ins[kind].requests()]

    def forget(self):
        """This scene is over, and its effects are not those of the next."""
        self.ferry.stop()
        for kind in ("slack", "qlik", "crm"):
            self.stand_ins[kind].forget()

    def wait_for_effects(self, kind, count):
        if kind == "slack":
            self.stand_ins["slack"].wait_for(count, "/services/.*", 60)
        elif kind == "qlik":
            self.stand_ins["qlik"].wait_for(count, ".*/actions/execute", 60)
        else:
            self.stand_ins[kind].wait_for(count, limit=60)


def print_mail(mail):
    head = "".join(f"{name}: {mail[name]}\n" for name in ("From", "To", "Subject"))
    return head + "\n" + mail.get_body(("plain",)).get_content()


def print_request(request):
    head = "".join(f"{name}: {value}\n" for name, value in sorted(request.headers.items()))
    return f"{request.method} {request.target}\n{head}\n{request.body.decode()}"


def request_matches(expected, actual):
    """The request line, the headers that the page names, and the body: as JSON where it is."""
    (head, body), (got_head, got_body) = (text.replace("\r", "").partition("\n\n")[::2] for text in (expected, actual))
    lines, got_lines = head.strip().split("\n"), got_head.strip().split("\n")
    headers = all(any(pages.matches(line, got) for got in got_lines[1:]) for line in lines[1:])
    return pages.matches(lines[0], got_lines[0]) and headers and body_matches(body.strip(), got_body)


def body_matches(expected, actual):
    try:
        expected, actual = (json.dumps(json.loads(text), sort_keys=True, ensure_ascii=False) for text in (expected, actual))
    except ValueError:
        pass
    return pages.matches(expected, actual)


EFFECTS = {"slack": pages.matches, "mail": pages.matches, "qlik": request_matches, "crm": request_matches}


@pytest.fixture(scope="module")
def cloud(folder, authority):
    kafka = Cloud(folder / "cloud", authority).start()
    yield kafka
    kafka.stop()


@pytest.fixture
def scene(request, kafka, prefix, make, mail_server, authority):
    """scene(page) → its programs, running."""
    with Slack() as slack, Tenant() as qlik, Crm() as crm:
        stand_ins, made = {"slack": slack, "qlik": qlik, "crm": crm, "authority": authority}, []

        def maker(page):
            if page.has("mail"):
                stand_ins["mail"] = mail_server("implicit")
            protocol = yaml.safe_load(page.block("ferry.yaml").text)["kafka"].get("security.protocol")
            broker = request.getfixturevalue("cloud") if protocol else kafka
            made.append(Scene(page, broker, f"{prefix}-{uuid.uuid4().hex[:6]}", make, stand_ins))
            made[-1].start()
            return made[-1]
        yield maker
        for stage in made:
            stage.stop()


def play(stage, page):
    """Everything on the page, from its top to its end; then what came of it."""
    printed, expected = None, {}
    for block in page.blocks:
        if block.role == "run":
            printed = stage.run(block)
        elif block.role == "start":
            stage.leave_running(block)
        elif block.role == "output":
            assert pages.matches(stage.exchange(block.text), printed), f"{block}: printed was\n{printed}"
        elif block.role in EFFECTS:
            expected.setdefault(block.role, []).append(block)
    assert expected or page.has("output"), f"{page.path.name}: nothing is said of what comes of it"
    for kind, blocks in expected.items():
        stage.wait_for_effects(kind, len(blocks))
        holds(lambda: len(stage.effects(kind)) == len(blocks), 1, f"more {kind} than the page shows: {stage.effects(kind)}")
        left = stage.effects(kind)
        for block in blocks:  # effects of different resources have no order
            got = next((e for e in left if EFFECTS[kind](stage.exchange(block.text), e)), None)
            assert got is not None, f"{block}: what came was\n" + "\n".join(left)
            left.remove(got)


@pytest.mark.timeout(500)
@pytest.mark.parametrize("name", RUNNING)
def test_a_recipe_does_what_its_page_says(scene, name):
    """Names that are looked up may come too late on a busy machine, and ids stand in for them: such a page has three tries."""
    page = pages.read(RECIPES[name])
    tries = 3 if "lookup:" in page.block("ferry.yaml").text else 1
    for last in [False] * (tries - 1) + [True]:
        stage = scene(page)
        try:
            return play(stage, page)
        except AssertionError:
            if last:
                raise
            stage.forget()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipes_configuration_is_whole_and_good(name, tmp_path):
    """As it stands on the page, with nothing but its secrets; so are the commands that need no more than it."""
    page, printed = pages.read(RECIPES[name]), None
    for block in page.blocks:
        if block.is_file:
            (tmp_path / block.role).write_text(block.text, encoding="utf-8")
            if block.language == "json":
                json.loads(block.text)
    env = {**os.environ, **SECRETS, "PATH": f"{BIN}:{os.environ['PATH']}",
           **{n: "x" * 40 for n in ("CRM_AUTH", "QLIK_API_KEY", "QLIK_EXECUTION_TOKEN")}}

    def run(command):
        return subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, env=env, capture_output=True,
                              text=True, check=False, timeout=30)
    done = run("ferry check -c ferry.yaml")
    assert done.returncode == 0 and done.stdout.strip() == "ferry.yaml: good", done.stdout + done.stderr
    for block in page.blocks:
        if block.role == "look":
            done = run(block.text)
            assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"
            printed = done.stdout
        elif block.role == "output" and printed is not None:
            assert pages.matches(block.text, printed), f"{block}: printed was\n{printed}"


def test_the_first_set_up_goes_as_its_page_says(kafka, prefix, folder):
    """docs/setup-qlik-cloud.md from `ferry init` on, up to the web server in front and Qlik itself."""
    with Slack() as slack:
        place = folder / prefix
        place.mkdir()
        env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}

        def run(*arguments, answers=None):
            done = subprocess.run(arguments, cwd=place, env=env, input=answers, capture_output=True, text=True, check=False,
                                  timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        said = run("ferry", "init", answers=f"acme.eu.qlikcloud.com\n{kafka.bootstrap}\n{slack.hook()}\n\n")
        secret = re.search(r"Secret +(\S+)", said)[1]
        assert "/webhooks/qlik" in said and f"QLIK_WEBHOOK_SECRET={secret}" in (place / "ferry.env").read_text()
        assert (place / "ferry.env").stat().st_mode & 0o777 == 0o600
        config = place / "ferry.yaml"
        ours = f'topics:\n  name: "{prefix}.{{event}}"\n  internal: {prefix}\n  other: {prefix}.other\n  create: routed\n  partitions: 1'
        text = config.read_text().replace("topics:", ours)
        for port in (8080, 8081, 8082):
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
        config.write_text(text.replace("  routes:", f"  group: {prefix}-slack\n  routes:"))
        assert "good" in run("ferry", "check")
        assert "Sales overview" in run("ferry", "try", "slack/new-app")
        made = yaml.safe_load(config.read_text())
        programs = [Child([BIN / f"ferry-{name}", "--config", config, "--allow-root", "--log-format", "text"],
                          place / f"{name}.log", cwd=place) for name in ("slack", "bridge")]
        try:
            for program, section in zip(programs, ("slack", "bridge")):
                ready = f"http://{made[section]['admin']}/readyz"
                program.wait_for(lambda: is_ready(ready), 60)
            assert run("ferry", "send", "--event", "app.created").startswith("204")
            assert "Sales overview" in slack.wait_for(1, "/services/.*")[0].json()["text"]
            assert "app.created" in run("ferry", "tail", "--from", "-1h", "--no-follow")
        finally:
            for program in programs:
                program.stop()


def is_ready(url):
    try:
        return send("GET", url, timeout=5).status == 200
    except OSError:
        return False
