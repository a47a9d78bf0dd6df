"""ferry audits: back-filling from the Audits API, going on after an end in the middle, and comparing with the topics."""
import collections
import contextlib
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import threading
import time
import uuid

import pytest

from support import records
from support.ferry import BIN, SECRET, event
from support.http import Answer
from support.process import Child, until
from support.tenant import iso

DAY = 86400
DOOR = {"path": "/webhooks/qlik", "format": "qlik", "signature": "qlik", "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}]}


@pytest.fixture
def ferry(make, settings, tenant):
    """A configuration that knows the tenant; every test has topics of its own."""
    auth, env = tenant.config()
    return make(settings, {"bridge": {"webhooks": [DOOR], "ack_timeout": "15s", "audits": [{"tenant": tenant.url, "auth": auth}]},
                           "topics": {"create": "known"}}, env=env)


@pytest.fixture
def door(make, settings):
    """A running bridge of the same topics that takes webhooks alone: what the audits list it does not fetch itself."""
    bridge = make(settings, {"bridge": {"webhooks": [DOOR]}, "topics": {"create": "known"}})
    return bridge.start("bridge", limit=90)


def audits(ferry, *arguments, code=0, limit=120):
    done = ferry.run("ferry", "audits", "-c", ferry.path, *arguments, limit=limit)
    assert done.returncode == code, done.stdout + done.stderr
    for secret in ferry.env.values():
        assert not secret or secret not in done.stdout + done.stderr
    return done


def run_id(done):
    return re.search(r"--run-id (\S+)", done.stderr)[1]


@pytest.fixture
def topic(kafka, prefix):
    """topic(count, event) → the records of an event's topic, as soon as there are so many."""
    def read(count, name="app.created", limit=60):
        return records.read(kafka, f"{prefix}.{name}", lambda rs: len(rs) >= count, limit)
    return read


def ids(found):
    return [r.id for r in found]


# ------------------------------------------------------------------------------------------------------ bringing it


def test_what_the_tenant_lists_arrives_in_order_and_marked(ferry, tenant, topic):
    tenant.audit_many(250, tenant.now() - 3600, tenant.now() - 1)
    done = audits(ferry, "--from", "-2h")
    assert "250 events brought" in done.stdout and "3 pages" in done.stdout and "without --effects" in done.stderr
    found = topic(250)
    assert ids(found) == [f"many-{n}" for n in range(250)]
    for record in found:
        assert record.headers["ferry-backfill"] == "true" and record.headers["ferry-format"] == "audit"
        assert "ferry-effects" not in record.headers and "ferry-maybe-duplicate" not in record.headers


def test_a_back_filled_event_is_the_one_that_the_webhook_brings(ferry, tenant, door, topic):
    both = event(ownerid="o1", toplevelresourceid="r1")
    assert door.post(both).status == 204
    tenant.audit_of(both)
    audits(ferry, "--from", "-1h")
    live, filled = topic(2)
    assert (live.id, live.key, live.json()) == (filled.id, filled.key, filled.json())
    for name in ("ce_id", "ce_source", "ce_type", "ce_tenantid", "ce_userid", "ce_ownerid", "ferry-event"):
        assert live.headers[name] == filled.headers[name], name


def test_only_the_events_and_the_time_that_are_asked_for(ferry, tenant, topic, kafka, prefix):
    now = tenant.now()
    wanted = [tenant.audit("com.qlik.app.created", at=now - age)["eventId"] for age in (3000, 2000, 1000)]
    for age in (5000, 3600.001, 500):
        tenant.audit("com.qlik.app.created", at=now - age)
    tenant.audit("com.qlik.user.created", at=now - 2000)
    audits(ferry, "--from", iso(now - 3600), "--to", iso(now - 500), "--events", "app.*,space.created")
    assert ids(topic(3)) == wanted
    assert f"{prefix}.user.created" not in kafka.topics()


def test_a_dry_run_counts_and_needs_no_kafka(make, tenant):
    auth, env = tenant.config("basic")
    ferry = make({"kafka": {"bootstrap.servers": "127.0.0.1:1"}, "bridge": {"webhooks": [DOOR], "audits": [{"tenant": tenant.url, "auth": auth}]}},
                 env=env)
    tenant.audit_many(150, tenant.now() - 3600, tenant.now() - 1)
    tenant.audit("com.qlik.user.created", age=10)
    result = json.loads(audits(ferry, "--from", "-2h", "--dry-run", "--json").stdout)
    assert result["listed"] == 151 and result["events"] == {"app.created": 150, "user.created": 1}
    assert "150  app.created" in audits(ferry, "--from", "-2h", "--dry-run").stdout


def test_what_is_no_event_is_left_out_and_said(ferry, tenant, topic):
    good = tenant.audit(age=30)
    tenant.audit(age=20)["eventType"] = 7
    tenant.audit("com.ferry.trigger.nightly-refresh", age=10)
    done = audits(ferry, "--from", "-1h")
    assert "left out: 2 are no events" in done.stdout
    assert ids(topic(1)) == [good["eventId"]]


def test_a_terminal_sees_how_far_it_is_and_a_file_does_not(ferry, tenant):
    tenant.audit_many(1200, tenant.now() - 7200, tenant.now() - 1)
    command = [BIN / "ferry", "audits", "-c", ferry.path, "--from", "-2h", "--dry-run"]
    terminal, end = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=end, env={**os.environ, **ferry.env}) as child:
        os.close(end)
        shown = b""
        with contextlib.suppress(OSError):  # what a terminal says when nobody is there any more
            while piece := os.read(terminal, 4096):
                shown += piece
        assert child.wait(60) == 0
    os.close(terminal)
    shares = [int(share) for share in re.findall(rb"counting +(\d+) %", shown)]
    assert len(shares) >= 3 and shares == sorted(shares) and shares[-1] >= 50, shown
    assert "counting" not in audits(ferry, "--from", "-2h", "--dry-run").stderr


