"""What a caller of a trigger is shown of its run: JSON and the output for scripts, a page and events for people; through
any bridge, and across restarts."""
import html.parser
import http.client
import itertools
import json
import re
import time
import uuid

import pytest

from support import http as web
from support import records
from support.ferry import Ferry, merge
from support.http import Answer
from support.process import until
from support.tenant import Tenant

KEY = "key-of-the-feedback-tests-0123456789ab"
TOKEN = "execution-token-of-the-feedback-tests"
PREFIX = "t68"
PUBLIC = "https://ferry.example.com"
HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
NAMES = ["quick", "page", "slow", "fails", "retried", "twice", "unwanted", "broken", "held", "nobody"]
IDS = {name: str(uuid.uuid5(uuid.NAMESPACE_URL, name)) for name in [*NAMES, "twice-too"]}
numbers = itertools.count(1)


def trigger(name):
    return {"name": name, "keys": [{"name": "tests", "secret": {"env": "KEY"}}], "inputs": ["n"]}


def route(tenant, name, events=None, **changes):
    call = {"tenant": tenant.url, "automation": IDS[name], "token": {"env": "TOKEN"}, "wait": "finished",
            "auth": {"api_key": {"env": "API_KEY"}}}
    return merge({"name": name, "events": [events or f"trigger.{name}"], "qlik": call}, changes)


def configuration(kafka, tenant, prefix=PREFIX):
    routes = [route(tenant, name) for name in ("quick", "page", "slow", "fails", "retried", "twice", "held")]
    routes += [route(tenant, "twice-too", "trigger.twice"), route(tenant, "unwanted", when="false"),
               route(tenant, "broken", input={"n": '.data.n * {}'})]
    return {
        "kafka": kafka.client(),
        "topics": {"name": prefix + ".{event}", "internal": prefix, "other": prefix + ".other", "create": "routed",
                   "partitions": 2, "replication": 1},
        "bridge": {"public_url": PUBLIC + "/in", "triggers": [trigger(name) for name in NAMES],
                   "limits": {"request_timeout": "5s"}},
        "automation": {"group": f"{prefix}-automation", "start": "earliest", "routes": routes,
                       "retry": {"first": "1s", "max": "1s", "for": "1h"}},
    }


def without_worker(config):
    return {name: section for name, section in config.items() if name != "automation"}


@pytest.fixture(scope="module")
def tenant():
    with Tenant(token=TOKEN) as server:
        server.rate = (100000, 1.0)
        yield server


@pytest.fixture(scope="module")
def environment(tenant):
    return {"KEY": KEY, "TOKEN": TOKEN, "API_KEY": tenant.api_key}


@pytest.fixture(scope="module")
def bridges(kafka, folder, tenant, environment):
    """Two bridges and a worker."""
    config = configuration(kafka, tenant)
    one = Ferry(folder / "feedback-1", config, environment)
    two = Ferry(folder / "feedback-2", without_worker(config), environment)
    try:
        started = [one.start("bridge", limit=90), two.start("bridge", limit=90)]
        one.start("automation", limit=90)
        yield started
        two.stop()
        one.stop()
    finally:
        two.kill()
        one.kill()


@pytest.fixture
def bridge(bridges):
    return bridges[0]


@pytest.fixture(scope="module", autouse=True)
def patient(bridges):
    """A stream of a run of which nothing is ever heard, open for as long as the other tests take."""
    answer = start(bridges[0], "nobody")
    stream = Stream(bridges[0], path_of(answer.json()["status_url"]) + "/events")
    yield stream
    stream.close()


def call(bridge, path, headers=None, method="GET", key=KEY, timeout=60):
    return web.send(method, bridge.url + path, b"" if method == "POST" else None,
                    ({"X-Ferry-Key": key} if key else {}) | (headers or {}), timeout=timeout)


