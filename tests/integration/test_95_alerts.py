"""What watches Ferry: each alert fires when it should and not before, and whatever alerts and dashboard ask for is there."""
import json
import re
import subprocess

import pytest
import yaml

from conftest import WEBHOOK
from support.ferry import ROOT, Ferry, event, parse_metrics
from support.http import Slack
from support.process import until
from support.tenant import Tenant

RULES = ROOT / "dist" / "prometheus" / "ferry.rules.yml"
DASHBOARD = ROOT / "dist" / "grafana" / "ferry.json"


def alerts():
    return {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}


# ------------------------------------------------------------------------------------------------ when they fire

BRIDGE = 'instance="b"'
SLACK = 'worker="slack",route="r"'

# alert, what the series were from minute to minute ("1x5 0x9": a 1 and five more, then …), minutes at which it does not
# fire yet (or no more), the one at which it does, its labels, its summary
CASES = [
    ("FerryDown", {'up{job="ferry",instance="b"}': "1x2 0x9"}, ["4m"], "5m",
     {"job": "ferry", "instance": "b"}, "b does not answer"),
    ("FerryKafkaAway", {f"ferry_kafka_up{{{BRIDGE}}}": "1x2 0x9"}, ["4m"], "5m",
     {"instance": "b"}, "b reaches no Kafka broker"),
    ("FerryRefusesEvents", {f'ferry_http_requests_total{{{BRIDGE},path="/w",status="503"}}': "_x10 1x20",
                            f'ferry_http_requests_total{{{BRIDGE},path="/w",status="204"}}': "0+9x30"}, ["9m", "16m"], "10m",
     {"instance": "b", "path": "/w"}, "b answers /w with 503: neither Kafka nor the spool takes events"),
    ("FerryRefusesEvents", {f'ferry_http_requests_total{{{BRIDGE},path="/w",status="503"}}': "7x10 8x20"}, ["10m", "17m"], "11m",
     {"instance": "b", "path": "/w"}, "b answers /w with 503: neither Kafka nor the spool takes events"),
    ("FerrySpoolFilling", {f"ferry_spool_bytes{{{BRIDGE}}}": "100x5 600x9", f"ferry_spool_limit_bytes{{{BRIDGE}}}": "1000x20"},
     ["10m"], "11m", {"instance": "b"}, "The spool of b is 60% full"),
    ("FerrySpoolNearlyFull", {f"ferry_spool_bytes{{{BRIDGE}}}": "600x5 900x9",
                              f"ferry_spool_limit_bytes{{{BRIDGE}}}": "1000x20"},
     ["5m"], "6m", {"instance": "b"}, "The spool of b is 90% full; full, it answers 503"),
    ("FerrySpoolStuck", {f"ferry_spool_oldest_seconds{{{BRIDGE}}}": "700x30", f"ferry_kafka_up{{{BRIDGE}}}": "0x5 1x24"},
     ["10m"], "11m", {"instance": "b"}, "b reaches Kafka, yet events have been on disk for 11m 40s"),
    ("FerrySpoolSetAside", {f"ferry_spool_aside_total{{{BRIDGE}}}": "0x5 1x99"}, ["5m", "70m"], "6m",
     {"instance": "b"}, "b has set spooled events aside that Kafka can never take"),
    ("FerryTopicsMissing", {f"ferry_topics_missing{{{BRIDGE}}}": "0x2 3x20"}, ["12m"], "13m",
     {"instance": "b"}, "b lacks 3 topics, or may not use them"),
    ("FerrySignatureFailures", {f'ferry_signature_failures_total{{{BRIDGE},path="/w",reason="signature_invalid"}}': "_x9 6x30"},
     ["8m", "25m"], "9m", {"path": "/w"}, "/w: 6 requests in ten minutes whose signature or key was refused"),
    ("FerryNoEvents", {f'ferry_last_event_timestamp_seconds{{{BRIDGE},path="/w"}}': "0x9"}, ["720m"], "721m",
     {"path": "/w"}, "No event has come by /w for 12h 1m 0s"),
    ("FerryReloadFailed", {f"ferry_config_reload_success{{{BRIDGE}}}": "1x3 0x5"}, ["3m"], "4m",
     {"instance": "b"}, "b was to read a configuration or certificate that is wrong; the old one stays"),
    ("FerryCertificateEnds", {f"ferry_certificate_expiry_timestamp_seconds{{{BRIDGE}}}": "1210200x30"}, ["10m"], "11m",
     {"instance": "b"}, "The certificate of b ends in 13d 23h 59m 0s"),
    ("FerryWebhookDisabled", {f'ferry_webhook_enabled{{{BRIDGE},tenant="t",webhook="w"}}': "1x3 0x3"}, ["3m"], "4m",
     {"tenant": "t", "webhook": "w"}, "t does not send by webhook w: it is disabled"),
    ("FerryWebhookDeliveriesFail", {f'ferry_webhook_failed_deliveries{{{BRIDGE},tenant="t",webhook="w"}}': "0x3 2x30"},
     ["18m"], "19m", {"tenant": "t", "webhook": "w"}, "t: 2 events of webhook w did not arrive"),
    ("FerryAuditsBehind", {f'ferry_audits_last_poll_timestamp_seconds{{{BRIDGE},tenant="t"}}': "0x60"}, ["25m"], "26m",
     {"tenant": "t"}, "The audits of t are 26m 0s behind"),
    ("FerryAuditsBehind", {f'ferry_audits_last_poll_timestamp_seconds{{{BRIDGE},tenant="t"}}': "0+60x60",
                           f'ferry_audits_lag_seconds{{{BRIDGE},tenant="t"}}': "10x4 1000x30"}, ["14m"], "15m",
     {"tenant": "t"}, "The audits of t are 16m 40s behind"),
    ("FerryAuditsNotPolled", {'ferry_audits_polling{instance="a",tenant="t"}': "1x3 0x20",
                              f'ferry_audits_polling{{{BRIDGE},tenant="t"}}': "0x30"}, ["13m"], "14m",
     {"tenant": "t"}, "No bridge polls the audits of t"),
    ("FerryDeadLetters", {f'ferry_effects_total{{{SLACK},outcome="dead"}}': "0x20 1x40"}, ["20m", "37m"], "21m",
     {"worker": "slack", "route": "r"}, "slack/r has given up 1 events in 15 minutes"),
    ("FerryDeadLettersGrow", {f'ferry_effects_total{{{SLACK},outcome="dead"}}': "0x60 50x5 60x40"}, ["66m"], "67m",
     {"worker": "slack", "route": "r"}, "slack/r has given up 60 events in an hour"),
    ("FerryDoubtfulMail", {'ferry_effects_total{worker="mail",route="r",outcome="doubtful"}': "0x20 1x40"}, ["20m", "37m"], "21m",
     {"route": "r"}, "mail/r: 1 mails may have been sent, or not"),
    ("FerryDoubtfulCalls", {f'ferry_effects_total{{{SLACK},outcome="doubtful"}}': "0x20 1x40"}, ["20m", "37m"], "21m",
     {"worker": "slack", "route": "r"}, "slack/r: 1 calls went out and nothing came back"),
    ("FerryLag", {'ferry_consumer_lag{instance="s",topic="t",partition="0"}': "0x2 600x30",
                  'ferry_consumer_lag{instance="s",topic="t",partition="1"}': "0x2 600x30"}, ["17m"], "18m",
     {"instance": "s", "topic": "t"}, "s is 1.2k records behind on t"),
    ("FerryOldestRetry", {'ferry_retry_oldest_seconds{instance="s",route="r"}': "0x2 4000x9"}, ["7m"], "8m",
     {"route": "r"}, "Route r: an event has been failing for 1h 6m 40s"),
    ("FerrySlow", {f'ferry_end_to_end_seconds_bucket{{{SLACK},le="30"}}': "0x60",
                   f'ferry_end_to_end_seconds_bucket{{{SLACK},le="60"}}': "0+100x60",
                   f'ferry_end_to_end_seconds_bucket{{{SLACK},le="+Inf"}}': "0+100x60"}, ["15m"], "16m",
     {"worker": "slack", "route": "r"}, "slack/r: one effect in a hundred comes 59.7s after its event, or later"),
    ("FerryRouteParked", {'ferry_route_parked{instance="s",route="r"}': "0x3 1x3"}, ["3m"], "4m",
     {"instance": "s", "route": "r"}, "The destination of route r is dead; its events become dead letters"),
]