def test_the_journal_says_who_did_what(ferry, tenant, topic, kafka, prefix):
    tenant.audit_many(120, tenant.now() - 60, tenant.now() - 1)
    audits(ferry, "--from", "-1h", "--effects", "--run-id", "fill-1")
    noted = [r.json() for r in records.read(kafka, f"{prefix}.operations", lambda rs: any(r.json()["state"] == "done" for r in rs))]
    assert [n["state"] for n in noted] == ["begun", "progress", "progress", "done"]
    assert noted[-1]["count"] == 120 and noted[-1]["command"] == "audits" and noted[-1]["run"] == "fill-1"
    assert noted[0]["filter"] == {"tenant": tenant.url, "events": "*", "effects": True}
    again = audits(ferry, "--from", "-1h", "--effects", "--run-id", "fill-1")
    assert "120 events brought" in again.stdout and len(topic(120)) == 120
    assert "other flags" in audits(ferry, "--from", "-1h", "--run-id", "fill-1", code=2).stderr
    for times in (["--from", "-2h"], ["--from", "-1h", "--to", "-1m"]):
        refused = audits(ferry, *times, "--effects", "--run-id", "fill-1", code=2).stderr
        assert "begun with other flags (--from -1h)" in refused, refused


# ---------------------------------------------------------------------------------------------------------- effects


def test_workers_only_count_unless_effects_are_asked_for(make, settings, tenant, slack, prefix):
    auth, env = tenant.config()
    ferry = make(settings, {
        "bridge": {"webhooks": [DOOR], "audits": [{"tenant": tenant.url, "auth": auth}]}, "topics": {"create": "known"},
        "slack": {"group": f"{prefix}-slack", "start": "earliest", "max_age": "7d", "routes": [
            {"name": "said", "events": ["app.created"], "webhook": {"env": "HOOK"}, "text": r"\(.id)"}]}},
        env={**env, "HOOK": slack.hook()})
    old = tenant.audit(age=20 * DAY)
    worker = ferry.start("slack", limit=90)
    audits(ferry, "--from", "-30d")
    until(lambda: worker.metric("ferry_effects_total", outcome="skipped") == 1, 60)
    for _ in range(2):
        audits(ferry, "--from", "-30d", "--effects")
    until(lambda: worker.metric("ferry_effects_total", outcome="duplicate") == 1, 60)
    assert [m["text"] for m in slack.messages()] == [old["eventId"]], "once, though older than max_age"


