"""What fails for longer than a minute waits in the retry topic: in order, for as long as `retry.for` says, across kills
and rebalances, and in nobody's way. The minute (`retry.in_lane`) is shorter here."""
import json
import re
import statistics
import time

import pytest
from confluent_kafka import Producer

from support import records
from support.ferry import event
from support.http import Answer
from support.process import holds, until

HOOK = "/services/T000/B000/XXX"
RETRY = {"first": "100ms", "max": "300ms", "for": "1h", "in_lane": "150ms"}


@pytest.fixture
def configure(settings, prefix, slack, make):
    """configure(retry, route changes, config changes) → a Ferry with one route for app.created; two make a group of two."""
    def made(retry=None, route=None, config=None, worker=None):
        base = {"name": "new-app", "events": ["app.created"], "webhook": {"env": "HOOK"}, "pace": "100000/1s",
                "text": r"\(.data.id) \(.data.n)"} | (route or {})
        section = {"group": f"{prefix}-slack", "start": "earliest", "retry": RETRY | (retry or {}), "routes": [base]}
        return make(settings, {"slack": section | (worker or {}), "kafka": {"session.timeout.ms": 6000}}, config or {},
                    env={"HOOK": slack.hook()})
    return made


@pytest.fixture
def publish(kafka, prefix):
    """publish(key, n…) → the events, one resource, in that order; `n` is in their data. Waits for the reports."""
    producer, problems, known = Producer({**kafka.client(), "enable.idempotence": True, "linger.ms": 1, "log_level": 0}), [], set()

    def send(key, *numbers, **more):
        topic = f"{prefix}.app.created"
        if not known:
            until(lambda: topic in kafka.topics(), 30, f"topic {topic}")
            known.add(topic)
        sent = []
        for n in numbers:
            one = event(data={"id": key, "n": n, **more}, tenantid=f"tenant-{key}-{n}")
            resource, value, pairs = records.as_published(one)
            producer.produce(topic, value, resource, headers=list(pairs.items()),
                             on_delivery=lambda error, _: problems.append(error))
            sent.append(one)
        assert producer.flush(30) == 0 and not any(problems), problems
        return sent
    return send


@pytest.fixture
def waiting(kafka, prefix):
    """The records of the retry topic, by kind."""
    def read(kind="entry"):
        return [r for r in records.read(kafka, f"{prefix}.slack.retry") if own(r)["ferry-retry"] == kind]
    return read


def own(record):
    """Ferry's own headers at the end of an entry, `again` or `done`."""
    names = [name for name, _ in record.pairs]
    begin = len(names) - 1 - names[::-1].index("ferry-retry")
    return {name: value.decode() for name, value in record.pairs[begin:]}


def words(slack):
    """(key, n) of every call, in the order in which they came."""
    return [tuple(r.json()["text"].split(" ")) for r in slack.requests(HOOK)]


def failing(slack, is_bad, answer=None):
    """503 for those calls; `is_bad` may change its mind."""
    slack.on(HOOK, lambda request: (answer or Answer(503)) if is_bad(*request.json()["text"].split(" ")) else Answer(200, "ok"))


def dead(kafka, prefix, count, limit=30):
    return records.read(kafka, f"{prefix}.slack.dlq", lambda rs: len(rs) >= count, limit)


def ordered(numbers):
    return all(a <= b for a, b in zip(numbers, numbers[1:]))


# ------------------------------------------------------------------------------------------ one key that fails for ever