def start(bridge, name, query="", headers=None, timeout=60):
    """One call; each is another one. While Kafka takes too long it is made again, which is still the same call."""
    path, made = f"/triggers/{name}?n={next(numbers)}{query}", {"Idempotency-Key": uuid.uuid4().hex} | (headers or {})
    answers = (call(bridge, path, made, "POST", timeout=timeout) for _ in range(20))
    return next(answer for answer in answers if answer.status != 503)


def path_of(url):
    assert url.startswith(PUBLIC + "/in/triggers/")
    return url.removeprefix(PUBLIC + "/in")


def look(bridge, url, query="", headers=None):
    return call(bridge, path_of(url) + query, headers, key=None)


def ended(bridge, url, limit=60):
    """The state of a run, when it is at its end."""
    def find():
        state = look(bridge, url).json()
        return state if state["final"] else None
    return until(find, limit, "a run's end")


class Stream:
    """Server-sent events, as they come: next() → (event, data); comments have the event None."""

    def __init__(self, bridge, path, timeout=60, headers=None):
        self.link = web.connection(bridge.url, bridge.tls, timeout)
        self.link.request("GET", path, headers={"Accept": "text/event-stream", **(headers or {})})
        self.answer = self.link.getresponse()

    def __iter__(self):
        return self

    def __next__(self):
        event, data = None, []
        while True:
            line = self.answer.readline()
            if not line:
                raise StopIteration
            line = line.decode().rstrip("\n")
            if not line and (event or data):
                return event, "\n".join(data)
            if line.startswith(":"):
                return None, line[1:].strip()
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                data.append(value)

    def states(self):
        """Until the end: the distinct states, in order."""
        seen = []
        for event, data in self:
            if event == "end":
                return seen
            if event == "state" and json.loads(data)["state"] not in seen[-1:]:
                seen.append(json.loads(data)["state"])
        return seen

    def close(self):
        self.link.close()


