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
            pairs = [(f"ce_{name}", str(one[name])) for name in one if name not in ("data", "datacontenttype", "specversion")]
            pairs += [("ce_specversion", "1.0"), ("content-type", "application/json"), ("ferry-event", "app.created")]
            producer.produce(topic, json.dumps(one["data"]), key, headers=pairs,
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


@pytest.mark.parametrize("value, at_least, at_most", [
    ("3", 3.0, 6.0), ("in 3 s", 1.9, 6.0), ("a minute ago", 0.0, 2.0), ("0", 0.0, 2.0), ("-5", 0.0, 2.0), ("soon", 0.0, 2.0),
    ("99999999999999999999", 0.0, 2.0)])
def test_retry_after_is_obeyed(configure, publish, slack, value, at_least, at_most):
    """Seconds and dates; what makes no sense is as if it were not there."""
    seconds, calls = {"in 3 s": 3, "a minute ago": -60}.get(value), []

    def answer(_request):
        calls.append(1)
        if len(calls) > 1:
            return Answer(200, "ok")
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + (seconds or 0)))
        return Answer(429, "", {"Retry-After": date if seconds else value})
    slack.on(HOOK, answer)
    configure().start("slack")
    publish("a", 0)
    first, second = slack.wait_for(2, HOOK)[:2]
    assert at_least <= second.at - first.at <= at_most
    assert second.at - first.at >= 0.05, "no hammering"


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