def test_a_key_that_fails_for_ever_holds_up_nobody_else(configure, publish, slack, kafka, prefix):
    failing(slack, lambda key, n: key == "bad")
    program = configure({"for": "4s", "in_lane": "500ms"}).start("slack")
    publish("warm", 0)
    slack.wait_for(1, HOOK)
    sent_at = {}
    for i in range(1000):
        if i % 200 == 0:
            publish("bad", i // 200, note="not \xe4 text")
        sent_at[f"k{i}"] = time.monotonic()
        publish(f"k{i}", i)
    until(lambda: len({k for k, _ in words(slack)}) == 1000 + 2, 30)
    arrived = {r.json()["text"].split(" ")[0]: r.at for r in slack.requests(HOOK)}
    took = [arrived[key] - at for key, at in sent_at.items()]
    assert statistics.quantiles(took, n=100)[98] < 1.0, sorted(took)[-20:]
    letters = dead(kafka, prefix, 5)
    tried = [int(n) for key, n in words(slack) if key == "bad"]
    assert ordered(tried) and set(tried) == set(range(5)), f"later ones overtook: {tried}"
    originals = [r for r in records.read(kafka, f"{prefix}.app.created") if r.key == b"bad"]
    assert len(letters) == len(originals) == 5
    for letter, original in zip(letters, originals):
        assert (letter.key, letter.value) == (original.key, original.value)
        assert letter.pairs[:-6] == original.pairs, "byte-identical and in order"
        assert letter.headers["ferry-error"] == "retries-exhausted"
        assert letter.headers["ferry-origin"] == f"{original.topic}/{original.partition}/{original.offset}"
        assert letter.headers["ferry-route"] == "new-app"
        n = json.loads(letter.value)["n"]
        assert int(letter.headers["ferry-attempts"]) == tried.count(n)
    assert tried.count(0) > 3
    until(lambda: program.metric("ferry_retry_waiting", route="new-app") == 0)
    assert program.metric("ferry_effects_total", outcome="retry") + 5 >= len(tried)


def test_an_entry_is_the_original_with_ferrys_headers_behind_it(configure, publish, slack, kafka, prefix, waiting):
    failing(slack, lambda key, n: True)
    program = configure({"first": "30s", "max": "30s"}).start("slack")
    publish("a", 0, 1)
    entries = until(lambda: len(found := waiting()) == 2 and found)
    originals = records.read(kafka, f"{prefix}.app.created")
    for entry, original, attempts in zip(entries, originals, ("1", "0")):
        mine = own(entry)
        assert (entry.key, entry.value, entry.partition) == (original.key, original.value, original.partition)
        assert entry.pairs[:-len(mine)] == original.pairs
        assert list(mine)[:6] == ["ferry-retry", "ferry-route", "ferry-origin", "ferry-attempts", "ferry-first-failure",
                                  "ferry-due"]
        assert mine["ferry-attempts"] == attempts
        assert mine["ferry-origin"] == f"{original.topic}/{original.partition}/{original.offset}"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", mine["ferry-due"])
    assert own(entries[0])["ferry-error"] == "http-busy" and "503" in own(entries[0])["ferry-reason"]
    assert "ferry-error" not in own(entries[1])
    until(lambda: program.metric("ferry_retry_waiting", route="new-app") == 2)
    until(lambda: program.metric("ferry_consumer_lag", topic=f"{prefix}.app.created") == 0)


# --------------------------------------------------------------------------------------------------- kills and rebalances


def test_attempts_due_times_and_order_survive_a_kill(configure, publish, slack, waiting):
    healed = []
    failing(slack, lambda key, n: not healed)
    ferry = configure()
    first = ferry.start("slack")
    publish("a", 0, 1, 2)
    until(lambda: len(waiting()) == 3 and len(waiting("again")) >= 3)
    first.kill()
    calls, attempts = len(words(slack)), max(int(own(r)["ferry-attempts"]) for r in waiting("again"))
    second = ferry.start("slack")
    publish("a", 3)
    until(lambda: len(words(slack)) >= calls + 2, 30)
    assert {n for _, n in words(slack)} == {"0"}, "behind the first nobody is tried"
    until(lambda: max(int(own(r)["ferry-attempts"]) for r in waiting("again")) > attempts)
    healed.append(True)
    until(lambda: second.metric("ferry_effects_total", outcome="done") == 4)
    numbers = [int(n) for _, n in words(slack)]
    assert ordered(numbers) and [numbers.count(n) for n in (1, 2, 3)] == [1, 1, 1]
    until(lambda: len(waiting("done")) == 4 and second.metric("ferry_retry_waiting", route="new-app") == 0)


def test_two_workers_keep_the_order_of_a_lane_and_once_between_them(configure, publish, slack, waiting, kafka, prefix):
    """Two topics of one partition each: one worker reads the events, the other tries what waits."""
    healed = []
    failing(slack, lambda key, n: not healed)
    config = {"topics": {"other": f"{prefix}.app.created"}}
    one, two = configure(config=config).start("slack"), configure(config=config).start("slack")
    until(lambda: all("marks read back" in p.text() for p in (one, two)), 30, "a partition for each")
    sent = publish("a", *range(5))
    until(lambda: len(waiting()) == 5)

    def done():
        return [p.metric("ferry_effects_total", outcome="done") for p in (one, two)]
    publish("a", *range(5, 10))
    healed.append(True)
    until(lambda: sum(done()) >= 5, 30)
    publish("a", *range(10, 30))  # while the lane is being drained
    until(lambda: len(waiting("done")) == len(waiting()))
    publish("a", *range(30, 50))  # and when it is open again
    until(lambda: sum(done()) == 50, 30)
    numbers = [int(n) for _, n in words(slack)]
    assert ordered(numbers) and set(numbers) == set(range(50)), numbers
    assert all(numbers.count(n) == 1 for n in range(1, 50)), numbers
    # Resent, to the worker that has not had their effects.
    for again in sent:
        records.publish(kafka, f"{prefix}.app.created", again)
    until(lambda: sum(p.metric("ferry_effects_total", outcome="duplicate") for p in (one, two)) == 5, 30)
    assert len(words(slack)) == len(numbers)
    assert all(done()), f"both had a part in it: {done()}"


def test_a_worker_that_takes_over_goes_on_where_the_other_left(configure, publish, slack, waiting):
    healed = []
    failing(slack, lambda key, n: not healed)
    first = configure().start("slack")
    publish("a", 0, 1)
    publish("b", 0)
    until(lambda: len(waiting()) == 3)
    second = configure().start("slack")
    first.stop()
    until(lambda: second.metric("ferry_retry_waiting", route="new-app") == 3, 30)
    healed.append(True)
    until(lambda: second.metric("ferry_effects_total", outcome="done") == 3, 30)
    assert ordered([int(n) for key, n in words(slack) if key == "a"])


# ----------------------------------------------------------------------------------------------------------- Retry-After


def test_retry_after_is_obeyed(configure, publish, slack):
    """Seconds and dates; what makes no sense is as if it were not there, and no leave to hammer."""
    asked, at = {}, {}

    def http_date(seconds):
        return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + seconds))

    def answer(request):
        key = request.json()["text"].split(" ")[0]
        at.setdefault(key, []).append(request.at)
        return Answer(200, "ok") if len(at[key]) > 1 else Answer(429, "", {"Retry-After": asked[key]()})
    slack.on(HOOK, answer)
    configure().start("slack")
    cases = {"seconds": (lambda: "2", 2.0, 5.0), "date": (lambda: http_date(3), 1.9, 6.0), "over": (lambda: http_date(-60), 0.04, 2),
             "zero": (lambda: "0", 0.04, 2), "negative": (lambda: "-5", 0.04, 2), "word": (lambda: "soon", 0.04, 2),
             "absurd": (lambda: "9" * 20, 0.04, 2)}
    for key, (value, at_least, at_most) in cases.items():
        asked[key] = value
        publish(key, 0)
        until(lambda key=key: len(at.get(key, [])) == 2, 30)
        assert at_least <= at[key][1] - at[key][0] <= at_most, key


