"""ferry setup qlik: the webhook of a tenant, made, changed, left alone; and what it could not deliver, asked for again."""
import json
import signal

import pytest

from support import records
from support.ferry import SECRET, event, merge
from support.http import Answer
from support.process import until
from support.tenant import WEBHOOKS_MAX

PUBLIC = "https://ferry.example.com"
URL = PUBLIC + "/webhooks/qlik"
DOOR = {"path": "/webhooks/qlik", "format": "qlik", "signature": "qlik", "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}]}


@pytest.fixture
def ferry(make, tenant):
    """A configuration that knows the tenant and how to log in there."""
    auth, env = tenant.config()
    return make({"kafka": {"bootstrap.servers": "127.0.0.1:1"},
                 "bridge": {"public_url": PUBLIC, "webhooks": [DOOR], "audits": [{"tenant": tenant.url, "auth": auth}]}},
                env=env)


def setup(ferry, *arguments, code=0, limit=60):
    done = ferry.run("ferry", "setup", "qlik", "-c", ferry.path, *arguments, limit=limit)
    assert done.returncode == code, done.stdout + done.stderr
    for secret in ferry.env.values():
        assert secret not in done.stdout + done.stderr
    return done


def only(tenant):
    webhook, = tenant.webhooks.values()
    return webhook


def changes(tenant):
    return [r for r in tenant.requests("/api/v1/webhooks(/.*)?") if r.method != "GET"]


# --------------------------------------------------------------------------------------------------------- making it


def test_a_webhook_is_made_with_the_secret_of_the_configuration(ferry, tenant):
    done = setup(ferry, "--events", "app.created,user.deleted")
    webhook = only(tenant)
    assert webhook["url"] == URL and webhook["enabled"] and webhook["level"] == "tenant" and webhook["name"] == "Ferry"
    assert sorted(webhook["eventTypes"]) == ["com.qlik.app.created", "com.qlik.user.deleted"]
    assert tenant.secrets[webhook["id"]] == SECRET
    assert "made" in done.stdout and "+ com.qlik.app.created" in done.stdout and webhook["id"] in done.stdout


def test_a_second_run_changes_nothing_and_says_so(ferry, tenant):
    setup(ferry, "--events", "app.*")
    before = len(changes(tenant))
    done = setup(ferry, "--events", "app.*")
    assert "nothing to change" in done.stdout
    assert len(changes(tenant)) == before and len(tenant.webhooks) == 1


def test_a_dry_run_shows_and_does_nothing(ferry, tenant):
    done = setup(ferry, "--events", "app.created", "--dry-run")
    assert "would be made" in done.stdout and "+ com.qlik.app.created" in done.stdout
    assert not tenant.webhooks and not changes(tenant)


def test_what_differs_is_changed_and_nothing_else(ferry, tenant):
    webhook = tenant.webhook(URL, name="by hand", eventTypes=["com.qlik.user.created", "com.qlik.app.created"],
                             secret="x" * 40, description="mine", filter='spaceId eq "1"')
    done = setup(ferry, "--events", "app.created,app.deleted")
    assert "+ com.qlik.app.deleted" in done.stdout and "- com.qlik.user.created" in done.stdout
    assert webhook["eventTypes"] == ["com.qlik.app.created", "com.qlik.app.deleted"]
    patch, = changes(tenant)
    assert patch.method == "PATCH" and [c["path"] for c in patch.json()] == ["/eventTypes"]
    assert (webhook["name"], webhook["description"], webhook["filter"]) == ("by hand", "mine", 'spaceId eq "1"')
    assert tenant.secrets[webhook["id"]] == "x" * 40, "a secret that is set is changed only when asked"


def test_the_secret_is_set_anew_when_asked(ferry, tenant):
    webhook = tenant.webhook(URL, secret="x" * 40, eventTypes=["com.qlik.app.created"])
    setup(ferry, "--set-secret")
    assert tenant.secrets[webhook["id"]] == SECRET


def test_a_webhook_without_a_secret_gets_it(ferry, tenant):
    webhook = tenant.webhook(URL, eventTypes=["com.qlik.app.created"])
    setup(ferry)
    assert tenant.secrets[webhook["id"]] == SECRET and webhook["eventTypes"] == ["com.qlik.app.created"]


def test_a_disabled_webhook_is_enabled_and_the_reason_shown(ferry, tenant):
    webhook = tenant.webhook(URL, secret=SECRET, eventTypes=["com.qlik.app.created"])
    tenant.disable(webhook, "Too many failed deliveries")
    done = setup(ferry)
    assert webhook["enabled"] and "Too many failed deliveries" in done.stdout


def test_a_webhook_is_found_by_its_name_when_it_moves(ferry, tenant):
    webhook = tenant.webhook("https://old.example.com/webhooks/qlik", name="Ferry here", secret=SECRET,
                             eventTypes=["com.qlik.app.created"])
    setup(ferry, "--name", "Ferry here")
    assert only(tenant) is webhook and webhook["url"] == URL


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_namesake_that_sends_elsewhere_is_told_when_another_is_made(ferry, tenant, dry):
    old = "https://old.example.com/webhooks/qlik"
    webhook = tenant.webhook(old, name="Ferry", secret=SECRET, eventTypes=["com.qlik.app.created"])
    done = setup(ferry, "--events", "app.created", *dry)
    assert f'a webhook "Ferry" with URL {old} exists already and stays' in done.stderr, done.stderr
    assert ("--name Ferry" in done.stderr) == bool(dry) and webhook["url"] == old
    assert "stays" not in setup(ferry, "--events", "app.created", "--name", "Ferry", *dry).stderr


def test_one_of_many_pages_is_found(ferry, tenant):
    tenant.page_max = 7
    for number in range(40):
        tenant.webhook(f"https://other.example.com/{number}", name=f"other {number}")
    webhook = tenant.webhook(URL, secret=SECRET, eventTypes=["com.qlik.app.created"])
    setup(ferry, "--events", "app.deleted")
    assert webhook["eventTypes"] == ["com.qlik.app.deleted"] and len(tenant.webhooks) == 41


def test_headers_that_the_bridge_asks_for_are_set_encrypted(make, tenant):
    auth, env = tenant.config()
    door = merge(DOOR, {"headers": {"X-Caller": {"env": "CALLER"}}})
    ferry = make({"kafka": {"bootstrap.servers": "127.0.0.1:1"},
                  "bridge": {"public_url": PUBLIC, "webhooks": [door], "audits": [{"tenant": tenant.url, "auth": auth}]}},
                 env={**env, "CALLER": "qlik-itself"})
    setup(ferry, "--events", "app.created")
    assert tenant.hidden[only(tenant)["id"]] == {"X-Caller": "qlik-itself"}
    assert "nothing to change" in setup(ferry).stdout
    setup(ferry, "--url", "https://new.example.com", "--name", "Ferry")
    assert tenant.hidden[only(tenant)["id"]] == {"X-Caller": "qlik-itself"}, "a URL that changes loses them"


@pytest.mark.parametrize("kind", ["api_key", "oauth"])
def test_flags_say_how_to_log_in(make, tenant, kind):
    _auth, env = tenant.config(kind)
    ferry = make({"kafka": {"bootstrap.servers": "127.0.0.1:1"}, "bridge": {"webhooks": [DOOR]}}, env=env)
    flags = {"api_key": ["--api-key-env", "QLIK_API_KEY"],
             "oauth": ["--client-id", tenant.client_id, "--client-secret-env", "QLIK_CLIENT_SECRET"]}[kind]
    setup(ferry, "--tenant", tenant.url + "/", "--url", PUBLIC, "--events", "app.created", *flags)
    assert only(tenant)["url"] == URL


def test_a_real_tenant_is_reached_over_tls(make, secure_tenant, authority):
    auth, env = secure_tenant.config("oauth")
    config = {"kafka": {"bootstrap.servers": "127.0.0.1:1"},
              "bridge": {"public_url": PUBLIC, "webhooks": [DOOR], "audits": [{"tenant": secure_tenant.url, "auth": auth}]}}
    refused = setup(make(config, env=env), "--events", "app.created", code=1)
    assert "certificate" in refused.stderr.lower() or "SSL" in refused.stderr
    setup(make(config, {"ca_file": str(authority.certificate)}, env=env), "--events", "app.created")
    assert only(secure_tenant)["url"] == URL


def test_the_result_is_json_when_asked(ferry, tenant):
    result = json.loads(setup(ferry, "--events", "app.created", "--json", "--resend-failed").stdout)
    assert result["state"] == "created" and result["webhook"] == only(tenant)["id"]
    assert {"eventTypes", "secret", "url"} <= set(result["changes"])
    assert result["resent"] == {"missing": 0, "arrived": 0, "failed_again": 0}
    assert json.loads(setup(ferry, "--json").stdout)["state"] == "unchanged"


# ---------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize("arguments, said", [
    (["--events", "app.creatd"], "did you mean app.created?"),
    (["--events", "api-key.created"], "Audits API"),
    (["--events", "nothing.*"], "nothing.*"),
    (["--events", "app.created", "--url", "http://ferry.example.com"], "https://"),
    (["--events", "app.created", "--url", "https://192.0.2.7"], "host's name"),
    (["--events", "app.created", "--url", "https://[2001:db8::7]:8443/webhooks/qlik"], "host's name"),
    (["--events", "app.created", "--url", "https://ferry.example.com/elsewhere"], "bridge.webhooks"),
    ([], "--events is missing"),
    (["--events", "app.created", "--api-key-env", "NOPE"], "ferry setup: --api-key-env: the environment has no NOPE"),
    (["--events", "app.created", "--client-id", "x", "--client-secret-env", "NOPE"], "--client-secret-env: the environment has no NOPE"),
    (["--tenant", "http://acme.eu.qlikcloud.com"], "--tenant"),
    (["--tenant", "https://acme.eu.qlikcloud.com"], "how to log in"),
])
def test_a_mistake_is_named_and_nothing_changed(ferry, tenant, arguments, said):
    assert said in setup(ferry, *arguments, code=2).stderr
    assert not changes(tenant)