# ---------------------------------------------------------------------------------------------------------- archive


def test_what_is_older_than_the_pages_comes_from_the_archive_once(ferry, tenant, topic):
    now = tenant.now()
    edge = now - 90 * DAY
    ages = [edge - 3 * DAY, edge - 2 * DAY, edge - 7200, edge - 60, edge + 60, edge + 2 * DAY, now - 10]
    wanted = [tenant.audit(at=at)["eventId"] for at in ages]
    done = audits(ferry, "--from", iso(edge - 4 * DAY))
    assert sorted(ids(topic(7))) == sorted(wanted)
    asked = [r.query["date"][0] for r in tenant.requests("/api/v1/audits/archive")]
    assert asked == sorted(set(asked)) and len(asked) == 5, "day by day"
    assert "archive has nothing" not in done.stderr


def test_a_day_that_the_archive_does_not_have_is_said(ferry, tenant, topic):
    now = tenant.now()
    gone = iso(now - 100 * DAY)[:10]
    tenant.audit(at=now - 99 * DAY)
    tenant.intercept("/api/v1/audits/archive", lambda request, usual: Answer(404, {}) if request.query["date"] == [gone] else usual())
    done = audits(ferry, "--from", gone)
    assert gone in done.stderr and len(topic(1)) == 1


# ------------------------------------------------------------------------------------------ ends in the middle, and on


def hold_at(tenant, page):
    """The answer to that page waits for the event that is returned; the first event says that it was asked for."""
    asked, go_on, count = threading.Event(), threading.Event(), [0]

    def answer(_request, usual):
        count[0] += 1
        if count[0] == page:
            asked.set()
            go_on.wait(60)
        return usual()
    tenant.intercept("/api/v1/audits", answer)
    return asked, go_on


def start(ferry, *arguments):
    """Into a pipe of its own: the command is still to be stopped."""
    return Child([BIN / "ferry", "audits", "-c", ferry.path, *arguments], ferry.folder / f"audits-{uuid.uuid4().hex}.log", env=ferry.env)


def test_ctrl_c_ends_in_good_order_and_the_run_goes_on_without_a_repetition(ferry, tenant, topic):
    tenant.audit_many(450, tenant.now() - 3600, tenant.now() - 1)
    asked, go_on = hold_at(tenant, 3)
    child = start(ferry, "--from", "-2h", "--run-id", "cut")
    assert asked.wait(60)
    child.signal(signal.SIGINT)
    go_on.set()
    assert child.wait(60) == 0
    assert "stopped: 2" in child.text() or "stopped: 3" in child.text(), child.text()
    assert "to go on: ferry audits" in child.text() and "--run-id cut" in child.text()
    before = len(topic(200))
    assert 200 <= before <= 300
    done = audits(ferry, "--from", "-2h", "--run-id", "cut")
    assert f"450 events brought, {450 - before} in this run" in done.stdout
    found = topic(450)
    assert ids(found) == [f"many-{n}" for n in range(450)]
    assert not [r for r in found if "ferry-maybe-duplicate" in r.headers]