class Page(html.parser.HTMLParser):
    """A page as a browser without a script reads it."""

    def __init__(self, text):
        super().__init__()
        self.text, self.tags, self.scripts, self._script = "", [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._script = tag == "script"

    def handle_data(self, data):
        if self._script:
            self.scripts.append(data)
            self._script = False
        else:
            self.text += data

    def by_id(self, name):
        return next((attributes for _, attributes in self.tags if attributes.get("id") == name), None)

    def refresh(self):
        return next((a["content"] for tag, a in self.tags if tag == "meta" and a.get("http-equiv") == "refresh"), None)


# ------------------------------------------------------------------------------------------------------ for scripts


def test_a_script_is_told_where_its_run_can_be_looked_at(bridge, tenant):
    tenant.automation(IDS["quick"], token=TOKEN, output={"rows": 3, "text": "a\nb"})
    answer = start(bridge, "quick")
    assert answer.status == 202
    state = answer.json()
    assert answer.headers["Location"] == state["status_url"]
    assert (state["trigger"], state["final"], state["state"], state["results"]) == ("quick", False, "queued", [])
    final = ended(bridge, state["status_url"])
    assert (final["id"], final["state"], final["known"]) == (state["id"], "finished", True)
    result, = final["results"]
    assert (result["route"], result["state"], result["output"]) == ("quick", "finished", {"rows": 3, "text": "a\nb"})


@pytest.mark.parametrize("output, media_type", [({"rows": 3}, "application/json"), ("three rows", "text/plain"),
                                                ("<script>alert(1)</script>", "text/plain")])
def test_who_waits_gets_the_output_itself_and_never_as_html(bridge, tenant, output, media_type):
    tenant.automation(IDS["quick"], token=TOKEN, output=output,
                      content_type="text/html" if isinstance(output, str) else None)
    answer = start(bridge, "quick", "&wait=55s")
    assert (answer.status, answer.headers.get_content_type()) == (200, media_type)
    assert answer.headers["X-Content-Type-Options"].startswith("nosniff")
    assert (answer.json() if isinstance(output, dict) else answer.body.decode()) == output


def test_waiting_outlives_the_time_limit_of_requests(bridge, tenant):
    tenant.automation(IDS["slow"], token=TOKEN, output="at last", delay=7)
    began = time.monotonic()
    answer = start(bridge, "slow", "&wait=55s")
    assert (answer.status, answer.body) == (200, b"at last") and time.monotonic() - began > 6


def test_when_the_time_is_up_the_status_url_is_the_answer_and_can_be_waited_at(bridge, tenant):
    tenant.automation(IDS["slow"], token=TOKEN, output="later", delay=4)
    answer = start(bridge, "slow", "&wait=1s")
    assert answer.status == 202 and not answer.json()["final"]
    again = look(bridge, answer.headers["Location"], "?wait=250ms")
    assert again.status == 202
    assert look(bridge, answer.headers["Location"], "?wait=50").body == b"later"


def test_a_failed_run_is_a_502_that_says_why(bridge, tenant):
    tenant.automation(IDS["fails"], token=TOKEN, queued=1, final="failed", failure="the app is gone")
    answer = start(bridge, "fails", "&wait=55s")
    assert answer.status == 502
    problem = answer.problem
    assert problem["code"] == "run-failed" and "failed" in problem["detail"]
    assert problem["run"]["final"] and "the app is gone" in json.dumps(problem["run"]["results"][0]["output"])


@pytest.mark.parametrize("wait", ["soon", "-1", "5x", "1.5s"])
def test_a_wait_that_is_no_duration_starts_nothing(bridge, kafka, wait):
    before = sum(records.ends(kafka, [f"{PREFIX}.trigger.quick"]).values())
    assert "wait" in start(bridge, "quick", f"&wait={wait}").problem["detail"]
    assert sum(records.ends(kafka, [f"{PREFIX}.trigger.quick"]).values()) == before


def test_the_reason_why_a_run_waits_for_its_next_attempt_is_told(bridge, tenant):
    tenant.automation(IDS["retried"], token=TOKEN, output="the second time")
    tenant.next_answers(f"/api/v1/automations/{IDS['retried']}/actions/execute", Answer(503, "not now"))
    url = start(bridge, "retried").json()["status_url"]
    def waits():
        results = look(bridge, url).json()["results"]
        return results and results[0].get("error", {}).get("code") == "http-busy"
    until(waits, 30, "the reason")
    assert ended(bridge, url)["results"][0]["output"] == "the second time"


def test_a_call_that_two_routes_take_is_at_its_end_when_both_are(bridge, tenant):
    tenant.automation(IDS["twice"], token=TOKEN, output="one")
    late = tenant.automation(IDS["twice-too"], token=TOKEN, hold=True)
    url = start(bridge, "twice").json()["status_url"]
    until(lambda: [r["route"] for r in look(bridge, url).json()["results"] if r["final"]] == ["twice"], 30, "the first route")
    assert not look(bridge, url).json()["final"]
    late.release()
    final = ended(bridge, url)
    assert final["state"] == "finished" and {r["route"] for r in final["results"]} == {"twice", "twice-too"}


@pytest.mark.parametrize("name, code", [("unwanted", "skipped"), ("broken", "template_error")])
def test_a_call_that_comes_to_nothing_says_so(bridge, name, code):
    answer = start(bridge, name, "&wait=55s")
    assert (answer.status, answer.problem["code"]) == (502, code)


def test_a_call_that_came_already_waits_for_the_same_run(bridge, tenant):
    tenant.automation(IDS["slow"], token=TOKEN, output="once", delay=2)
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    before = len(tenant.automations[IDS["slow"]].calls)
    first = call(bridge, "/triggers/slow", headers, "POST")
    second = call(bridge, "/triggers/slow?wait=50s", headers, "POST")
    assert first.status == 202 and (second.status, second.body) == (200, b"once")
    assert len(tenant.automations[IDS["slow"]].calls) == before + 1


def test_only_who_started_a_run_can_look_at_it(bridge, tenant):
    tenant.automation(IDS["quick"], token=TOKEN, output="mine")
    path = path_of(start(bridge, "quick").json()["status_url"])
    head, _, token = path.rpartition("/")
    other = path_of(start(bridge, "page").json()["status_url"]).rpartition("/")[2]
    for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), other, token[:-1]):
        assert call(bridge, f"{head}/{wrong}").status == 404
        assert call(bridge, f"{head}/{wrong}/events").status == 404
    assert call(bridge, path.replace("/quick/", "/page/"), key=None).status == 404