def test_a_wrong_key_is_named(ferry, tenant):
    tenant.api_key = "another"
    assert "401: Unauthorized; the key is wrong" in setup(ferry, "--events", "app.created", code=1).stderr


def test_a_key_that_may_not_is_named(ferry, tenant):
    tenant.next_answers("/api/v1/webhooks", Answer(403, {"errors": [{"title": "Forbidden"}]}), method="POST")
    assert "TenantAdmin" in setup(ferry, "--events", "app.created", code=1).stderr


def test_a_tenant_that_is_full_is_named(ferry, tenant):
    for number in range(WEBHOOKS_MAX):
        tenant.webhook(f"https://other.example.com/{number}")
    assert f"{WEBHOOKS_MAX} webhooks" in setup(ferry, "--events", "app.created", code=1).stderr


def test_a_secret_that_qlik_would_not_take_is_named(ferry, tenant):
    ferry.env["QLIK_WEBHOOK_SECRET"] = "much-too-long" * 5
    assert "32 to 64" in setup(ferry, "--events", "app.created", code=1).stderr
    assert not tenant.requests()


def test_a_tenant_that_is_busy_or_ill_is_waited_for(ferry, tenant):
    tenant.throttle(1)
    tenant.next_answers("/api/v1/webhooks", Answer(503), method="POST")
    setup(ferry, "--events", "app.created")
    assert only(tenant)["url"] == URL and tenant.throttled >= 1


