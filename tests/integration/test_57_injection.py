"""What an event brings stays text on the wire: tests/data/injections.json through real workers."""
import base64
import json
import pathlib
import re
import urllib.parse
import uuid

import pytest

from support import records
from support.ferry import event
from support.process import until

PAYLOADS = json.loads((pathlib.Path(__file__).parents[1] / "data" / "injections.json").read_text())
HOOK = "/services/T000/B000/XXX"
RETRY = {"first": "200ms", "max": "1s", "for": "1h"}


@pytest.fixture
def publish(kafka, prefix):
    """publish(payloads, members): one event each, {"id", "n": its number, "x": the payload}."""
    def send(payloads, type="com.qlik.app.created"):
        found = [event(type, data={"id": str(uuid.uuid4()), "n": n, "x": x}) for n, x in enumerate(payloads)]
        records.publish_all(kafka, f"{prefix}.{type.removeprefix('com.qlik.')}", found)
    return send


def outcomes(program, outcome):
    return program.metric("ferry_effects_total", outcome=outcome)


def unescaped(text):
    """Slack's three entities undone; anything else that Slack would read as more than text is an error."""
    assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", text), text
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


@pytest.mark.parametrize("digest", ["off", "500ms"])
def test_slack_gets_text(make, settings, prefix, slack, publish, digest):
    payloads = PAYLOADS["slack"] + PAYLOADS["hole"]
    route = {"name": "text", "events": ["app.created"], "webhook": {"env": "HOOK"}, "text": "\ue000\\(.data.n):\\(.data.x)\ue001",
             "pace": "1000/1s", "digest": digest}
    section = {"group": f"{prefix}-slack", "start": "earliest", "retry": RETRY, "routes": [route]}
    program = make(settings, {"slack": section}, env={"HOOK": slack.hook()}).start("slack")
    publish(payloads)
    until(lambda: outcomes(program, "done") == len(payloads))
    requests = slack.requests(HOOK)
    assert all(set(r.json()) == {"text", "link_names", "unfurl_links"} and r.json()["link_names"] == 0 for r in requests)
    assert not any(re.search(rb"[\x00-\x1f]", r.body) for r in requests), "control characters are escaped in JSON"
    members = [m for r in requests for m in re.findall("\ue000(\\d+):(.*?)\ue001", r.json()["text"], re.S)]
    assert {int(n): unescaped(text) for n, text in members} == dict(enumerate(payloads))
    assert digest == "off" or len(requests) < len(payloads) / 2


def head_of(raw):
    """(name, unfolded value) of each header field that Ferry wrote, checked to be plain ASCII lines."""
    head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("ascii")
    assert not re.search(r"[^\n\x20-\x7e]", head) and max(map(len, head.split("\n"))) <= 998
    fields = [line.partition(": ")[::2] for line in head.replace("\n ", " ").split("\n")]
    return [(name, value) for name, value in fields if not name.startswith("X-")]


def decoded(subject):
    words = re.findall(r"=\?UTF-8\?B\?([A-Za-z0-9+/=]*)\?=", subject)
    return b"".join(map(base64.b64decode, words)).decode() if words else subject


def test_mails_keep_their_header(make, settings, prefix, mail_server, publish, kafka):
    server = mail_server("none")
    subjects, recipients = PAYLOADS["subject"], PAYLOADS["recipient"]
    common = {"text": r"\(.data.x)"}
    routes = [{"name": "subject", "events": ["app.created"], "to": r'"n\(.data.n)@example.com"', "subject": r"\(.data.x)", **common},
              {"name": "recipient", "events": ["app.deleted"], "to": ".data.x", "subject": "s", **common}]
    section = {"group": f"{prefix}-mail", "start": "earliest", "from": "no-reply@example.com", "recipient_domains": ["*"],
               "smtp": {"url": server.url, "tls": "none"}, "retry": RETRY, "routes": routes}
    program = make(settings, {"mail": section}).start("mail")
    publish(subjects)
    publish(recipients, "com.qlik.app.deleted")
    refused = [n for n, text in enumerate(subjects) if re.search("[\r\n\0]", text)]
    until(lambda: outcomes(program, "dead") == len(refused) + len(recipients))
    until(lambda: outcomes(program, "done") == len(subjects) - len(refused))
    letters = records.read(kafka, f"{prefix}.mail.dlq", lambda rs: len(rs) >= len(refused) + len(recipients))
    assert {r.headers["ferry-error"] for r in letters} == {"address-invalid"}
    seen = {}
    for mail, raw in zip(server.mails(), server.raw(), strict=True):
        fields = head_of(raw)
        names = [name for name, _ in fields]
        assert names == ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
                         "Content-Transfer-Encoding"], names
        assert mail["X-Env-To"] == dict(fields)["To"]
        n = int(re.fullmatch(r"n(\d+)@example\.com", dict(fields)["To"])[1])
        assert decoded(dict(fields)["Subject"]).strip() == subjects[n].strip(), subjects[n]
        body = mail.get_payload(decode=True).decode().replace("\r\n", "\n")
        assert body.split() == subjects[n].split()
        seen[n] = 1
    assert sorted(seen) == [n for n in range(len(subjects)) if n not in refused]


def test_a_url_keeps_its_path(make, settings, prefix, crm, publish, kafka):
    payloads = PAYLOADS["url"]
    call = {"method": "POST", "url": crm.url + r"/users/\(.data.x)/end?n=\(.data.n)&q=\(.data.x)", "json": {"x": ".data.x"},
            "headers": {"Authorization": {"env": "CRM_AUTH"}}}
    section = {"group": f"{prefix}-automation", "start": "earliest", "retry": RETRY,
               "routes": [{"name": "call", "events": ["app.created"], "request": call}]}
    program = make(settings, {"automation": section}, env={"CRM_AUTH": crm.authorization}).start("automation")
    publish(payloads)
    until(lambda: outcomes(program, "done") + outcomes(program, "dead") == len(payloads))
    letters = records.read(kafka, f"{prefix}.automation.dlq", lambda rs: len(rs) >= 2)
    assert sorted(json.loads(r.value)["x"] for r in letters) == [".", ".."]
    for request in crm.requests():
        encoded, n, query = re.fullmatch(r"/users/([\w.~%-]+)/end\?n=(\d+)&q=([\w.~%-]+)", request.target).groups()
        assert urllib.parse.unquote(encoded) == urllib.parse.unquote(query) == payloads[int(n)] == request.json()["x"]
        assert "X-Evil" not in request.headers and request.headers["Host"] == crm.url.removeprefix("http://")
    assert len(crm.requests()) == len(payloads) - 2
