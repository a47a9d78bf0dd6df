"""Triggers: who can only call a URL calls Ferry, an event is published, and ferry-automation starts the automation."""
import base64
import concurrent.futures
import hashlib
import hmac
import itertools
import json
import time
import urllib.parse

import pytest

from support import http, records
from support.ferry import Ferry, merge
from support.process import free_port, until
from support.tenant import Tenant

KEYS = {"KEY_SCRIPT": "key-of-the-load-script-0123456789ab", "KEY_IFTTT": "key-of-ifttt-in-its-url-0123456789ab",
        "KEY_OTHER": "key-of-another-trigger-0123456789ab"}
SCRIPT, IFTTT, OTHER = KEYS.values()
TOKEN = "execution-token-of-the-triggers-tests"
AUTOMATION = "6f7a0c1e-2b3d-4c5e-8f90-a1b2c3d4e5f6"
PAGE = "https://acme.eu.qlikcloud.com"
PREFIX = "t67"
PUBLIC = "https://ferry.example.com/in"
numbers = itertools.count(1)

KEY_LIST = [{"name": "load-script", "secret": {"env": "KEY_SCRIPT"}}, {"name": "ifttt", "secret": {"env": "KEY_IFTTT"}, "in_url": True}]


def trigger(name, **settings):
    return {"name": name, "keys": KEY_LIST, "inputs": ["app", "date"], **settings}


@pytest.fixture(scope="module")
def tenant():
    with Tenant(token=TOKEN) as server:
        server.rate = (100000, 1.0)
        yield server


@pytest.fixture(scope="module")
def ferry(kafka, folder, tenant):
    """A bridge with the triggers of the tests, and the automation worker behind it."""
    triggers = [trigger("refresh", cors=[PAGE], revoked=["gone"]), trigger("open", cross_site=True), trigger("public", cors=["*"]), trigger("slow", rate="2/1m"),
                trigger("quiet", caller_address="none"), trigger("blurred", caller_address="network"),
                {"name": "other", "keys": [{"name": "only", "secret": {"env": "KEY_OTHER"}, "in_url": True}]}]
    config = {
        "kafka": kafka.client(),
        "topics": {"name": PREFIX + ".{event}", "internal": PREFIX, "other": PREFIX + ".other", "create": "routed",
                   "partitions": 1, "replication": 1},
        "bridge": {"listen": f"127.0.0.1:{free_port()}", "public_url": PUBLIC + "/", "trusted_proxies": ["127.0.0.0/8"],
                   "triggers": triggers},
        "automation": {"group": f"{PREFIX}-automation", "start": "earliest", "routes": [
            {"name": "refresh", "events": ["trigger.refresh"],
             "qlik": {"tenant": tenant.url, "automation": AUTOMATION, "token": {"env": "TOKEN"}}}]},
        "log": {"level": "debug"},  # what is not to be told is told at no level
    }
    ferry = Ferry(folder / "triggers", config, {**KEYS, "TOKEN": TOKEN})
    try:
        ferry.bridge = ferry.start("bridge", limit=90)
        ferry.start("automation", limit=90)
        yield ferry
        ferry.stop()
    finally:
        ferry.kill()


@pytest.fixture
def bridge(ferry):
    return ferry.bridge


@pytest.fixture
def call(bridge):
    """call("/triggers/…", key=…, headers=…, body=…, caller=…): one request; each has an address of its own."""
    def caller_of(path, method="GET", key=None, headers=None, body=None, caller=None):
        number = next(numbers)
        pairs = {"X-Forwarded-For": caller or f"198.51.{number // 250}.{number % 250 + 1}"}
        if key:
            pairs["X-Ferry-Key"] = key
        if body is not None and not isinstance(body, bytes):
            body, pairs["Content-Type"] = json.dumps(body).encode(), "application/json"
        return http.send(method, bridge.url + path, body, pairs | (headers or {}))
    return caller_of