def test_looking_starts_nothing(bridge, tenant, kafka):
    tenant.automation(IDS["quick"], token=TOKEN, output="done")
    url = start(bridge, "quick").json()["status_url"]
    ended(bridge, url)
    before = sum(records.ends(kafka, [f"{PREFIX}.trigger.quick"]).values())
    for headers in ({}, HTML, {"Accept": "text/event-stream"}):
        assert look(bridge, url, headers=headers).status == 200
    assert look(bridge, url, "?wait=1s").body == b"done"
    assert sum(records.ends(kafka, [f"{PREFIX}.trigger.quick"]).values()) == before


# ------------------------------------------------------------------------------------------------------- for people


def test_a_browser_gets_the_page_at_once_and_a_reload_starts_nothing(bridge, tenant):
    held = tenant.automation(IDS["held"], token=TOKEN, hold=True)
    began = time.monotonic()
    answer = start(bridge, "held", "&wait=55s", HTML)
    assert answer.status == 200 and answer.headers.get_content_type() == "text/html" and time.monotonic() - began < 20
    page = Page(answer.body.decode())
    state = page.by_id("run")
    assert state["data-state"] == "queued" and state["data-final"] == "false"
    path = state["data-url"]
    assert re.fullmatch(r"/in/triggers/held/runs/[0-9a-f]{32}/[\w-]{22}", path)
    assert page.refresh().endswith(f"url={path}")
    assert f"replaceState(null,'',u)" in page.scripts[0]
    assert ("link", {"rel": "canonical", "href": PUBLIC + path}) in page.tags
    assert page.by_id("run-state")["role"] == "status" and page.by_id("run-state")["aria-live"] == "polite"
    held.release()
    ended(bridge, PUBLIC + path)
    last = Page(look(bridge, PUBLIC + path, headers=HTML).body.decode())
    assert last.by_id("run")["data-state"] == "finished" and last.refresh() is None


def test_the_policy_of_the_page_allows_its_own_script_and_nothing_else(bridge, tenant):
    tenant.automation(IDS["page"], token=TOKEN, output={"a": 1})
    answer = start(bridge, "page", headers=HTML)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'" and policy["form-action"] == "'self'" and policy["connect-src"] == "'self'"
    assert re.fullmatch(r"'sha256-[\w+/=]+'", policy["script-src"]) and re.fullmatch(r"'sha256-[\w+/=]+'", policy["style-src"])
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Referrer-Policy"] == "no-referrer"
    body = answer.body.decode()
    assert len(Page(body).scripts) == 1 and not re.search(r"(?:src|href)=[\"']?https?:(?!//ferry\.example\.com)", body)
    assert KEY not in body and TOKEN not in body


HOSTILE = '</pre></script><script>alert("x")</script><img src=x onerror=alert(1)>&amp;'


@pytest.mark.parametrize("output", [HOSTILE, {HOSTILE: HOSTILE}, [[HOSTILE]], {"deep": {"er": [1, None, True, HOSTILE]}}])
def test_an_output_is_text_on_the_page_whatever_it_says(bridge, tenant, output):
    tenant.automation(IDS["page"], token=TOKEN, output=output)
    path = Page(start(bridge, "page", headers=HTML).body.decode()).by_id("run")["data-url"]
    ended(bridge, PUBLIC + path)
    body = look(bridge, PUBLIC + path, headers=HTML).body.decode()
    page = Page(body)
    assert len(page.scripts) == 1 and "img" not in [tag for tag, _ in page.tags] and HOSTILE in page.text
    if not isinstance(output, str):
        assert "details" in [tag for tag, _ in page.tags]


