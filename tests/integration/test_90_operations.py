"""What an operator meets: metrics, health, stopping, and starts that fail with one line that says what to do."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import WEBHOOK
from support import http, records
from support.ferry import BIN, encode, event, merge, sign
from support.process import until

PROGRAMS = ["ferry-bridge", "ferry-slack", "ferry-mail", "ferry-automation", "ferry"]
LOG_LINE = {"ts", "level", "program", "msg"}


@pytest.fixture
def everything(settings, prefix, slack, qlik):
    """One file for the bridge and all workers."""
    return merge(settings, {
        "bridge": {"webhooks": [WEBHOOK]},
        "slack": {"group": f"{prefix}-slack", "routes": [
            {"name": "s", "events": ["app.created"], "webhook": {"env": "HOOK"}, "text": r"\(.id)"}]},
        "mail": {"group": f"{prefix}-mail", "from": "no-reply@example.com", "recipient_domains": ["example.com"],
                 "smtp": {"url": "smtp://127.0.0.1:9", "tls": "none"}, "routes": [
            {"name": "m", "events": ["user.created"], "to": ".resource.email", "subject": "s", "text": "t"}]},
        "automation": {"group": f"{prefix}-automation", "routes": [
            {"name": "a", "events": ["user.deleted"], "qlik": {"tenant": qlik.url, "automation": "a", "token": {"env": "TOKEN"}}}]},
    })


ENV = {"TOKEN": "t" * 20, "HOOK": "http://127.0.0.1:9/services/x"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version_need_no_configuration(make, program):
    ferry = make({})
    for flag in ("--help", "--version"):
        done = ferry.run(program, flag)
        assert done.returncode == 0 and done.stdout and not done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_wrong_usage_is_exit_2(make, program):
    assert make({}).run(program, "--no-such-flag").returncode == 2


@pytest.mark.parametrize("section", ["bridge", "slack", "mail", "automation"])
def test_promtool_accepts_the_metrics(make, everything, section):
    program = make(everything, env=ENV).start(section)
    if section == "bridge":
        program.post(event())
        program.post(event(), secret=None)
    text = program.metrics_text()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "ferry_build_info" in text


def test_the_bridge_counts_what_it_answers(make, everything):
    bridge = make(everything, env=ENV).start("bridge")
    assert [bridge.post(event()).status for _ in range(3)] == [204] * 3
    bridge.post(event("com.qlik.teapot.boiled"))
    bridge.post(event(), secret=None)
    until(lambda: bridge.metric("ferry_http_requests_total", path="/webhooks/qlik", status="204") == 4)
    assert bridge.metric("ferry_http_requests_total", path="/webhooks/qlik", status="401") == 1
    assert bridge.metric("ferry_events_total", event="app.created", format="cloudevents") == 3
    assert bridge.metric("ferry_events_total", event="other") == 1
    assert bridge.metric("ferry_produce_seconds_count") == 4
    assert bridge.metric("ferry_requests_in_flight") == 0
    assert bridge.metric("ferry_last_event_timestamp_seconds", path="/webhooks/qlik") > time.time() - 60
    bridge.post(event(), path="/a-path-that-somebody-made-up")
    assert "made-up" not in bridge.metrics_text(), "strangers must not add labels"


def test_logs_are_json_and_text_is_for_people(make, everything):
    ferry = make(everything, env=ENV)
    bridge = ferry.start("bridge")
    bridge.stop()
    lines = bridge.logs()
    assert lines and all(LOG_LINE <= set(line) for line in lines)
    assert {line["program"] for line in lines} == {"ferry-bridge"}
    person = ferry.launch("bridge", ["--log-format", "text"])
    person.wait_ready().stop()
    assert not person.text().lstrip().startswith("{")


def test_sigterm_finishes_what_is_in_flight(make, everything, kafka, prefix):
    bridge = make(everything, env=ENV).start("bridge")
    sent, outcomes = [event() for _ in range(300)], {}

    def send(part):
        for one in part:
            try:
                outcomes[one["id"]] = bridge.post(one, timeout=15).status
            except OSError:
                outcomes[one["id"]] = None
    threads = [threading.Thread(target=send, args=(sent[n::6],)) for n in range(6)]
    for thread in threads:
        thread.start()
    until(lambda: len(outcomes) > 30)
    assert bridge.stop() == 0
    for thread in threads:
        thread.join()
    assert set(outcomes.values()) <= {204, 503, None}
    accepted = {event_id for event_id, status in outcomes.items() if status == 204}
    kept = {r.id for r in records.read(kafka, f"{prefix}.other") + records.read(kafka, f"{prefix}.app.created")}
    assert accepted and accepted <= kept


def test_a_body_under_way_at_sigterm_is_answered(make, everything):
    bridge = make(everything, env=ENV).start("bridge")
    body = encode(event())
    head = (f"POST /webhooks/qlik HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nQlik-Signature: {sign(body)}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    with socket.create_connection(("127.0.0.1", bridge.port), 15) as link:
        link.sendall(head + body[:100])
        time.sleep(0.2)  # nothing outside tells when the bridge has read this part
        bridge.signal(signal.SIGTERM)
        until(lambda: bridge.health("/readyz") != 200, 5, "not ready while draining")
        link.sendall(body[100:])
        link.settimeout(15)
        answer = link.recv(65536)
    assert http.statuses(answer) in ([204], [503]) and b"onnection: close" in answer
    assert bridge.wait(15) == 0


@pytest.mark.parametrize("section", ["slack", "mail", "automation"])
def test_a_worker_stops_within_its_time(make, everything, section):
    program = make(everything, env=ENV).start(section)
    assert program.health("/healthz") == 200
    program.stop()


def one_line(code, text, allowed=(1, 78)):
    """The start failed with a code of the contract and says why in one line of the log."""
    assert code in allowed, text
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if not line.startswith("{") or json.loads(line)["level"] in ("error", "warn")]
    assert len(errors) == 1, text
    return errors[0]


def test_a_port_in_use_is_named(make, everything):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for key in ("listen", "admin"):
            ferry = make(everything, {"bridge": {key: address}}, env=ENV)
            assert address in one_line(*ferry.fail("ferry-bridge"))


def test_a_certificate_that_is_none_is_named(make, everything):
    ferry = make(everything, {"bridge": {"tls": {"certificate": "cert.pem", "key": "key.pem"}}}, env=ENV)
    assert "cert.pem" in ferry.fail("ferry-bridge")[1]
    (ferry.folder / "cert.pem").write_text("rubbish")
    (ferry.folder / "key.pem").write_text("rubbish")
    code, text = ferry.fail("ferry-bridge")
    assert code in (1, 78) and ("cert.pem" in text or "key.pem" in text)


def test_a_key_of_another_certificate_is_refused(make, everything, authority, certificate):
    other = authority.issue("other")
    change = {"bridge": {"tls": {"certificate": str(certificate.certificate), "key": str(other.key)}}}
    code, text = make(everything, change, env=ENV).fail("ferry-bridge")
    assert code in (1, 78) and "key" in text


def test_a_spool_folder_that_cannot_be_written_is_named(make, everything, tmp_path):
    # Root may write anywhere but into a file that stands where a folder should be.
    (tmp_path / "file").write_text("")
    ferry = make(everything, {"bridge": {"spool": {"directory": str(tmp_path / "file" / "spool")}}}, env=ENV)
    code, text = ferry.fail("ferry-bridge")
    assert code in (1, 78) and "spool" in text


def mistakes(text):
    return re.findall(r"^(?:.*/)?ferry\.yaml:(\d+): ([^:]+): (.+)$", text, re.M)


def test_an_unknown_key_is_78_and_the_nearest_one_is_named(make, everything):
    ferry = make(everything, {"bridge": {"lisen": "127.0.0.1:1"}}, env=ENV)
    code, text = ferry.fail("ferry-bridge")
    assert code == 78
    found = mistakes(text)
    assert len(found) == 1 and "lisen" in found[0][1] and "listen" in found[0][2]
    assert "lisen" in ferry.path.read_text().splitlines()[int(found[0][0]) - 1]


def test_every_mistake_is_told_in_one_run(make, everything):
    change = {"topics": {"key": "colour", "partitions": "many"}, "bridge": {"ack_timeout": "1 parsec", "limits": {"body": "huge"}}}
    code, text = make(everything, change, env=ENV).fail("ferry-bridge")
    assert code == 78 and len(mistakes(text)) == 4, text


@pytest.mark.parametrize("change, word", [
    ({"bridge": {"webhooks": [{**WEBHOOK, "secrets": ["a literal secret that is long enough for it"]}]}}, "secret"),
    ({"bridge": {"webhooks": [{**WEBHOOK, "secrets": [{"env": "SHORT"}]}]}}, "32"),
    ({"bridge": {"webhooks": [{**WEBHOOK, "secrets": [{"env": "NOT_SET_ANYWHERE"}]}]}}, "NOT_SET_ANYWHERE"),
    ({"bridge": {"webhooks": [{**WEBHOOK, "format": "json", "type": "t"}]}}, "events"),
    ({"kafka": {"acks": "1"}}, "acks"),
    ({"kafka": {"enable.idempotence": "false"}}, "enable.idempotence"),
    ({"kafka": {"no.such.property": "1"}}, "no.such.property"),
])
def test_a_configuration_that_would_do_harm_is_78(make, everything, change, word):
    code, text = make(everything, change, env={**ENV, "SHORT": "short"}).fail("ferry-bridge")
    assert code == 78 and word in text
    assert "a literal secret" not in text


def test_a_template_that_does_not_compile_is_78(make, everything):
    route = {**everything["slack"]["routes"][0], "text": r"\(.resource | nonsense)"}
    code, text = make(everything, {"slack": {"routes": [route]}}, env=ENV).fail("ferry-slack")
    assert code == 78 and "text" in text


def test_a_program_needs_the_secrets_of_its_own_sections_only(make, everything):
    ferry = make(everything)
    ferry.env = {"QLIK_WEBHOOK_SECRET": ferry.env["QLIK_WEBHOOK_SECRET"]}
    ferry.start("bridge")
    assert ferry.fail("ferry-slack")[0] == 78


def test_a_missing_configuration_file_is_named(make):
    done = make({}).run("ferry-bridge", "--config", "nowhere.yaml", "--allow-root")
    assert done.returncode in (1, 78) and "nowhere.yaml" in done.stderr


def test_root_is_refused_unless_allowed(make, everything):
    ferry = make(everything, env=ENV)
    command = [BIN / "ferry-bridge", "--config", ferry.path]
    if os.geteuid() != 0:
        command = ["unshare", "--user", "--map-root-user", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode in (1, 2) and "--allow-root" in done.stderr


def test_ferry_check_accepts_what_the_programs_accept(make, everything):
    ferry = make(everything, env=ENV)
    good = ferry.run("ferry", "check", "--config", ferry.path, "--allow-root")
    assert good.returncode == 0, good.stdout + good.stderr
    bad = make(everything, {"bridge": {"lisen": "x"}}, env=ENV)
    done = bad.run("ferry", "check", "--config", bad.path, "--allow-root")
    assert done.returncode == 78 and "lisen" in done.stdout + done.stderr