def test_a_link_that_leaves_the_tenant_is_not_followed(ferry, tenant, qlik):
    away = {"data": [{"id": "1", "url": "https://x.example.com", "name": "x"}],
            "links": {"next": {"href": f"{qlik.url}/api/v1/webhooks?next=2"}}}
    tenant.next_answers("/api/v1/webhooks", Answer(200, away))
    assert "leads away" in setup(ferry, "--events", "app.created", code=1).stderr
    assert not qlik.requests()


# --------------------------------------------------------------------------------------------------- failed deliveries


@pytest.fixture
def served(make, kafka, settings, prefix, secure_tenant, authority, certificate):
    """A bridge over TLS, and the tenant's webhook that sends to it."""
    auth, env = secure_tenant.config()
    tls = {"certificate": str(certificate.certificate), "key": str(certificate.key)}
    ferry = make(settings, {"bridge": {"webhooks": [DOOR], "tls": tls, "ack_timeout": "15s", "audits": [{"tenant": secure_tenant.url, "auth": auth}]},
                            "ca_file": str(authority.certificate), "topics": {"create": "known"}}, env=env)
    port = ferry.config["bridge"]["listen"].rpartition(":")[2]
    ferry.config["bridge"]["public_url"] = f"https://localhost:{port}"
    ferry.write()
    setup(ferry, "--events", "app.created")
    return ferry, secure_tenant, only(secure_tenant), authority