def promtool(*arguments):
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("alert, series, quiet, fires, labels, summary", CASES,
                         ids=[f"{case[0]}-{n}" for n, case in enumerate(CASES)])
def test_an_alert_fires_when_it_should_and_not_before(tmp_path, alert, series, quiet, fires, labels, summary):
    rule = alerts()[alert]
    fired = {"exp_labels": {**labels, **rule["labels"]},
             "exp_annotations": {"summary": summary, "runbook": rule["annotations"]["runbook"]}}
    moments = [{"eval_time": fires, "alertname": alert, "exp_alerts": [fired]}]
    moments += [{"eval_time": minute, "alertname": alert, "exp_alerts": []} for minute in quiet]
    tests = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [{
        "interval": "1m", "alert_rule_test": sorted(moments, key=lambda moment: int(moment["eval_time"][:-1])),
        "input_series": [{"series": name, "values": values} for name, values in series.items()]}]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(tests))
    done = promtool("test", "rules", tmp_path / "test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_been_tried():
    assert set(alerts()) == {case[0] for case in CASES}


def test_while_the_spool_serves_a_kafka_that_is_away_it_is_not_called_stuck(tmp_path):
    tests = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [{
        "interval": "1m", "alert_rule_test": [{"eval_time": "30m", "alertname": "FerrySpoolStuck", "exp_alerts": []}],
        "input_series": [{"series": f"ferry_spool_oldest_seconds{{{BRIDGE}}}", "values": "700x30"},
                         {"series": f"ferry_kafka_up{{{BRIDGE}}}", "values": "0x30"}]}]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(tests))
    done = promtool("test", "rules", tmp_path / "test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def anchors(page):
    """The anchors of a page's headings, as they are made of Markdown."""
    headings = re.findall(r"(?m)^#+ (.+)$", (ROOT / "docs" / page).read_text())
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("alert", sorted(alerts()))
def test_what_to_do_about_an_alert_is_written_down(alert):
    page, _, anchor = alerts()[alert]["annotations"]["runbook"].partition("#")
    assert anchor in anchors(page)


# ----------------------------------------------------------------------------------------- what they ask for is there


def dashboard():
    return json.loads(DASHBOARD.read_text())


def questions():
    """Every expression of alerts and dashboard, with Grafana's variables filled in."""
    result = [rule["expr"] for rule in alerts().values()]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            result.append(target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*"))
    assert not [expression for expression in result if "$" in expression]
    return result


@pytest.fixture(scope="module")
def exposed(kafka, tmp_path_factory):
    """name → the labels of its samples, of all programs with everything configured."""
    with Tenant() as tenant, Slack() as slack:
        key = {"api_key": {"env": "QLIK_API_KEY"}}
        config = {
            "kafka": kafka.client(),
            "topics": {"name": "watched.{event}", "internal": "watched", "other": "watched.other", "create": "routed",
                       "partitions": 1, "replication": 1},
            "bridge": {"webhooks": [WEBHOOK], "public_url": "https://ferry.example.com", "spool": {"directory": "spool"},
                       "audits": [{"tenant": tenant.url, "auth": key}],
                       "triggers": [{"name": "refresh", "keys": [{"name": "k", "secret": {"env": "TRIGGER_KEY"}}]}]},
            "worker": {"lookup": {"tenant": tenant.url, "auth": key}},
            "slack": {"group": "watched-slack", "routes": [
                {"name": "s", "events": ["app.created"], "webhook": {"env": "HOOK"}, "text": r"\(.id)"}]},
            "automation": {"group": "watched-automation", "routes": [
                {"name": "a", "events": ["trigger.refresh"],
                 "qlik": {"tenant": tenant.url, "automation": "a", "token": {"env": "TOKEN"}}}]},
            "mail": {"group": "watched-mail", "from": "no-reply@example.com", "recipient_domains": ["example.com"],
                     "smtp": {"url": "smtp://127.0.0.1:9", "tls": "none"}, "routes": [
                {"name": "m", "events": ["user.created"], "to": ".resource.email", "subject": "s", "text": "t"}]},
        }
        env = {"QLIK_API_KEY": tenant.api_key, "TRIGGER_KEY": "k" * 40, "HOOK": slack.hook(), "TOKEN": "t" * 20}
        ferry = Ferry(tmp_path_factory.mktemp("watched"), config, env)
        try:
            bridge = ferry.start("bridge", limit=90)
            workers = [ferry.start(name, limit=90) for name in ("slack", "mail", "automation")]
            assert bridge.post(event()).status in (202, 204)
            assert bridge.post(event(), secret=None).status == 401
            bridge.post(b"", path="/triggers/refresh", headers={"X-Ferry-Key": "k" * 40}, secret=None)
            until(lambda: workers[0].metric("ferry_effects_total", outcome="done") == 1, 60, "the effect")
            texts = [program.metrics_text() for program in (bridge, *workers)]
            ferry.stop()
        finally:
            ferry.kill()
    names = {"up": {"job", "instance"}}
    for text in texts:
        for name, kind in re.findall(r"(?m)^# TYPE (\S+) (\S+)$", text):
            for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
                names.setdefault(name + suffix, set())
        for name, labels, _ in parse_metrics(text):
            names[name] |= set(labels) | {"job", "instance"}
    return names


def test_alerts_and_dashboard_ask_for_metrics_that_the_programs_have(exposed):
    for expression in questions():
        asked = re.findall(r"\b(ferry_\w+|up)\b(?:\{([^}]*)\})?", expression)
        assert asked, expression
        for name, selector in asked:
            assert name in exposed, f"{name} in {expression}"
            wanted = set(re.findall(r"(\w+) *(?:=|!=|=~|!~) *\"", selector))
            assert wanted <= exposed[name] or not exposed[name], f"{name} has {exposed[name]}: {expression}"


def test_every_metric_has_its_row_in_the_documentation_and_no_other_has(exposed):
    page = (ROOT / "docs" / "monitoring.md").read_text().partition("\n## Metrics\n")[2]
    rows = set(re.findall(r"`(ferry_\w+)`", page))
    there = {re.sub("_(bucket|sum|count)$", "", name) for name in exposed} - {"up"}
    # Printed only where something has happened that this test does not make happen.
    rare = {"ferry_producer_replacements_total", "ferry_console_logins_total"}
    assert rows - rare == there - rare


def test_every_alert_has_its_row_in_the_documentation():
    page = (ROOT / "docs" / "monitoring.md").read_text()
    assert set(re.findall(r"`(Ferry[A-Z]\w+)`", page)) == set(alerts())


def test_promtool_reads_every_expression_of_the_dashboard(tmp_path):
    rules = {"groups": [{"name": "dashboard", "rules": [{"record": f"panel:{n}", "expr": expression}
                                                        for n, expression in enumerate(questions())]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules, width=1000))
    done = promtool("check", "rules", tmp_path / "rules.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_whole():
    board = dashboard()
    assert board["uid"] == "ferry" and board["schemaVersion"] >= 38
    assert [v["name"] for v in board["templating"]["list"] if v["type"] == "datasource"] == ["datasource"]
    identities = [panel["id"] for panel in board["panels"]]
    assert len(set(identities)) == len(identities)
    covered = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & covered, panel["title"]
        covered |= cells
        if panel["type"] != "row":
            assert panel["targets"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert {t["datasource"]["uid"] for t in panel["targets"]} == {"${datasource}"} == {panel["datasource"]["uid"]}
