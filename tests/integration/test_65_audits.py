"""The Audits API, polled: what a tenant lists is published once, by one bridge, whatever fails in between."""
import contextlib
import json
import signal
import time

import pytest

from support import records
from support.ferry import event, merge
from support.http import Answer
from support.kafka import Kafka
from support.process import holds, until
from support.tenant import Tenant, iso

# Membership in seconds instead of minutes: a bridge that was killed has to be missed first.
QUICK = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "topic.metadata.refresh.interval.ms": 500}
DAY = 86400
AUDITS = "/api/v1/audits(/archive)?"


@pytest.fixture
def configure(settings, make, tenant):
    """configure(auth kind, changes of the tenant's section, changes of the whole…) → Ferry."""
    def configured(kind="api_key", change=None, *changes):
        auth, env = tenant.config(kind)
        polled = merge({"tenant": tenant.url, "auth": auth, "interval": "1s", "overlap": "2m"}, change or {})
        door = {"path": "/webhooks/qlik", "format": "qlik", "signature": "qlik", "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}]}
        base = merge(settings, {"kafka": QUICK, "bridge": {"webhooks": [door], "audits": [polled], "ack_timeout": "20s"}})
        return make(base, *changes, env=env)
    return configured


@pytest.fixture
def published(kafka, prefix):
    """published(count=n) → the records, when there are so many; published() → those of now. All are in one topic, since no
    route asks for another."""
    def read(name="other", count=None, limit=60):
        return records.read(kafka, f"{prefix}.{name}", until=count and (lambda found: len(found) >= count), limit=limit)
    return read


def ids(found):
    return [r.id for r in found]


def polls(tenant):
    return [r for r in tenant.requests(AUDITS) if "eventTime" in r.query and len(set(r.query["eventTime"][-1].split("/"))) == 2]


def complete(bridge, tenant, polls=1):
    """So many more polls of the tenant have come to their end."""
    def last():
        return bridge.metric("ferry_audits_last_poll_timestamp_seconds", tenant=tenant.url)
    for _ in range(polls):
        before = last()
        until(lambda: last() > before, 60, "a complete poll")


# ----------------------------------------------------------------------------------------------------- what is published


def test_a_record_becomes_the_event_that_a_webhook_would_have_brought(configure, tenant, published):
    sent = event(userid="user-7", spaceid="space-1", toplevelresourceid="app-1")
    tenant.audit_of(sent)
    bridge = configure().start("bridge")
    record, = published(count=1)
    assert record.headers["ferry-event"] == "app.created" and record.key == b"app-1" and json.loads(record.value) == sent["data"]
    named = {"ce_" + name: sent[name] for name in ("id", "source", "type", "time", "tenantid", "userid", "spaceid")}
    assert named.items() <= record.headers.items()
    assert record.headers["ferry-format"] == "audit" and "ferry-backfill" not in record.headers
    complete(bridge, tenant, 2)
    assert len(published()) == 1, "what the overlap sees again is not published again"
    assert bridge.metric("ferry_events_total", event="app.created", format="audit") == 1
    assert bridge.metric("ferry_audits_records_total", outcome="new") == 1
    assert bridge.metric("ferry_audits_polling", tenant=tenant.url) == 1
    assert bridge.metric("ferry_audits_lag_seconds", tenant=tenant.url) < 30
    assert tenant.api_key not in bridge.text()
    taken, = [line for line in bridge.logs() if line.get("id") == sent["id"]]
    assert (taken["msg"], taken["from"], taken["safe"]) == ("event taken", tenant.url, "kafka")
    first, *_ = polls(tenant)
    assert first.query["limit"] == ["100"] and first.query["sort"] == ["eventTime"]


def test_what_came_by_webhook_and_by_audit_takes_effect_once(configure, tenant, slack, published):
    route = {"name": "new-app", "events": ["app.*"], "webhook": {"env": "HOOK"}, "text": r"\(.id)", "pace": "1000/1s"}
    ferry = configure("api_key", None, {"slack": {"start": "earliest", "routes": [route]}})
    ferry.env["HOOK"] = slack.hook()
    both, also = event("com.qlik.app.exported"), event("com.qlik.v1.app.published")
    for each in (both, also):
        tenant.audit_of(each)
    bridge = ferry.start("bridge")
    assert bridge.post(both).status == 204
    published("app.exported", 2)
    published("app.published", 1)
    assert bridge.post(also).status == 204
    worker = ferry.start("slack")
    until(lambda: worker.metric("ferry_effects_total", outcome="duplicate") == 2, 60, "both seen twice")
    assert sorted(m["text"] for m in slack.messages()) == sorted([both["id"], also["id"]])


def test_polling_begins_one_overlap_ago_and_takes_only_what_is_asked_for(configure, tenant, published, kafka, prefix):
    tenant.audit(age=200, id="too old")
    tenant.audit("com.qlik.user.created", age=20, id="not asked for")
    tenant.audit(age=60, id="asked for")
    broken = tenant.audit(age=50, id="no event")
    broken["eventType"] = 7
    ours = tenant.audit("com.ferry.trigger.nightly", age=40, id="of a trigger")
    bridge = configure(change={"events": ["app.*"]}).start("bridge")
    assert ids(published(count=1)) == ["asked for"]
    kept = records.read(kafka, f"{prefix}.quarantine", lambda found: len(found) == 2)
    assert {json.loads(r.value)["eventId"] for r in kept} == {broken["eventId"], ours["eventId"]}
    assert {r.headers["ferry-error"] for r in kept} == {"event-invalid", "type-refused"}
    complete(bridge, tenant, 2)
    assert len(published()) == 1 and len(records.read(kafka, f"{prefix}.quarantine")) == 2
    assert bridge.metric("ferry_audits_records_total", outcome="quarantined") == 2
    assert bridge.metric("ferry_audits_records_total", outcome="filtered") > 0


# -------------------------------------------------------------------------------------------------------- crashes, owners


POINTS = {"audits-claimed:1": 0, "audits-fetched:3": 0, "audits-published:2": 1, "audits-checkpointed:2": 0}


def test_a_poller_that_is_killed_repeats_one_page_at_most_and_skips_none(configure, kafka, prefix):
    """kill -9 at each step, side by side: each bridge with a tenant and topics of its own. The pages that are repeated
    are as many as the table says."""
    with contextlib.ExitStack() as stack:
        played = [Played(point, stack.enter_context(Tenant()), kafka, f"{prefix}-{point[7:-2]}") for point in POINTS]
        for each in played:
            each.launch(configure)
        for each in played:
            assert each.ferry.programs[0].wait(60) == -signal.SIGKILL, each.point
            each.ferry.env["FERRY_CRASH_POINT"] = ""
            each.before = each.found()
            assert each.claimed(), "where the first poll begins must not move with a crash"
            each.ferry.launch("bridge")
        for each in played:
            each.check(POINTS[each.point])


class Played:
    """A bridge that is to end at a point."""

    def __init__(self, point, tenant, kafka, name):
        self.point, self.tenant, self.kafka, self.topic = point, tenant, kafka, f"{name}.other"
        self.change = {"topics": {"internal": name, "other": self.topic, "name": name + ".{event}"}}
        tenant.page_max = 4
        self.expected = [tenant.audit(age=100 - n, id=f"{n:02}")["eventId"] for n in range(20)]

    def launch(self, configure):
        self.ferry = configure("api_key", {"tenant": self.tenant.url}, self.change)
        self.ferry.env["FERRY_CRASH_POINT"] = self.point
        self.ferry.launch("bridge")

    def found(self):
        return ids(records.read(self.kafka, self.topic))

    def claimed(self):
        return [r for r in records.read(self.kafka, self.change["topics"]["internal"] + ".audits") if r.json()["epoch"] == 1]

    def check(self, pages):
        bridge = self.ferry.programs[-1].wait_ready()
        complete(bridge, self.tenant)
        found = self.found()
        assert sorted(set(found)) == self.expected and found[:len(self.before)] == self.before
        assert len(found) == len(self.expected) + pages * self.tenant.page_max, (self.point, found)


def test_of_two_bridges_one_polls_and_the_other_takes_over(configure, tenant, published):
    ferry, other = configure(), configure()
    bridges = [ferry.start("bridge"), other.start("bridge")]

    def owners():
        return [b for b in bridges if b.running and b.metric("ferry_audits_polling", tenant=tenant.url) == 1]
    until(lambda: len(owners()) == 1 and all("ferry_audits_polling" in b.metrics_text() for b in bridges), 60, "one owner")
    first, = owners()
    second, = set(bridges) - {first}
    tenant.audit(id="one")
    published(count=1)
    complete(first, tenant)
    assert second.metric("ferry_audits_pages_total") == 0 and "ferry_audits_lag_seconds{" not in second.metrics_text()
    first.kill()
    tenant.audit(id="two")
    assert ids(published(count=2)) == ["one", "two"]
    assert owners() == [second]


# ------------------------------------------------------------------------------------------------- a tenant with its moods


def test_a_token_that_ends_or_is_revoked_is_fetched_anew(configure, tenant, published):
    tenant.token_life = 3
    bridge = configure("oauth").start("bridge")
    complete(bridge, tenant, 4)
    fetched = len(tenant.requests("/oauth/token"))
    assert 2 <= fetched <= 4, "one for several polls, and another when it ended"
    tenant.token_life = 3600
    until(lambda: max(tenant.tokens.values()) > time.monotonic() + 60, 30, "one that lives for long")
    complete(bridge, tenant)
    tenant.revoke_tokens()
    tenant.audit(id="after")
    assert ids(published(count=1)) == ["after"]
    assert bridge.metric("ferry_audits_errors_total") == 0
    assert tenant.client_secret not in bridge.text() and not [t for t in tenant.tokens if t in bridge.text()]


def test_a_tenant_that_wants_rest_is_not_asked_meanwhile(configure, tenant, published):
    bridge = configure().start("bridge")
    complete(bridge, tenant)
    tenant.audit(id="later")
    tenant.throttle(4)
    until(lambda: bridge.metric("ferry_audits_throttled_total", tenant=tenant.url) == 1, 30, "429")
    assert tenant.throttled == 1
    assert ids(published(count=1)) == ["later"]
    assert tenant.throttled == 1 and bridge.metric("ferry_audits_errors_total") == 0
    assert "429" in bridge.text() and bridge.health("/readyz") == 200


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_the_tenants_clock_is_the_one_that_counts(configure, tenant, published, skew):
    tenant.skew = skew
    tenant.audit(age=30, id="before")
    bridge = configure().start("bridge")
    published(count=1)
    complete(bridge, tenant)
    tenant.audit(age=0, id="now")
    tenant.audit(age=20, late=3, id="listed late")
    assert ids(published(count=3)) == ["before", "now", "listed late"]
    complete(bridge, tenant)
    assert len(published()) == 3 and bridge.metric("ferry_audits_lag_seconds") < 30


def test_what_the_pages_no_longer_have_comes_from_the_archive(configure, tenant, published, kafka, prefix):
    now = time.time()
    ages = {"a": 92.2, "b": 91.0, "c": 90.01, "d": 89.9, "e": 1.0}
    for name, days in ages.items():
        tenant.audit(at=now - days * DAY, id=name)
    tenant.audit(at=now - 93 * DAY, id="published long ago")
    kafka.create_topics(f"{prefix}.audits", partitions=2)
    checkpoint = {"version": 1, "epoch": 4, "sequence": 9, "position": iso(now - 92.5 * DAY), "seen": ""}
    records.produce(kafka, f"{prefix}.audits", json.dumps(checkpoint).encode(), tenant.url, {})
    bridge = configure().start("bridge")
    assert ids(published(count=5)) == list(ages)
    complete(bridge, tenant)
    asked = [r.query["date"][-1] for r in tenant.requests("/api/v1/audits/archive")]
    assert asked == sorted(set(asked)) and 3 <= len(asked) <= 4
    written = [r.json() for r in records.read(kafka, f"{prefix}.audits")]
    assert max(w["epoch"] for w in written) == 5 and len(published()) == 5


def test_a_crash_in_a_day_of_the_archive_skips_none_whatever_its_order(configure, tenant, published, kafka, prefix):
    day = (time.time() // DAY - 93) * DAY
    expected = [tenant.audit(at=day + 3600 + n * 300, id=f"{n:03}")["eventId"] for n in range(150)]
    kafka.create_topics(f"{prefix}.audits", partitions=2)
    checkpoint = {"version": 1, "epoch": 1, "sequence": 1, "position": iso(day + 1800), "seen": ""}
    records.produce(kafka, f"{prefix}.audits", json.dumps(checkpoint).encode(), tenant.url, {})

    def later_ones_first(_request, usual):
        answer = usual()
        if isinstance(answer.body, dict) and "data" in answer.body:
            answer.body["data"] = answer.body["data"][50:] + answer.body["data"][:50]
        return answer
    tenant.intercept("/api/v1/audits/archive", later_ones_first)
    ferry = configure()
    ferry.env["FERRY_CRASH_POINT"] = "audits-checkpointed:1"
    ferry.launch("bridge")
    assert ferry.programs[0].wait(60) == -signal.SIGKILL
    ferry.env["FERRY_CRASH_POINT"] = ""
    complete(ferry.start("bridge"), tenant)
    assert ids(published()) == expected


def test_a_wrong_key_is_told_and_mended_without_a_restart(configure, tenant, published):
    ferry = configure()
    ferry.config["bridge"]["audits"][0]["auth"] = {"api_key": {"file": "key.txt"}}
    (ferry.folder / "key.txt").write_text("wrong-key-of-the-tests")
    ferry.write()
    tenant.audit(id="waits")
    bridge = ferry.start("bridge")
    until(lambda: bridge.metric("ferry_audits_errors_total", tenant=tenant.url, reason="http-refused") >= 1, 60, "refused")
    told = [line for line in bridge.logs() if line["msg"] == "audits cannot be polled"]
    assert len(told) == 1 and "401" in told[0]["reason"] and told[0]["tenant"] == tenant.url
    assert bridge.health("/readyz") == 200 and "wrong-key-of-the-tests" not in bridge.text()
    (ferry.folder / "key.txt").write_text(tenant.api_key)
    bridge.signal(signal.SIGHUP)
    assert ids(published(count=1)) == ["waits"]
    until(lambda: "audits are polled again" in bridge.text(), 20, "said")


def test_a_link_that_leads_away_is_not_followed(configure, tenant, published):
    with Tenant() as stranger:
        def astray(_request, usual):
            answer = usual()
            answer.body["links"]["next"] = {"href": stranger.url + "/api/v1/audits?next=x"}
            return answer
        tenant.intercept("/api/v1/audits", astray)
        tenant.audit(id="first page")
        bridge = configure().start("bridge")
        assert ids(published(count=1)) == ["first page"]
        until(lambda: bridge.metric("ferry_audits_errors_total", reason="config") >= 1, 30, "refused")
        assert stranger.requests() == [] and "leads away" in bridge.text()


def test_it_stops_in_time_while_the_tenant_hangs_and_goes_on_where_it_was(configure, tenant, published):
    hanging = []
    tenant.intercept("/api/v1/audits", lambda request, usual: Answer(hang=True) if hanging else usual())
    ferry = configure()
    bridge = ferry.start("bridge")
    complete(bridge, tenant)
    tenant.audit(id="missed")
    hanging.append(True)
    asked = len(tenant.requests(AUDITS))
    until(lambda: len(tenant.requests(AUDITS)) > asked, 30, "a call that hangs")
    assert bridge.stop() == 0
    hanging.clear()
    tenant.audit(id="while nobody was there")
    ferry.start("bridge")
    assert ids(published(count=2)) == ["missed", "while nobody was there"]


def test_tenants_that_a_reload_brings_are_polled_and_one_that_it_takes_is_left_alone(configure, tenant, published):
    ferry = configure()
    first, = ferry.config["bridge"]["audits"]
    with Tenant() as second:
        def reload_with(*audits):
            ferry.config["bridge"]["audits"] = list(audits)
            ferry.write()
            reloads = bridge.text().count("configuration reloaded")
            bridge.signal(signal.SIGHUP)
            until(lambda: bridge.text().count("configuration reloaded") > reloads, 20)

        ferry.config["bridge"]["audits"] = []
        ferry.write()
        bridge = ferry.start("bridge")
        tenant.audit(id="one")
        second.audit(id="two")
        reload_with(first)
        assert ids(published(count=1)) == ["one"]
        reload_with(first, merge(first, {"tenant": second.url}))
        assert ids(published(count=2)) == ["one", "two"]
        complete(bridge, tenant)
        reload_with(merge(first, {"tenant": second.url}))
        asked = len(tenant.requests(AUDITS))
        complete(bridge, second, 2)
        assert len(tenant.requests(AUDITS)) <= asked + 1, "one may have been on its way"


@pytest.mark.parametrize("spool", ["spool", "no spool"])
def test_kafka_may_go_in_the_middle(configure, tenant, tmp_path, spool):
    """Nothing is asked for while a page's checkpoint cannot be written; what was on its way is there once."""
    kafka = Kafka(tmp_path / "kafka").start()
    try:
        directory = {"directory": str(tmp_path / "spool"), "limit": "10MiB"} if spool == "spool" else "off"
        ferry = configure("api_key", None, {"kafka": kafka.client(),
                                            "bridge": {"ack_timeout": "500ms", "spool": directory}})
        tenant.page_max = 3
        broker, = kafka.brokers
        paused = []

        def pause_on_the_second_page(request, usual):
            if "next" in request.query and not paused:
                paused.append(True)
                broker.pause()
            return usual()
        expected = [tenant.audit(age=60 - n, id=f"{n:02}")["eventId"] for n in range(12)]
        tenant.intercept("/api/v1/audits", pause_on_the_second_page)
        bridge = ferry.start("bridge")
        until(lambda: paused, 60, "the second page")
        asked = len(tenant.requests(AUDITS))
        holds(lambda: len(tenant.requests(AUDITS)) <= asked + 1, 5, "no page without the checkpoint of the one before")
        broker.resume()
        topic = ferry.config["topics"]["other"]
        records.read(kafka, topic, lambda found: {r.id for r in found} == set(expected), 90)
        complete(bridge, tenant)
        assert ids(records.read(kafka, topic)) == expected
        ferry.stop()
    finally:
        kafka.stop()