def test_failed_deliveries_are_asked_for_again_once(served, kafka, prefix):
    ferry, tenant, webhook, authority = served
    lost = [event() for _ in range(3)]
    for number, missing in enumerate(lost):
        assert tenant.deliver(missing)[0]["status"] == "fail", "nobody listens yet"
        tenant.failed_delivery(webhook, missing, age=3600 + number)  # twice: Qlik's own second attempt
    tenant.disable(webhook)
    ferry.start("bridge", tls=authority.client_context(), limit=90)
    late = event()
    tenant.failed_delivery(webhook, late, age=120)
    webhook["enabled"] = True
    assert tenant.deliver(late)[0]["status"] == "success", "arrived since: not to be asked for"
    tenant.disable(webhook)
    dry = setup(ferry, "--resend-failed", "--dry-run")
    assert "3 events of failed deliveries would be asked for" in dry.stdout
    done = setup(ferry, "--resend-failed")
    assert "3 arrived, 0 failed once more" in done.stdout and webhook["enabled"]
    found = records.read(kafka, f"{prefix}.app.created", lambda rs: len(rs) >= 4, 60)
    assert sorted(r.id for r in found) == sorted(e["id"] for e in [*lost, late])
    assert "no event of the last week is missing" in setup(ferry, "--resend-failed").stdout


def test_a_bridge_that_refuses_is_not_asked_on_until_qlik_disables_the_webhook(served):
    ferry, tenant, webhook, authority = served
    for _ in range(20):
        tenant.failed_delivery(webhook, event())
    ferry.start("bridge", tls=authority.client_context(), limit=90)
    tenant.secrets[webhook["id"]] = "not-the-secret-that-the-bridge-knows-at-all"
    done = setup(ferry, "--resend-failed", code=1)
    assert "status 401" in done.stderr and "--set-secret" in done.stderr
    assert len(tenant.requests(".*/actions/resend")) == 5
    setup(ferry, "--set-secret", "--resend-failed")
    until(lambda: len(tenant.requests(".*/actions/resend")) == 25)


# --------------------------------------------------------------------------------------- what the bridge looks after


@pytest.fixture
def watched(make, settings, tenant):
    """watched(webhook of the tenant…) → the bridge, which looks every second."""
    def start(config=None):
        auth, env = tenant.config()
        bridge = {"public_url": PUBLIC, "webhooks": [DOOR], "watch": [{"tenant": tenant.url, "auth": auth, "interval": "1s"}]}
        ferry = make(settings, {"bridge": merge(bridge, config or {})}, env=env)
        return ferry, ferry.start("bridge", limit=90)
    return start


def messages(bridge, text):
    return [line for line in bridge.logs() if line["msg"].startswith(text)]