def test_a_large_output_is_cut_and_the_page_says_so(bridge, tenant):
    tenant.automation(IDS["page"], token=TOKEN, output="<" * 300_000)
    path = Page(start(bridge, "page", headers=HTML).body.decode()).by_id("run")["data-url"]
    final = ended(bridge, PUBLIC + path)
    assert final["results"][0]["truncated"] and final["results"][0]["output"] == "<" * (256 * 1024)
    answer = look(bridge, PUBLIC + path, headers=HTML)
    assert answer.status == 200 and len(answer.body) < 1 << 20 and "not shown" in Page(answer.body.decode()).text
    assert look(bridge, PUBLIC + path, "?wait=1s").headers["Ferry-Truncated"] == "true"


# ------------------------------------------------------------------------------------------------------- live


def test_news_of_a_run_come_as_events_until_its_end(bridge, tenant):
    held = tenant.automation(IDS["held"], token=TOKEN, hold=True)
    stream = Stream(bridge, path_of(start(bridge, "held").json()["status_url"]) + "/events")
    assert stream.answer.status == 200 and stream.answer.headers.get_content_type() == "text/event-stream"
    assert stream.answer.headers["Cache-Control"] == "no-store"
    seen = []
    for event, data in stream:
        if event == "state":
            seen.append(json.loads(data)["state"])
            if seen[-1] == "running" and json.loads(data)["results"][0].get("run"):
                held.release()
        if event == "end":
            break
    assert "running" in seen and seen[-1] == "finished"
    assert next(stream, None) is None  # and the stream is at its end


def test_the_page_comes_as_events_too(bridge, tenant):
    tenant.automation(IDS["page"], token=TOKEN, output={"rows": ["<b>1</b>\r\n"]})
    stream = Stream(bridge, path_of(start(bridge, "page").json()["status_url"]) + "/events?view=page")
    pages = [Page(data) for event, data in stream if event == "page"]
    assert pages[-1].by_id("run")["data-final"] == "true" and '"<b>1</b>' in pages[-1].text
    assert pages[0].by_id("run-state")


def test_a_run_can_be_looked_at_through_another_bridge(bridges, tenant):
    held = tenant.automation(IDS["held"], token=TOKEN, hold=True)
    url = start(bridges[0], "held").json()["status_url"]
    stream = Stream(bridges[1], path_of(url) + "/events")
    until(lambda: look(bridges[1], url).json()["state"] == "running", 30, "the run at the other bridge")
    held.release()
    assert stream.states()[-1] == "finished"
    assert look(bridges[1], url, "?wait=50s").status == 200


def test_a_bridge_that_was_restarted_knows_the_runs_of_the_last_minutes(make, kafka, tenant, environment, prefix):
    tenant.automation(IDS["quick"], token=TOKEN, output="before")
    held = tenant.automation(IDS["held"], token=TOKEN, hold=True)
    ferry = make(configuration(kafka, tenant, prefix), env=environment)
    bridge = ferry.start("bridge")
    ferry.start("automation")
    done, open_ = (start(bridge, name).json()["status_url"] for name in ("quick", "held"))
    ended(bridge, done)
    until(lambda: look(bridge, open_).json()["state"] == "running", 30, "the run")
    bridge.kill()
    bridge = ferry.start("bridge")
    assert ended(bridge, done)["results"][0]["output"] == "before"
    until(lambda: look(bridge, open_).json()["state"] == "running", 30, "the run after the restart")
    held.release()
    assert ended(bridge, open_)["state"] == "finished"


def test_waiting_and_news_work_over_tls(make, kafka, tenant, environment, prefix, certificate, authority):
    tenant.automation(IDS["quick"], token=TOKEN, output="encrypted")
    held = tenant.automation(IDS["held"], token=TOKEN, hold=True)
    tls = {"certificate": str(certificate.certificate), "key": str(certificate.key)}
    ferry = make(merge(configuration(kafka, tenant, prefix), {"bridge": {"tls": tls}}), env=environment)
    bridge = ferry.start("bridge", tls=authority.client_context())
    ferry.start("automation")
    answer = web.send("POST", bridge.url + "/triggers/quick?n=1&wait=55s", b"", {"X-Ferry-Key": KEY}, bridge.tls, 60)
    assert (answer.status, answer.body) == (200, b"encrypted")
    answer = web.send("POST", bridge.url + "/triggers/held?n=1", b"", {"X-Ferry-Key": KEY}, bridge.tls, 60)
    stream = Stream(bridge, path_of(answer.json()["status_url"]) + "/events")
    for event, data in stream:
        if event == "state" and json.loads(data)["state"] == "running":
            break
    held.release()
    assert stream.states()[-1] == "finished"