def test_what_comes_once_more_of_the_day_in_which_the_archive_ends_is_marked(ferry, tenant, topic):
    edge = tenant.now() - 90 * DAY
    last_day = edge // DAY * DAY
    wanted = [tenant.audit(at=last_day + n)["eventId"] for n in range(3)] + [tenant.audit(age=60)["eventId"]]
    asked, go_on = hold_at(tenant, 1)
    child = start(ferry, "--from", iso(last_day - DAY), "--run-id", "edge")
    assert asked.wait(60)
    child.signal(signal.SIGINT)
    go_on.set()
    assert child.wait(60) == 0
    audits(ferry, "--from", iso(last_day - DAY), "--run-id", "edge")
    found = topic(4)
    counts = collections.Counter(ids(found))
    assert set(counts) == set(wanted)
    repeated = {n for n, count in counts.items() if count > 1}
    assert repeated <= {r.id for r in found if "ferry-maybe-duplicate" in r.headers}, counts


def test_events_of_one_millisecond_are_not_repeated_when_a_run_goes_on(ferry, tenant, topic):
    at = tenant.now() - 600
    for number in range(350):
        tenant.audit(at=at, id=f"same-{number}")
    asked, go_on = hold_at(tenant, 2)
    child = start(ferry, "--from", "-2h", "--run-id", "same")
    assert asked.wait(60)
    child.signal(signal.SIGINT)
    go_on.set()
    assert child.wait(60) == 0
    audits(ferry, "--from", "-2h", "--run-id", "same")
    assert collections.Counter(ids(topic(350))) == {f"same-{n}": 1 for n in range(350)}


@pytest.mark.parametrize("point, pages", [("backfill-published:3", 1), ("backfill-noted:3", 0)])
def test_a_killed_run_skips_nothing_and_repeats_a_page_at_most(ferry, tenant, topic, point, pages):
    tenant.audit_many(450, tenant.now() - 3600, tenant.now() - 1)
    ferry.env["FERRY_CRASH_POINT"] = point
    child = start(ferry, "--from", "-2h", "--run-id", "killed")
    assert child.wait(60) == -signal.SIGKILL
    assert len(topic(300)) == 300
    ferry.env["FERRY_CRASH_POINT"] = ""
    audits(ferry, "--from", "-2h", "--run-id", "killed")
    found = topic(450 + 100 * pages)
    counts = collections.Counter(ids(found))
    assert set(counts) == {f"many-{n}" for n in range(450)}
    assert sum(counts.values()) == 450 + 100 * pages
    marked = {r.id for r in found if "ferry-maybe-duplicate" in r.headers}
    assert {n for n, count in counts.items() if count > 1} <= marked and len(marked) == 100


def test_a_tenant_that_goes_away_ends_the_run_which_goes_on_later(ferry, tenant, topic):
    tenant.audit_many(300, tenant.now() - 3600, tenant.now() - 1)
    answers = [0]

    def ill(_request, usual):
        answers[0] += 1
        return usual() if answers[0] == 1 else Answer(503)
    tenant.intercept("/api/v1/audits", ill)
    done = audits(ferry, "--from", "-2h", code=1)
    assert "answered 503" in done.stderr and "failed: 100 events brought" in done.stdout
    assert answers[0] > 3, "it was asked again, with pauses"
    tenant.intercept("/api/v1/audits", lambda _request, _usual: tenant._audits(_request))
    audits(ferry, "--from", "-2h", "--run-id", run_id(done))
    assert set(ids(topic(300))) == {f"many-{n}" for n in range(300)}


def test_a_tenant_that_is_nowhere_is_said(ferry, tenant):
    done = ferry.run("ferry", "audits", "-c", ferry.path, "--from", "-1h", "--dry-run", "--tenant", "http://127.0.0.1:1",
                     "--api-key-env", "QLIK_API_KEY", limit=90)
    assert done.returncode == 1 and "no answer" in done.stderr


def test_a_wrong_key_is_said_at_once(ferry, tenant, kafka, prefix):
    tenant.api_key = "another"
    done = audits(ferry, "--from", "-1h", code=1)
    assert "401" in done.stderr and "key is wrong" in done.stderr
    assert len(tenant.requests("/api/v1/audits")) == 1