def test_a_webhook_that_qlik_disabled_is_told_once_with_the_cure(watched, tenant):
    webhook = tenant.webhook(URL, name="events", secret=SECRET)
    tenant.webhook("https://ferry.example.com.evil.example/webhooks/qlik", name="not ours")
    _ferry, bridge = watched()
    labels = {"tenant": tenant.url, "webhook": "events"}
    until(lambda: bridge.metric("ferry_webhook_enabled", **labels) == 1, 60)
    assert "not ours" not in bridge.metrics_text()
    tenant.disable(webhook, "Too many failed deliveries")
    until(lambda: bridge.metric("ferry_webhook_enabled", **labels) == 0, 60)
    until(lambda: len(tenant.requests("/api/v1/webhooks")) > 5, 60)
    told, = messages(bridge, "webhook is disabled")
    assert told["level"] == "error" and told["reason"] == "Too many failed deliveries" and "ferry setup qlik" in told["cure"]
    webhook["enabled"] = True
    until(lambda: messages(bridge, "webhook is enabled"), 60)
    assert bridge.metric("ferry_webhook_enabled", **labels) == 1
    assert bridge.metric("ferry_webhook_last_look_timestamp_seconds", tenant=tenant.url) > 1e9


def test_events_that_no_delivery_brought_are_counted(watched, tenant):
    webhook = tenant.webhook(URL, name="events", secret=SECRET)
    lost, found = event(), event()
    for missing in (lost, lost, found):
        tenant.failed_delivery(webhook, missing)
    _ferry, bridge = watched()
    until(lambda: bridge.metric("ferry_webhook_failed_deliveries", webhook="events") == 2, 60)
    tenant._note(webhook, found["type"], found, 204, tenant.now())
    until(lambda: bridge.metric("ferry_webhook_failed_deliveries", webhook="events") == 1, 60)
    assert len(messages(bridge, "events of failed deliveries are missing")) == 1


def test_a_webhook_that_is_gone_is_told_and_shown_no_more(watched, tenant):
    webhook = tenant.webhook(URL, name="events", secret=SECRET)
    _ferry, bridge = watched()
    until(lambda: "ferry_webhook_enabled{" in bridge.metrics_text(), 60)
    del tenant.webhooks[webhook["id"]]
    until(lambda: messages(bridge, "no webhook of this tenant sends to this bridge"), 60)
    assert "ferry_webhook_enabled{" not in bridge.metrics_text()


def test_two_webhooks_of_one_name_are_two(watched, tenant):
    first, second = (tenant.webhook(URL, name="events", secret=SECRET) for _ in range(2))
    tenant.disable(second)
    _ferry, bridge = watched()
    until(lambda: bridge.metrics_text().count("ferry_webhook_enabled{") == 2, 60)
    assert bridge.metric("ferry_webhook_enabled", webhook="events") == 1
    assert bridge.metric("ferry_webhook_enabled", webhook=f"events ({second['id']})") == 0
    assert first["enabled"]


def test_a_tenant_that_refuses_does_not_touch_the_bridge(watched, tenant):
    tenant.webhook(URL, name="events", secret=SECRET)
    _ferry, bridge = watched()
    until(lambda: bridge.metric("ferry_webhook_enabled", webhook="events") == 1, 60)
    key, tenant.api_key = tenant.api_key, "another"
    until(lambda: bridge.metric("ferry_webhook_look_errors_total", tenant=tenant.url) >= 2, 60)
    told, = messages(bridge, "webhooks cannot be looked at")
    assert "401" in told["reason"] and bridge.health("/readyz") == 200
    tenant.api_key = key
    until(lambda: messages(bridge, "webhooks can be looked at again"), 60)


def test_a_reload_changes_whose_webhooks_are_looked_at(watched, tenant):
    tenant.webhook(URL, name="events", secret=SECRET)
    ferry, bridge = watched()
    until(lambda: "ferry_webhook_enabled{" in bridge.metrics_text(), 60)
    ferry.config["bridge"]["watch"] = []
    ferry.write()
    bridge.signal(signal.SIGHUP)
    until(lambda: "ferry_webhook_enabled{" not in bridge.metrics_text(), 60)


def test_a_tenant_that_does_not_answer_does_not_hold_up_the_end(watched, tenant):
    tenant.webhook(URL, name="events", secret=SECRET)
    tenant.intercept("/api/v1/webhooks", lambda _request, _usual: Answer(hang=True))
    _ferry, bridge = watched()
    tenant.wait_for(1, "/api/v1/webhooks", 60)
    assert bridge.stop() == 0