def test_who_stops_says_goodbye_and_answers_those_who_wait(make, kafka, tenant, environment, prefix):
    ferry = make(configuration(kafka, tenant, prefix), env=environment)
    bridge = ferry.start("bridge")
    url = start(bridge, "nobody").json()["status_url"]
    stream = Stream(bridge, path_of(url) + "/events")
    assert json.loads(next(stream)[1])["known"] is False
    link = http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=60)
    link.request("GET", path_of(url) + "?wait=100s")
    until(lambda: bridge.metric("ferry_long_answers", kind="wait") == 1 and bridge.metric("ferry_long_answers", kind="events") == 1)
    bridge.stop()
    answer = link.getresponse()
    assert answer.status == 202 and not json.loads(answer.read())["final"]
    assert [data for event, data in stream if event is None][-1].startswith("this stream ends")


def test_long_answers_leave_room_for_everybody_else(make, kafka, tenant, environment, prefix):
    config = merge(configuration(kafka, tenant, prefix), {"bridge": {"limits": {"connections": 16}}})
    bridge = make(without_worker(config), env=environment).start("bridge")
    url = start(bridge, "nobody").json()["status_url"]
    streams = [Stream(bridge, path_of(url) + "/events") for _ in range(4)]
    assert all(s.answer.status == 200 for s in streams)
    refused = Stream(bridge, path_of(url) + "/events").answer
    assert refused.status == 503 and refused.headers["Retry-After"]
    began = time.monotonic()
    assert start(bridge, "nobody", "&wait=60s").status == 202 and time.monotonic() - began < 30
    assert all(start(bridge, "nobody").status == 202 for _ in range(20))
    for stream in streams:
        stream.close()
    until(lambda: bridge.metric("ferry_long_answers") == 0, 10, "the streams' places")


def test_results_that_cannot_be_written_hold_up_nothing(make, kafka, tenant, environment, prefix):
    tenant.automation(IDS["quick"], token=TOKEN, output="done all the same")
    kafka.create_topics(f"{prefix}.results", config={"max.message.bytes": "10"})
    ferry = make(configuration(kafka, tenant, prefix), env=environment)
    bridge, worker = ferry.start("bridge"), ferry.start("automation")
    for _ in range(3):
        assert start(bridge, "quick").status == 202
    until(lambda: worker.metric("ferry_effects_total", outcome="done") == 3, 60, "three effects")
    until(lambda: worker.metric("ferry_results_dropped_total") >= 3, 30, "the results that were dropped")
    until(lambda: worker.metric("ferry_consumer_lag", topic=f"{prefix}.trigger.quick") == 0, 30, "the offsets")
    worker.stop()


def test_secrets_are_in_no_result(bridges, bridge, tenant, kafka):
    tenant.automation(IDS["quick"], token=TOKEN, output={"called": {"X-Execution-Token": TOKEN}})
    answer = start(bridge, "quick", "&wait=55s")
    assert answer.status == 200 and answer.json()["called"]["X-Execution-Token"].strip("*") == ""
    told = repr([(r.key, r.value, r.pairs) for r in records.read(kafka, f"{PREFIX}.results")])
    logged = "".join(program.text() for program in bridges)
    assert not [secret for secret in (KEY, TOKEN, tenant.api_key) if secret in told + logged]
    assert kafka.topic_config(f"{PREFIX}.results")["retention.ms"] == "3600000"


def test_a_stream_without_news_shows_that_it_lives(patient):
    assert json.loads(next(patient)[1])["known"] is False
    assert next(patient) == (None, "still here")