def test_kafka_away_is_said_before_the_tenant_is_asked(make, tenant):
    auth, env = tenant.config()
    ferry = make({"kafka": {"bootstrap.servers": "127.0.0.1:1"},
                  "bridge": {"webhooks": [DOOR], "audits": [{"tenant": tenant.url, "auth": auth}]}}, env=env)
    assert audits(ferry, "--from", "-1h", code=1).stderr
    assert not tenant.requests()


# -------------------------------------------------------------------------------------------- what the tenant demands


def test_a_429_stops_all_requests_until_its_time_is_over(ferry, tenant, topic):
    tenant.audit_many(500, tenant.now() - 3600, tenant.now() - 1)
    tenant.rate = (3, 2.0)
    audits(ferry, "--from", "-2h")
    assert len(topic(500)) == 500
    assert 1 <= tenant.throttled <= 4, "not asked while it is blocked"


def test_a_429_is_waited_out_however_long_it_is(ferry, tenant, topic):
    """Longer than a tenant that has never answered is waited for."""
    tenant.audit_many(10, tenant.now() - 3600, tenant.now() - 1)
    tenant.throttle(5)
    audits(ferry, "--from", "-2h")
    assert len(topic(10)) == 10


def test_a_token_that_ends_in_the_middle_is_fetched_anew(make, settings, tenant, topic):
    auth, env = tenant.config("oauth")
    ferry = make(settings, {"bridge": {"webhooks": [DOOR], "audits": [{"tenant": tenant.url, "auth": auth}]},
                            "topics": {"create": "known"}}, env=env)
    tenant.audit_many(400, tenant.now() - 3600, tenant.now() - 1)
    pages = [0]

    def revoke(_request, usual):
        pages[0] += 1
        if pages[0] == 3:
            tenant.revoke_tokens()
        return usual()
    tenant.intercept("/api/v1/audits", revoke)
    audits(ferry, "--from", "-2h")
    assert len(topic(400)) == 400 and len(tenant.requests("/oauth/token")) == 2


def peak_kib(ferry, *arguments):
    """The most memory that a run of the command took; getrusage would count the test's own, from before exec."""
    child, peak = start(ferry, *arguments), 0
    while child.running:
        found = re.search(r"VmHWM:\s*(\d+)", pathlib.Path(f"/proc/{child.pid}/status").read_text())
        peak = max(peak, int(found[1]) if found else 0)
        time.sleep(0.01)
    assert child.wait() == 0, child.text()
    return peak


def test_memory_does_not_grow_with_what_is_brought(ferry, tenant, topic):
    count = int(os.environ.get("FERRY_AUDITS_RECORDS", "5000"))
    now = tenant.now()
    tenant.audit_many(count, now - 7200, now - 1, size=4000)
    few = peak_kib(ferry, "--from", iso(now - 7200), "--to", iso(now - 7200 + 7200 * 500 / count))
    began = time.monotonic()
    many = peak_kib(ferry, "--from", "-2h")
    took = time.monotonic() - began
    print(f"{count} records of 4 kB: {took:.1f} s, {many} KiB at most; 500 of them: {few} KiB; "
          f"{len(tenant.requests('/api/v1/audits'))} requests, {tenant.throttled} refused")
    assert many < few + 24 * 1024
    assert tenant.throttled == 0, "the allowed rate is kept"


# --------------------------------------------------------------------------------------------------------- comparing


@pytest.fixture
def gap(door, tenant):
    """Ten events of which the bridge got seven; → the three that it missed."""
    missed = []
    for number in range(10):
        made = event(id=f"gap-{number}", time=iso(tenant.now() - 100 + number))
        tenant.audit_of(made)
        if number in (2, 5, 7):
            missed.append(made["id"])
        else:
            assert door.post(made).status == 204
    return missed


def test_a_comparison_lists_what_the_webhooks_missed(ferry, tenant, gap, topic):
    tenant.audit("com.qlik.api-key.created", age=50)  # has no webhook
    topic(7)
    done = audits(ferry, "--from", "-1h", "--events", "app.*", "--compare", code=1)
    lines = [line.split("  ") for line in done.stdout.splitlines() if "gap-" in line]
    assert [line[2] for line in lines] == gap and lines[0][1] == "app.created"
    assert "10 events in the audits, 3 of them not in the topics" in done.stdout and "--missing" in done.stderr
    assert ids(topic(7)).count("gap-2") == 0, "nothing was brought"