def test_a_retry_after_of_a_day_waits_an_hour_and_in_the_topic(configure, publish, slack, waiting):
    slack.script(HOOK, Answer(429, "", {"Retry-After": "86400"}))
    program = configure({"for": "2h", "in_lane": "1m"}).start("slack")
    publish("a", 0)
    entry = until(lambda: waiting())[0]
    due = time.mktime(time.strptime(own(entry)["ferry-due"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert 3500 < due - time.time() < 3600 * 1.1 + 60
    until(lambda: program.metric("ferry_retry_waiting", route="new-app") == 1)


# ------------------------------------------------------------------------------------------------------------- overflow


def test_what_overflows_behind_a_slow_destination_is_sent_all_the_same(configure, publish, slack, kafka, prefix, waiting):
    """More than 64 MiB wait for their pace: what is behind them is read on, nothing is lost, doubled or reordered."""
    base = {"events": ["app.created"], "text": r"\(.data.id) \(.data.n)"}
    slow = base | {"name": "slow", "when": '.data.id != "quick"', "pace": "15/1s", "webhook": {"env": "HOOK"}}
    quick = base | {"name": "quick", "when": '.data.id == "quick"', "channel": "C1", "token": {"env": "TOKEN"},
                    "api": f"{slack.url}/api"}
    slack.on("/api/chat.postMessage", lambda _request: Answer(200, {"ok": True, "ts": "1"}))
    slack.on(HOOK, lambda _request: Answer(200, "ok"))
    ferry = configure(worker={"routes": [slow, quick]})
    ferry.env["TOKEN"] = "xoxb-token-of-the-tests"
    kafka.create_topics(f"{prefix}.app.created")
    for n in range(10):
        for k in range(20):
            publish(f"k{k}", n, padding="x" * 450_000)
    publish("quick", 0)
    program = ferry.start("slack")
    slack.wait_for(1, "/api/chat.postMessage", 30)
    assert len(slack.requests(HOOK)) < 190, "the other destination was waited for"
    assert {own(r)["ferry-attempts"] for r in waiting()} == {"0"}
    until(lambda: program.metric("ferry_effects_total", route="slow", outcome="done") == 200, 40)
    calls, seen = slack.requests(HOOK), {}
    for key, n in words(slack):
        seen.setdefault(key, []).append(int(n))
    assert all(numbers == list(range(10)) for numbers in seen.values()) and len(seen) == 20, seen
    assert 10 < calls[-1].at - calls[0].at < 30, "the pace was missed"


# --------------------------------------------------------------------------------------------------- the broker, the rest


def test_a_broker_that_is_away_while_something_is_requeued_loses_nothing(configure, publish, slack, kafka, waiting):
    healed = []
    failing(slack, lambda key, n: not healed)
    program = configure({"first": "1s", "max": "1s", "in_lane": "500ms"}).start("slack")
    publish("a", 0, 1, 2)
    slack.wait_for(1, HOOK)
    kafka.brokers[0].pause()
    time.sleep(2)
    kafka.brokers[0].resume()
    until(lambda: len(waiting()) >= 3, 30)
    healed.append(True)
    until(lambda: program.metric("ferry_effects_total", outcome="done") == 3, 30)
    numbers = [int(n) for _, n in words(slack)]
    assert ordered(numbers) and set(numbers) == {0, 1, 2}


# --------------------------------------------------------------------------------------------- asked for by an operator


@pytest.fixture
def put(kafka, prefix):
    """An operator's command: the record as an entry of the retry topic, with these headers."""
    def entry(original, route="new-app", **headers):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        block = {"ferry-retry": "entry", "ferry-route": route, "ferry-attempts": "0", "ferry-first-failure": now, "ferry-due": now,
                 "ferry-origin": f"{original.topic}/{original.partition}/{original.offset}"}
        producer, problems = Producer({**kafka.client(), "log_level": 0}), []
        producer.produce(f"{prefix}.slack.retry", original.value, original.key, partition=original.partition,
                         headers=original.pairs + list((block | {f"ferry-{k}": v for k, v in headers.items()}).items()),
                         on_delivery=lambda error, _: problems.append(error))
        assert producer.flush(30) == 0 and problems == [None]
    return entry


def test_a_replayed_record_takes_effect_only_when_asked(configure, publish, slack, kafka, prefix, put, waiting):
    failing(slack, lambda key, n: False)
    program = configure().start("slack")
    publish("a", 0)
    slack.wait_for(1, HOOK)
    original = records.read(kafka, f"{prefix}.app.created")[0]

    def ended(count):
        until(lambda: len(waiting("done")) == count)
        return own(waiting("done")[-1])["ferry-outcome"], len(slack.requests(HOOK))
    put(original, replay="run-1")
    assert ended(1) == ("skipped", 1)
    put(original, replay="run-2", effects="yes")
    assert ended(2) == ("duplicate", 1)
    put(original, replay="run-3", again="yes")
    assert ended(3) == ("done", 2)
    put(original, replay="run-3", again="yes")  # the same run, killed half-way and begun again
    assert ended(4) == ("duplicate", 2)
    assert program.metric("ferry_effects_total", outcome="dead") == 0


def test_a_redriven_letter_takes_effect_however_old_it_is(configure, publish, slack, kafka, prefix, put, waiting):
    slack.script(HOOK, Answer(400, "invalid_payload"), Answer(200, "ok"))
    configure(worker={"max_age": "4s"}).start("slack")
    publish("a", 0)
    dead(kafka, prefix, 1)
    original = records.read(kafka, f"{prefix}.app.created")[0]
    time.sleep(4)
    put(original, redrive="run-1")
    until(lambda: len(waiting("done")) == 1)
    put(original, redrive="run-2")
    until(lambda: len(waiting("done")) == 2)
    assert [own(r)["ferry-outcome"] for r in waiting("done")] == ["done", "duplicate"]
    assert len(slack.requests(HOOK)) == 2


def test_what_waits_for_a_route_that_is_gone_is_a_dead_letter(configure, publish, slack, kafka, prefix, put):
    configure(worker={"start": "earliest"}).start("slack")
    publish("a", 0)
    original = records.read(kafka, f"{prefix}.app.created")[0]
    put(original, route="retired")
    letter = dead(kafka, prefix, 1)[0]
    assert letter.headers["ferry-error"] == "route-gone" and letter.headers["ferry-route"] == "retired"
    assert letter.pairs[:-6] == original.pairs and letter.value == original.value
