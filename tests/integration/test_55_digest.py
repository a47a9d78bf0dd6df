"""Digests: what waits for one Slack destination goes as one message, and each event in it keeps its own fate."""
import collections
import re
import threading
import uuid

import pytest

from support import records
from support.ferry import event, merge
from support.http import Answer
from support.process import holds, until

HOOK = "/services/T000/B000/XXX"
OTHER = "/services/T000/B000/OTHER"
RETRY = {"first": "200ms", "max": "500ms", "for": "1h"}


@pytest.fixture
def worker(settings, prefix, slack, make):
    """worker(route changes …) → the worker, ready, one route for app.created for each; started again, it goes on."""
    made = []

    def start(*changes):
        base = {"events": ["app.created"], "webhook": {"env": "HOOK"}, "text": r"\(.data.text)", "pace": "1000/1s", "digest": "1s"}
        routes = [merge(base | {"name": f"route{n}"}, change) for n, change in enumerate(changes or [{}])]
        section = {"group": f"{prefix}-slack", "start": "earliest", "retry": RETRY, "routes": routes}
        if not made:
            made.append(make(settings, {"slack": section}, env={"HOOK": slack.hook(), "OTHER_HOOK": f"{slack.url}{OTHER}"}))
        return made[0].start("slack")
    return start


@pytest.fixture
def publish(kafka, prefix):
    """publish(event …): the events of app.created, at once."""
    def send(*events):
        records.publish_all(kafka, f"{prefix}.app.created", events)
    return send


def says(text, key=None):
    """An event with this text, of one resource (created again and again, as another tenant's); else of one of its own."""
    return event(data={"id": key or str(uuid.uuid4()), "text": text}, tenantid=str(uuid.uuid4()))


def outcomes(program, outcome):
    return program.metric("ferry_effects_total", outcome=outcome)


def lines(slack, path=HOOK):
    """The lines of all messages, accepted or not."""
    return [r.json()["text"].split("\n") for r in slack.requests(path)]


def accepted(slack, answer, pattern="/services/.*"):
    """Answer by answer(request); the list of what was accepted grows line by line."""
    found, lock = [], threading.Lock()

    def respond(request):
        result = answer(request)
        if result.status == 200:
            with lock:
                found.extend(request.json()["text"].split("\n"))
        return result
    slack.on(pattern, respond)
    return found


def test_what_waits_for_one_destination_is_one_message(worker, publish, slack):
    program = worker({}, {"events": ["app.created"], "when": '.data.text | startswith("both")', "text": r"again \(.data.text)"})
    publish(*[says(f"k{n}", "one-resource") for n in range(3)], says("both"))
    until(lambda: outcomes(program, "done") == 5)
    message, = lines(slack)
    assert sorted(message) == ["again both", "both", "k0", "k1", "k2"]
    assert [line for line in message if line[0] == "k"] == ["k0", "k1", "k2"]
    digest, = [line for line in program.logs() if line["msg"] == "digest"]
    assert digest["events"] == 5 and digest["outcome"] == "done"


def test_a_duplicate_in_the_window_is_not_in_the_message(worker, publish, slack):
    program = worker()
    once = says("once")
    publish(once, says("other"), once)
    until(lambda: outcomes(program, "duplicate") == 1)
    until(lambda: outcomes(program, "done") == 2)
    assert sorted(sum(lines(slack), [])) == ["once", "other"]


def test_one_that_is_refused_takes_nobody_along(worker, publish, slack, kafka, prefix):
    found = accepted(slack, lambda r: Answer(400, "invalid_blocks") if "poison" in r.json()["text"] else Answer(200, "ok"))
    program = worker()
    publish(says("a"), says("poison"), says("b"))
    letter, = records.read(kafka, f"{prefix}.slack.dlq", lambda rs: len(rs) >= 1)
    assert letter.headers["ferry-error"] == "http-refused" and b"poison" in letter.value
    until(lambda: outcomes(program, "done") == 2)
    assert sorted(found) == ["a", "b"] and outcomes(program, "dead") == 1


@pytest.mark.parametrize("digest", ["off", "300ms"])
def test_a_storm_of_429_loses_and_repeats_nothing(worker, publish, slack, digest):
    asked = collections.Counter()

    def every_second(_request):
        asked["n"] += 1
        return Answer(429, "rate_limited", {"Retry-After": "0"}) if asked["n"] % 2 else Answer(200, "ok")
    found = accepted(slack, every_second)
    program = worker({"digest": digest})
    sent = [f"{n % 10}-{n // 10}" for n in range(200)]
    publish(*[says(text, f"resource-{text[0]}") for text in sent])
    until(lambda: len(found) >= 200, 60)
    holds(lambda: len(found) == 200, 0.5)
    assert sorted(found) == sorted(sent)
    for key in "0123456789":
        mine = [int(text[2:]) for text in found if text[0] == key]
        assert mine == sorted(mine), f"resource {key} out of order"
    until(lambda: outcomes(program, "done") == 200)
    assert asked["n"] <= (401 if digest == "off" else 40)


def test_a_429_pauses_its_own_destination_alone(worker, publish, slack):
    slack.script(HOOK, Answer(429, "rate_limited", {"Retry-After": "3"}), Answer(200, "ok"))
    worker({"when": '.data.text == "first"', "digest": "off"},
           {"webhook": {"env": "OTHER_HOOK"}, "when": '.data.text != "first"', "digest": "off"})
    publish(says("first"))
    paused = slack.wait_for(1, HOOK)[0]
    publish(*[says(f"b{n}") for n in range(5)])
    others = slack.wait_for(5, OTHER)
    assert others[-1].at - paused.at < 2.8 and len(slack.requests(HOOK)) == 1
    assert slack.wait_for(2, HOOK)[1].at - paused.at >= 2.9


def test_a_429_holds_the_whole_digest(worker, publish, slack):
    slack.script(HOOK, Answer(429, "rate_limited", {"Retry-After": "2"}), Answer(200, "ok"))
    program = worker({"digest": "500ms"})
    publish(says("a"), says("b"))
    slack.wait_for(1, HOOK)
    publish(says("c"))
    until(lambda: outcomes(program, "done") == 3)
    first, *later = slack.requests(HOOK)
    assert all(r.at - first.at >= 1.9 for r in later) and len(later) <= 2
    assert sorted(sum((r.json()["text"].split("\n") for r in later), [])) == ["a", "b", "c"]


def test_what_was_only_collected_is_read_again_by_the_next_worker(worker, publish, slack):
    program = worker()
    publish(says("a"), says("b"))
    until(lambda: program.metric("ferry_consumer_lag") == 2)
    program.stop()
    assert slack.requests(HOOK) == []
    program = worker()
    until(lambda: outcomes(program, "done") == 2)
    assert sorted(sum(lines(slack), [])) == ["a", "b"]


def test_more_than_fits_goes_as_several_messages(worker, publish, slack):
    program = worker()
    publish(*[says(f"{n}" * 15000, "one-resource") for n in range(4)])
    until(lambda: outcomes(program, "done") == 4)
    assert [[len(line) for line in message] for message in lines(slack)] == [[15000, 15000], [15000, 15000]]
    assert re.fullmatch("0+1+2+3+", "".join(sum(lines(slack), [])))