def basic(password, user="favourite"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def derived(parent, label, name="refresh"):
    mac = hmac.new(parent.encode(), f"{name}/{label}".encode(), hashlib.sha256).digest()
    return label + "." + base64.urlsafe_b64encode(mac).decode().rstrip("=")


def fresh():
    """A value that no other call of the tests has."""
    return f"app-{next(numbers)}-{time.monotonic_ns()}"


def execution(tenant, app, limit=60):
    """The call of the automation that carries this input."""
    def find():
        return [r for r in tenant.executions() if json.loads(r.body).get("app") == app]
    return until(find, limit, f"an execution with {app}")[0]


def event(kafka, answer, name="refresh"):
    """The record of the event that an answer speaks of."""
    assert answer.status == 202, (answer.status, answer.body)
    return records.wait_for_id(kafka, f"{PREFIX}.trigger.{name}", answer.json()["id"])


def count(kafka, name="refresh"):
    return sum(records.ends(kafka, [f"{PREFIX}.trigger.{name}"]).values())


@pytest.fixture
def nothing_started(kafka):
    """Checked after the test: not one event more of the trigger `refresh`."""
    before = count(kafka)
    yield
    assert count(kafka) == before


# --------------------------------------------------------------------------------- who can only call a URL


def test_a_favourite_starts_the_automation(call, tenant):
    app = fresh()
    first = call(f"/triggers/refresh?app={app}", headers={"Accept": "text/html"})
    assert first.status == 401 and first.headers.get_all("WWW-Authenticate")[0].startswith('Basic realm="Ferry trigger refresh"')
    answer = call(f"/triggers/refresh?app={app}", headers=basic(SCRIPT) | {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"})
    assert answer.status in (200, 202)
    run = execution(tenant, app)
    assert run.headers["X-Execution-Token"] == TOKEN and run.json() == {"app": app} and "?" not in run.target


def test_ifttt_starts_it_with_its_key_in_the_url(call, tenant):
    app = fresh()
    form = urllib.parse.urlencode({"app": app, "date": "1 & 2 = ü"}).encode()
    answer = call(f"/triggers/refresh/{IFTTT}", "POST", body=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 202
    assert execution(tenant, app).json() == {"app": app, "date": "1 & 2 = ü"}


def test_a_load_script_starts_it_with_a_header(call, tenant):
    app = fresh()
    assert call(f"/triggers/refresh?app={app}&date=a%20b+c", key=SCRIPT).status == 202
    assert execution(tenant, app).json() == {"app": app, "date": "a b c"}


def test_a_bearer_token_starts_it_and_json_values_stay_as_they_are(call, tenant):
    app = fresh()
    body = b'{"date": {"n":1.10, "big":12345678901234567891}, "app":"%s"}' % app.encode()
    answer = call("/triggers/refresh", "POST", body=body,
                  headers={"Authorization": f"Bearer {SCRIPT}", "Content-Type": "application/json; charset=utf-8"})
    assert answer.status == 202
    assert execution(tenant, app).body == b'{"app":"%s","date":{"n":1.10, "big":12345678901234567891}}' % app.encode()


def test_an_extension_of_a_page_starts_it_by_fetch(call, tenant):
    app = fresh()
    preflight = call("/triggers/refresh", "OPTIONS", headers={
        "Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-ferry-key,content-type"})
    assert preflight.status == 204 and preflight.headers["Access-Control-Allow-Origin"] == PAGE
    assert "X-Ferry-Key" in preflight.headers["Access-Control-Allow-Headers"]
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    answer = call("/triggers/refresh", "POST", SCRIPT, body={"app": app},
                  headers={"Origin": PAGE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"})
    assert answer.status == 202 and answer.headers["Access-Control-Allow-Origin"] == PAGE and answer.headers["Vary"] == "Origin"
    assert "Location" in answer.headers["Access-Control-Expose-Headers"]
    assert execution(tenant, app).json() == {"app": app}


def test_a_key_of_the_kit_starts_it_from_its_url(call, tenant, kafka):
    app = fresh()
    answer = call(f"/triggers/refresh/{derived(SCRIPT, 'anna')}?app={app}")
    assert event(kafka, answer).headers["ce_subject"] == "load-script/anna"
    assert execution(tenant, app).json() == {"app": app}


# ---------------------------------------------------------------------------------------------- the event


def test_the_event_is_like_any_other(call, kafka):
    answer = call(f"/triggers/refresh?app={fresh()}", key=SCRIPT, caller="203.0.113.7",
                  headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    record = event(kafka, answer)
    assert record.headers["ce_type"] == "com.ferry.trigger.refresh" and record.headers["ferry-event"] == "trigger.refresh"
    assert record.headers["ferry-format"] == "trigger" and record.headers["ce_subject"] == "load-script"
    assert record.headers["ce_source"] == PUBLIC + "/triggers/refresh" and record.headers["content-type"] == "application/json"
    assert record.headers["traceparent"] == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert record.headers["ferry-caller"] == "203.0.113.7"
    assert len(record.id) == 32 and record.headers["ce_time"] and record.key == b"load-script"


def test_a_call_without_inputs_has_empty_data(call, kafka):
    assert event(kafka, call("/triggers/quiet", key=SCRIPT), "quiet").value == b"{}"


@pytest.mark.parametrize("name, caller, kept", [("quiet", "203.0.113.9", None), ("blurred", "203.0.113.9", "203.0.113.0"),
                                                ("blurred", "2001:db8:1:2:3:4:5:6", "2001:db8:1::")])
def test_the_caller_s_address_is_kept_as_far_as_the_trigger_says(call, kafka, name, caller, kept):
    answer = call(f"/triggers/{name}?app={fresh()}", key=SCRIPT, caller=caller)
    assert event(kafka, answer, name).headers.get("ferry-caller") == kept


def test_the_answer_names_the_run(call):
    answer = call(f"/triggers/refresh?app={fresh()}", key=SCRIPT)
    told = answer.json()
    assert told["trigger"] == "refresh" and told["status_url"] == answer.headers["Location"]
    token = hmac.new(SCRIPT.encode(), f"ferry run\nrefresh\n{told['id']}".encode(), hashlib.sha256).digest()[:16]
    assert told["status_url"] == (f"{PUBLIC}/triggers/refresh/runs/{told['id']}/"
                                  + base64.urlsafe_b64encode(token).decode().rstrip("="))


def test_it_is_counted_by_trigger_key_and_outcome(call, bridge):
    def counted(outcome, key="load-script"):
        return bridge.metric("ferry_trigger_calls_total", trigger="open", key=key, outcome=outcome)
    before = counted("started")
    assert call(f"/triggers/open?app={fresh()}", key=SCRIPT).status == 202
    assert counted("started") == before + 1
    call("/triggers/open", key="no-key-at-all")
    assert counted("key-wrong", "") == 1
    call("/triggers/open?nonsense=1", key=SCRIPT)
    assert counted("input-refused") == 1
    call("/triggers/open", "HEAD", key=SCRIPT)
    assert counted("tried") == 1


def test_the_books_balance(call, bridge):
    def sum_of(name, **labels):
        return bridge.metric(name, **labels)
    before = sum_of("ferry_events_received_total"), sum_of("ferry_events_refused_total")
    app = fresh()
    for _ in range(2):  # the second is no event
        call(f"/triggers/refresh?app={app}", key=SCRIPT)
    call("/triggers/refresh", key="wrong")
    call("/triggers/refresh?unknown=1", key=SCRIPT)
    call("/triggers/refresh", "HEAD", key=SCRIPT)
    call("/triggers/nobody", key=SCRIPT)
    assert (sum_of("ferry_events_received_total"), sum_of("ferry_events_refused_total")) == (before[0] + 4, before[1] + 3)
    until(lambda: sum_of("ferry_events_received_total") == sum_of("ferry_events_published_total")
          + sum_of("ferry_events_refused_total") + sum_of("ferry_spool_events") + sum_of("ferry_spool_aside_total"), 20)


# --------------------------------------------------------------------------------------------------- once


def test_a_doubled_call_starts_one_run(call, tenant, kafka):
    """Within a second: a reload, a double click. Begun early in a second, so that both calls are in the same one."""
    app, before = fresh(), count(kafka)
    first, second = (call(f"/triggers/refresh?app={app}", key=SCRIPT) for _ in range(2))
    assert first.json() == second.json() and first.status == second.status == 202
    execution(tenant, app)
    assert count(kafka) == before + 1


def test_across_the_end_of_a_second_a_doubled_call_is_still_one(call, kafka):
    """The ids of the two seconds differ: the call is known by the second before."""
    for _ in range(5):
        app, before = fresh(), count(kafka)
        until(lambda: 0.80 < time.time() % 1 < 0.88, 5)
        first = call(f"/triggers/refresh?app={app}", key=SCRIPT)
        began = time.time()
        until(lambda began=began: time.time() // 1 > began // 1, 5)
        second = call(f"/triggers/refresh?app={app}", key=SCRIPT)
        if time.time() - began < 0.9 and began % 1 > 0.75:
            assert first.json()["id"] == second.json()["id"] and count(kafka) == before + 1
            return
    pytest.fail("this machine was too slow to call twice within a second, five times")


def test_the_same_call_a_second_later_is_another(call, kafka):
    app, before = fresh(), count(kafka)
    first = call(f"/triggers/refresh?app={app}", key=SCRIPT)
    time.sleep(1.1)
    second = call(f"/triggers/refresh?app={app}", key=SCRIPT)
    assert first.json()["id"] != second.json()["id"] and count(kafka) == before + 2


def test_an_idempotency_key_makes_one_of_many(call, tenant, kafka):
    app, before = fresh(), count(kafka)
    key = {"Idempotency-Key": f"order-{app}"}
    first = call(f"/triggers/refresh?app={app}", key=SCRIPT, headers=key)
    time.sleep(1.2)
    second = call(f"/triggers/refresh?app={app}", key=SCRIPT, headers=key)
    assert first.json()["id"] == second.json()["id"]
    execution(tenant, app)
    assert count(kafka) == before + 1
    other = call(f"/triggers/refresh?app={app}", key=IFTTT, headers=key)
    assert other.json()["id"] != first.json()["id"], "the key of another caller says nothing of this one's"


def test_one_call_through_two_bridges_is_one_run(ferry, call, tenant, kafka, make):
    """The same id at both, without anything between them: the worker's "once" sees one."""
    twin = make(ferry.config, {"bridge": {"listen": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}",
                                          "spool": "off"}}, env={**KEYS, "TOKEN": TOKEN}).start("bridge")
    app = fresh()
    key = {"Idempotency-Key": f"twice-{app}", "X-Ferry-Key": SCRIPT}
    first = call(f"/triggers/refresh?app={app}", headers=key)
    second = http.send("GET", f"{twin.url}/triggers/refresh?app={app}", headers=key)
    assert first.json()["id"] == second.json()["id"]
    execution(tenant, app)
    until(lambda: len(records.with_id(kafka, f"{PREFIX}.trigger.refresh", first.json()["id"])) == 2, 30)
    last = fresh()
    call(f"/triggers/refresh?app={last}", key=SCRIPT)
    execution(tenant, last)  # behind both, in their order
    assert len([r for r in tenant.executions() if json.loads(r.body).get("app") == app]) == 1


def test_many_at_the_same_moment_are_one_run(call, tenant):
    app = fresh()
    key = {"Idempotency-Key": f"crowd-{app}"}
    with concurrent.futures.ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(lambda _: call(f"/triggers/refresh?app={app}", key=SCRIPT, headers=key), range(8)))
    assert {a.status for a in answers} == {202} and len({a.json()["id"] for a in answers}) == 1
    execution(tenant, app)
    last = fresh()
    call(f"/triggers/refresh?app={last}", key=SCRIPT)
    execution(tenant, last)
    assert len([r for r in tenant.executions() if json.loads(r.body).get("app") == app]) == 1


# -------------------------------------------------------------------------------------------------- keys


def assert_private(answer):
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/triggers/refresh", "/triggers/refresh/wrong-key-of-some-length", "/triggers/nobody",
                                  "/triggers/refresh/runs/x/y", "/triggers/refresh/a/b", "/triggers/"])
def test_whatever_is_answered_is_kept_nowhere_and_names_no_referrer(call, path, nothing_started):
    answer = call(path)
    assert answer.status in (401, 404) and answer.problem
    assert_private(answer)


def test_what_was_taken_is_kept_nowhere_either(call):
    assert_private(call(f"/triggers/refresh?app={fresh()}", key=SCRIPT))


@pytest.mark.parametrize("headers", [
    {}, {"X-Ferry-Key": "x"}, {"X-Ferry-Key": SCRIPT[:-1]}, {"X-Ferry-Key": SCRIPT + "x"}, {"X-Ferry-Key": ""},
    {"Authorization": f"Bearer {OTHER}"}, {"Authorization": SCRIPT}, {"Authorization": f"Basic {SCRIPT}"},
    {"Authorization": f"Digest {SCRIPT}"}, basic(SCRIPT[1:]), {"Authorization": "Basic ////"}, basic("")])
def test_without_the_right_key_nothing_starts(call, headers, nothing_started):
    answer = call("/triggers/refresh", headers=headers)
    assert answer.status == 401 and answer.problem["title"] == "Unauthorized"
    schemes = [value.split()[0] for value in answer.headers.get_all("WWW-Authenticate")]
    assert schemes == ["Basic", "Bearer"]


def test_a_key_of_one_trigger_opens_no_other(call, nothing_started):
    assert call("/triggers/other", key=SCRIPT).status == 401
    assert call(f"/triggers/refresh/{OTHER}").status == 401
    assert call(f"/triggers/other/{derived(SCRIPT, 'anna')}").status == 401
    assert call(f"/triggers/refresh/{derived(SCRIPT, 'anna', 'other')}").status == 401


def test_a_key_that_may_not_stand_in_a_url_does_not_open_there(call, nothing_started):
    assert call(f"/triggers/refresh/{SCRIPT}").status == 401
    assert call(f"/triggers/refresh/kit/{IFTTT}").status == 404


def test_a_revoked_key_of_the_kit_ends_and_others_stay(call, nothing_started):
    assert call(f"/triggers/refresh/{derived(SCRIPT, 'gone')}").status == 401
    assert call(f"/triggers/refresh/{derived(IFTTT, 'gone')}").status == 401
    assert call(f"/triggers/refresh/{derived(SCRIPT, 'anna')}", "HEAD").status == 204


def test_a_key_is_not_opened_by_a_second_header(bridge, nothing_started):
    pairs = [("X-Ferry-Key", SCRIPT), ("X-Ferry-Key", SCRIPT)]
    assert http.send("GET", bridge.url + "/triggers/refresh", headers=pairs).status == 401


def test_who_shows_wrong_keys_waits_and_others_do_not(call, nothing_started):
    guesses = [call("/triggers/refresh", key=f"guess-{n}", caller="192.0.2.66") for n in range(6)]
    assert [g.status for g in guesses] == [401] * 5 + [429] and 1 <= int(guesses[-1].headers["Retry-After"]) <= 2
    assert_private(guesses[-1])
    assert call("/triggers/refresh", "HEAD", SCRIPT, caller="192.0.2.66").status == 429, "a right key is not looked at either"
    assert call("/triggers/refresh", "HEAD", SCRIPT, caller="192.0.2.67").status == 204
    assert call("/triggers/open", "HEAD", SCRIPT, caller="192.0.2.66").status == 204, "another trigger is another matter"
    until(lambda: call("/triggers/refresh", "HEAD", SCRIPT, caller="192.0.2.66").status == 204, 30)
    assert call("/triggers/refresh", key="guess", caller="192.0.2.66").status == 401, "the right key has cleared it"


def test_a_caller_of_ipv6_is_its_network(call, nothing_started):
    for n in range(5):
        assert call("/triggers/refresh", key="guess", caller=f"2001:db8:66::{n + 1}").status == 401
    assert call("/triggers/refresh", key="guess", caller="2001:db8:66::99").status == 429
    assert call("/triggers/refresh", key="guess", caller="2001:db8:66:1::1").status == 401


def test_who_asks_without_a_key_is_not_held_up(call, nothing_started):
    assert {call("/triggers/refresh", caller="192.0.2.68").status for _ in range(8)} == {401}
    assert call("/triggers/refresh", "HEAD", SCRIPT, caller="192.0.2.68").status == 204


# -------------------------------------------------------------------------------- what must not start a thing


def test_head_tries_the_key_and_starts_nothing(call, nothing_started):
    assert call("/triggers/refresh", "HEAD", SCRIPT).status == 204
    assert call(f"/triggers/refresh/{IFTTT}", "HEAD").status == 204
    assert call("/triggers/refresh", "HEAD", "wrong").status == 401


@pytest.mark.parametrize("headers", [
    {"Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"X-Moz": "prefetch"}, {"X-Purpose": "preview"},
    {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
    {"User-Agent": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"},
    {"User-Agent": "Twitterbot/1.0"}, {"User-Agent": "WhatsApp/2.23.20.0 A"}, {"User-Agent": "TelegramBot (like TwitterBot)"},
    {"User-Agent": "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"},
    {"User-Agent": "LinkedInBot/1.0 (compatible; Mozilla/5.0)"},
    {"User-Agent": "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com"}])
def test_a_preview_starts_nothing(call, headers, nothing_started):
    answer = call(f"/triggers/refresh/{IFTTT}", headers=headers)
    assert answer.status == 403 and "preview" in answer.problem["detail"]


NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_who_follows_a_link_of_another_site_is_asked_first(call, tenant, kafka, site):
    app = fresh() + '"<b>'
    query = urllib.parse.urlencode({"app": app, "wait": "5s"})
    before = count(kafka)
    page = call(f"/triggers/refresh/{IFTTT}?{query}", headers=NAVIGATION | {"Sec-Fetch-Site": site})
    text = page.body.decode()
    assert page.status == 200 and page.headers.get_content_type() == "text/html" and count(kafka) == before
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert_private(page)
    assert IFTTT not in text and '"<b>' not in text and "&quot;&lt;b&gt;" in text
    assert '<form method="post" action="?">' in text and 'name="wait" value="5s"' in text
    sent = call(f"/triggers/refresh/{IFTTT}", "POST", body=urllib.parse.urlencode({"app": app}).encode(), headers=NAVIGATION | {
        "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded", "Origin": "null"})
    assert sent.status in (200, 202)
    execution(tenant, app)


@pytest.mark.parametrize("headers", [
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Origin": "https://evil.example.com"},
    {"Origin": "https://evil.example.com"}, {"Origin": "null"}])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_site_starts_nothing(call, headers, method, nothing_started):
    """Not even with the password that the browser keeps for our address."""
    answer = call("/triggers/refresh", method, headers=headers | basic(SCRIPT))
    assert answer.status == 403 and answer.problem["title"] == "Forbidden"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_form_of_another_site_starts_nothing(call, nothing_started):
    assert call("/triggers/refresh", "POST", headers=NAVIGATION | {"Sec-Fetch-Site": "cross-site"} | basic(SCRIPT)).status == 403
    assert call(f"/triggers/refresh/{IFTTT}", "POST", headers=NAVIGATION | {"Sec-Fetch-Site": "cross-site"}).status == 403


@pytest.mark.parametrize("headers", [{}, {"Origin": PUBLIC.removesuffix("/in")}, {"Sec-Fetch-Site": "same-origin"},
                                     {"Origin": PAGE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}])
def test_our_own_pages_and_those_of_cors_may(call, headers):
    assert call(f"/triggers/refresh?app={fresh()}", "POST", SCRIPT, headers=headers).status in (200, 202)


def test_a_trigger_may_be_open_to_all_sites(call):
    foreign = NAVIGATION | {"Sec-Fetch-Site": "cross-site"}
    assert call(f"/triggers/open/{IFTTT}?app={fresh()}", headers=foreign | {"Accept": "*/*"}).status == 202
    assert call(f"/triggers/open/{IFTTT}?app={fresh()}", "POST", headers=foreign | {"Accept": "*/*"}).status == 202


def test_a_link_of_the_kit_may_stand_on_any_page(call, nothing_started):
    """It was made for that, and a page that does not know it cannot name it. An image or a frame may not, even so."""
    foreign = {"Sec-Fetch-Site": "cross-site"}
    path = f"/triggers/open/{derived(SCRIPT, 'button', 'open')}?app={fresh()}"
    assert call(path, headers=NAVIGATION | foreign | {"Accept": "*/*"}).status == 202
    assert call(f"/triggers/refresh/{derived(SCRIPT, 'button')}", headers=foreign | {
        "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}).status == 403


def test_where_any_page_may_call_it_is_not_with_a_kept_password(call):
    """`cors: ["*"]` lets in whoever shows a key, not whom a browser shows the key for."""
    foreign = {"Origin": "https://evil.example.com", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    answer = call(f"/triggers/public?app={fresh()}", "POST", SCRIPT, headers=foreign)
    assert answer.status == 202 and answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert call(f"/triggers/public?app={fresh()}", "POST", headers=foreign | basic(SCRIPT)).status == 403


def test_another_origin_gets_no_cors(call):
    for origin in ("https://evil.example.com", PAGE + ".evil.example.com", PAGE + "/", "null"):
        answer = call("/triggers/refresh", "OPTIONS", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert answer.status == 204 and not [n for n in answer.headers if n.startswith("Access-Control")]


# ------------------------------------------------------------------------------------------ inputs and rate


@pytest.mark.parametrize("query, said", [("nonsense=1", "nonsense"), ("app=1&app=2", "twice"), ("app=%FF", "UTF-8"), ("=1", "input")])
def test_what_is_no_input_is_refused_by_name(call, query, said, nothing_started):
    answer = call("/triggers/refresh?" + query, key=SCRIPT)
    assert answer.status == 400 and said in answer.problem["detail"]


@pytest.mark.parametrize("body, content_type, status", [
    (b"[1]", "application/json", 400), (b"{", "application/json", 400), (b'{"other":1}', "application/json", 400),
    (b'{"app":1,"app":2}', "application/json", 400), (b'{"wait":5}', "application/json", 400),
    (b"app=1", "text/plain", 415), (b"app=1", None, 415), (b"--x--", "multipart/form-data; boundary=x", 415)])
def test_a_body_that_cannot_be_taken_is_refused(call, body, content_type, status, nothing_started):
    answer = call("/triggers/refresh", "POST", SCRIPT, body=body, headers={"Content-Type": content_type} if content_type else {})
    assert answer.status == status and answer.problem


def test_an_input_is_given_once_by_query_or_body(call, nothing_started):
    assert call("/triggers/refresh?app=1", "POST", SCRIPT, body={"app": 2}).status == 400


def test_over_the_rate_calls_are_refused_but_not_repeated_ones(call, kafka):
    before = count(kafka, "slow")
    app = fresh()
    answers = [call(f"/triggers/slow?app={a}", key=SCRIPT) for a in (app, app, app, fresh())]
    assert [a.status for a in answers] == [202] * 4 and count(kafka, "slow") == before + 2
    refused = call(f"/triggers/slow?app={fresh()}", key=SCRIPT)
    assert refused.status == 429 and 1 <= int(refused.headers["Retry-After"]) <= 60
    assert call("/triggers/slow", "HEAD", SCRIPT).status == 204


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_another_method_is_refused(call, method, nothing_started):
    answer = call("/triggers/refresh", method, SCRIPT)
    assert answer.status == 405 and answer.headers["Allow"] == "GET, POST, HEAD, OPTIONS"


# ------------------------------------------------------------------------------------------- when Kafka is away


def test_what_kafka_does_not_take_is_safe_on_disk(make, settings):
    config = merge(settings, {"kafka": {"bootstrap.servers": "127.0.0.1:9"}, "bridge": {
        "ack_timeout": "200ms", "spool": {"directory": "spool"}, "triggers": [trigger("refresh")]}})
    program = make(config, env=KEYS).launch("bridge")
    until(lambda: program.health("/healthz") == 200, 40)
    until(lambda: program.metric("ferry_build_info") == 1, 20)

    def ask():
        return http.send("GET", program.url + "/triggers/refresh?app=1", headers={"X-Ferry-Key": SCRIPT})
    first = until(lambda: (answer := ask()).status == 202 and answer, 40)
    assert first.json()["status_url"].startswith("/triggers/refresh/runs/")
    assert program.metric("ferry_spool_events") >= 1
    assert program.metric("ferry_trigger_calls_total", outcome="spooled") >= 1


def test_calls_that_are_the_same_wait_for_the_first_of_them(make, settings):
    """Kafka does not answer for a second, and each of eight callers is told the same, by what became of one event."""
    config = merge(settings, {"kafka": {"bootstrap.servers": "127.0.0.1:9"}, "bridge": {
        "ack_timeout": "1s", "spool": {"directory": "spool"}, "triggers": [trigger("refresh")]}})
    program = make(config, env=KEYS).launch("bridge")
    until(lambda: program.health("/readyz") == 200, 40)

    def ask(_):
        return http.send("GET", program.url + "/triggers/refresh?app=1", headers={"X-Ferry-Key": SCRIPT, "Idempotency-Key": "one"})
    with concurrent.futures.ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(ask, range(8)))
    assert [a.status for a in answers] == [202] * 8 and len({a.json()["id"] for a in answers}) == 1
    assert program.metric("ferry_spool_events") == 1
    assert program.metric("ferry_trigger_calls_total", outcome="spooled") == 1
    assert program.metric("ferry_trigger_calls_total", outcome="duplicate") == 7


def test_without_kafka_and_spool_nothing_is_promised(make, settings):
    config = merge(settings, {"kafka": {"bootstrap.servers": "127.0.0.1:9"}, "bridge": {
        "ack_timeout": "200ms", "spool": "off", "triggers": [trigger("refresh")]}})
    program = make(config, env=KEYS).launch("bridge")
    until(lambda: program.health("/healthz") == 200, 40)
    for _ in range(2):  # and the second is no repetition of what was never safe
        answer = http.send("GET", program.url + "/triggers/refresh?app=1", headers={"X-Ferry-Key": SCRIPT})
        assert answer.status == 503 and answer.headers["Retry-After"] and answer.problem


def test_a_reload_brings_and_ends_keys(make, settings):
    ferry = make(settings, {"bridge": {"triggers": [trigger("refresh")]}}, env=KEYS)
    program = ferry.start("bridge")

    def status(key):
        return http.send("HEAD", program.url + f"/triggers/refresh/{key}").status
    anna = derived(SCRIPT, "anna")
    assert status(anna) == 204 and status(IFTTT) == 204
    ferry.config["bridge"]["triggers"][0] |= {"revoked": ["anna"], "keys": KEY_LIST[:1]}
    ferry.write()
    program.signal(1)
    until(lambda: status(anna) == 401, 30)
    assert status(derived(SCRIPT, "bert")) == 204


# --------------------------------------------------------------------------------------------- ferry triggers


def test_who_calls_is_told_from_kafka(make, settings):
    """Calls through two bridges, one of them gone; a key that was never used, one of the kit, one that is gone."""
    ferry = make(settings, {"bridge": {"triggers": [trigger("nightly"), trigger("weekly")], "trusted_proxies": ["127.0.0.0/8"]}}, env=KEYS)
    program = ferry.start("bridge")
    assert ferry.run("ferry", "triggers", "-c", ferry.path).stdout.count("never") == 4

    def ask(name, key, caller):
        assert http.send("GET", f"{program.url}/triggers/{name}?app={fresh()}",
                         headers={"X-Ferry-Key": key, "X-Forwarded-For": caller}).status == 202
    for caller in ("192.0.2.1", "192.0.2.2"):
        ask("nightly", SCRIPT, caller)
    ask("nightly", derived(IFTTT, "anna", "nightly"), "192.0.2.3")
    ask("nightly", derived(IFTTT, "bert", "nightly"), "192.0.2.4")
    ask("weekly", IFTTT, "192.0.2.5")
    program.stop()
    ferry.config["bridge"]["triggers"] = [trigger("nightly", revoked=["bert"], keys=[KEY_LIST[1]])]
    ferry.write()
    done = ferry.run("ferry", "triggers", "-c", ferry.path, "--json")
    assert done.returncode == 0, done.stderr
    found = {(r["trigger"], r["key"]): (r["calls"], r["address"], r["standing"]) for r in map(json.loads, done.stdout.splitlines())}
    assert found == {
        ("nightly", "ifttt"): (0, None, "configured"), ("nightly", "load-script"): (2, "192.0.2.2", "unconfigured"),
        ("nightly", "ifttt/anna"): (1, "192.0.2.3", "kit"), ("nightly", "ifttt/bert"): (1, "192.0.2.4", "revoked"),
        ("weekly", "ifttt"): (1, "192.0.2.5", "no-trigger")}
    one = ferry.run("ferry", "triggers", "weekly", "-c", ferry.path)
    assert one.returncode == 0 and "192.0.2.5" in one.stdout and "nightly" not in one.stdout
    assert ferry.run("ferry", "triggers", "-c", ferry.path, "--from", "now", "--json").stdout.count('"calls": 0') == 1
    assert ferry.run("ferry", "triggers", "nobody", "-c", ferry.path).returncode == 1
    assert ferry.run("ferry", "triggers", "-c", ferry.path, "--from", "soon").returncode == 2


# ------------------------------------------------------------------------------------------ nothing is told


def test_no_key_and_no_token_is_in_logs_topics_or_pages(ferry, call, kafka, bridge):
    """Last: whatever the tests above have done is searched."""
    for path, headers in ((f"/triggers/refresh/{IFTTT}/more", {}), (f"/triggers/nobody/{IFTTT}", {}),
                          (f"/triggers/refresh/{IFTTT}?unknown={SCRIPT}", {}),
                          (f"/triggers/refresh/{IFTTT}", NAVIGATION | {"Sec-Fetch-Site": "cross-site"})):
        answer = call(path, headers=headers)
        assert IFTTT.encode() not in answer.body and IFTTT not in str(answer.headers.items())
    secrets = [*KEYS.values(), TOKEN, derived(SCRIPT, "anna"), derived(SCRIPT, "gone")]
    everything = ferry.texts() + bridge.metrics_text()
    for topic in kafka.topics():
        if topic.startswith(PREFIX + "."):
            everything += repr([(r.key, r.value, r.pairs) for r in records.read(kafka, topic)])
    assert "request refused" in everything and "com.ferry.trigger.refresh" in everything
    assert not [s for s in secrets if s in everything]