def test_what_is_missing_is_brought_and_nothing_else(ferry, tenant, gap, topic):
    topic(7)
    done = audits(ferry, "--from", "-1h", "--missing")
    assert "3 events brought" in done.stdout and "7 are in the topics already" in done.stdout
    assert sorted(collections.Counter(ids(topic(10))).items()) == sorted((f"gap-{n}", 1) for n in range(10))
    result = json.loads(audits(ferry, "--from", "-1h", "--events", "app.*", "--compare", "--json").stdout.splitlines()[-1])
    assert result["missing"] == 0 and result["by_audits_alone"] == 3 and result["listed"] == 10


def test_without_events_that_is_compared_which_the_webhook_sends(make, settings, tenant, kafka, prefix):
    auth, env = tenant.config()
    ferry = make(settings, {"bridge": {"public_url": "https://ferry.example.com", "webhooks": [DOOR],
                                       "audits": [{"tenant": tenant.url, "auth": auth}]}}, env=env)
    assert "--events" in audits(ferry, "--from", "-1h", "--compare", code=2).stderr
    tenant.webhook("https://ferry.example.com/webhooks/qlik", eventTypes=["com.qlik.app.created"], secret=SECRET)
    tenant.audit("com.qlik.user.created", age=40)
    lost = tenant.audit("com.qlik.app.created", age=30)
    done = audits(ferry, "--from", "-1h", "--compare", "--json", code=1)
    first, last = map(json.loads, done.stdout.splitlines())
    assert first["missing"]["id"] == lost["eventId"] and first["missing"]["event"] == "app.created"
    assert last["missing"] == 1 and last["listed"] == 1


# ---------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize("arguments, said", [
    ([], "--from is missing"),
    (["--from", "yesterday"], "are times"),
    (["--from", "earliest"], "are times"),
    (["--from", "-1h", "--to", "-2h"], "not before"),
    (["--from", "-1h", "--compare", "--effects"], "--compare brings nothing"),
    (["--from", "-1h", "--run-id", "a b"], "--run-id"),
    (["--from", "-1h", "--events", " , "], "names no event"),
    (["--from", "-1h", "--events", "user.created,app.craeted", "--dry-run"], "app.craeted; did you mean app.created?"),
    (["--from", "-1h", "--events", "nothing.like.*", "--dry-run"], "nothing.like.*"),
    (["--from", "-1h", "--api-key-env", "NOPE"], "ferry audits: --api-key-env: the environment has no NOPE"),
    (["--from", "-1h", "--tenant", "https://other.eu.qlikcloud.com"], "how to log in"),
    (["--from", "-1h", "--client-id", "x"], "belong together"),
])
def test_a_mistake_is_named(ferry, tenant, arguments, said):
    assert said in audits(ferry, *arguments, code=2).stderr
    assert not tenant.requests()


def test_a_type_that_the_catalogue_does_not_know_may_be_asked_for(ferry, tenant):
    tenant.audit("com.qlik.brand-new.made", age=10)
    result = audits(ferry, "--from", "-1h", "--events", "com.qlik.brand-new.made,com.qlik.newer.*", "--dry-run", "--json").stdout
    assert json.loads(result)["events"] == {"brand-new.made": 1}


def test_the_check_asks_the_audits_api_itself(ferry, tenant):
    def check(code):
        done = ferry.run("ferry", "check", "-c", ferry.path, "--online", limit=90)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout
    assert f"ok   Audits API, {tenant.url}: " in check(0)
    assert tenant.requests("/api/v1/audits")[-1].query["limit"] == ["1"]
    tenant.next_answers("/api/v1/audits", Answer(403, {"errors": [{"title": "Forbidden"}]}))
    assert "may not read audits" in check(1)
