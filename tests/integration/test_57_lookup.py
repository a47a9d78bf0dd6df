"""Names instead of ids: looked up at Qlik's REST API, kept, and never waited for longer than a moment."""
import threading
import uuid

import pytest

from support import records
from support.ferry import encode, event, merge
from support.http import Answer, QlikTenant
from support.process import until

HOOK = "/services/.*"
TEXT = r'\(.user.name) \(.user.email // "-") \(.app.name) \(.space.name // "-")'


class Directory(QlikTenant):
    """Users, spaces and apps of a tenant: everybody is called as the id says, in another word."""

    def __init__(self):
        super().__init__()
        self.on("/api/v1/users/.*", lambda r: self.answer(r, {"name": "User " + r.path[-2:], "email": r.path[-2:] + "@example.com"}))
        self.on("/api/v1/spaces/.*", lambda r: self.answer(r, {"name": "Space " + r.path[-2:]}))
        self.on("/api/v1/apps/.*", lambda r: self.answer(r, {"attributes": {"name": "App " + r.path[-2:]}}))

    def answer(self, request, body):
        good = request.headers.get("Authorization") in (f"Bearer {self.api_key}", "Bearer token-from-oauth")
        return Answer(200, body) if good else Answer(401, {})

    def asked(self, kind):
        return [request.path.rpartition("/")[2] for request in self.requests(f"/api/v1/{kind}s/.*")]


@pytest.fixture
def tenant():
    with Directory() as directory:
        yield directory


@pytest.fixture
def start(settings, prefix, make, slack, tenant):
    """start(text, changes of the configuration) → the Slack worker, looking names up at `tenant`."""
    def starter(text=TEXT, **change):
        route = {"name": "named", "events": ["app.*"], "webhook": {"env": "HOOK"}, "text": text, "pace": "1000/1s",
                 "once_per": [".id"]}
        config = {"worker": {"lookup": {"tenant": tenant.url, "auth": {"api_key": {"env": "API_KEY"}}}},
                  "slack": {"group": f"{prefix}-slack", "start": "earliest", "routes": [route]}}
        return make(settings, merge(config, change), env={"HOOK": slack.hook(), "API_KEY": tenant.api_key}).start("slack")
    return starter


@pytest.fixture
def publish(kafka, prefix):
    def send(user="user-01", app=None, **attributes):
        data = {"id": app or str(uuid.uuid4()), "name": "in the event", "spaceId": "space-07"}
        sent = event("com.qlik.app.created", data=data, userid=user, **attributes)
        records.publish(kafka, f"{prefix}.app.created", sent)
    return send


def until_named(publish, slack, expected, *arguments, limit=40):
    """The same event until its names are there: on a busy machine an answer may be late, and ids stand in before it."""
    def named():
        publish(*arguments)
        return texts(slack, len(slack.messages()) + 1)[-1] == expected
    until(named, limit, expected)


def texts(slack, count, limit=30):
    slack.wait_for(count, HOOK, limit)
    return [message["text"] for message in slack.messages()]


def test_names_stand_where_ids_did_and_are_asked_for_once(start, publish, slack, tenant):
    program = start()
    for app in ("app-01", "app-02"):
        until_named(publish, slack, f"User 01 01@example.com App {app[-2:]} Space 07", "user-01", app)
    publish("user-01", "app-01")
    assert texts(slack, len(slack.messages()) + 1)[-1] == "User 01 01@example.com App 01 Space 07"
    assert tenant.asked("user") == ["user-01"] and tenant.asked("space") == ["space-07"]
    assert tenant.asked("app") == ["app-01", "app-02"]
    assert "User 01" not in program.text() and "01@example.com" not in program.text()


def test_only_what_the_programs_speak_of_is_looked_up(start, publish, slack, tenant):
    start(r"\(.app.name) of \(.userid)")
    until_named(publish, slack, "App 09 of user-01", "user-01", "app-09")
    assert tenant.asked("user") == tenant.asked("space") == []


def test_an_oauth_client_logs_in_first(start, publish, slack, tenant):
    auth = {"api_key": None, "oauth": {"client_id": "ferry", "client_secret": {"env": "API_KEY"}}}
    start(r"\(.user.name) \(.app.name)", worker={"lookup": {"auth": auth}})
    until_named(publish, slack, "User 01 App 03", "user-01", "app-03")
    assert len(tenant.requests("/oauth/token")) == 1


def test_who_is_not_there_keeps_the_id(start, publish, slack, tenant):
    tenant.script("/api/v1/users/.*", Answer(404, {}))
    program = start(r'\(.user.name) \(.user.email // "nobody")')
    publish("user-02")
    publish("user-02")
    assert texts(slack, 2) == ["user-02 nobody"] * 2
    assert tenant.asked("user") == ["user-02"]
    assert program.metric("ferry_lookup_failures_total", kind="user") == 2


def test_a_tenant_that_hangs_costs_a_moment_and_then_nothing(start, publish, slack, tenant):
    tenant.on("/api/v1/users/.*", lambda _request: Answer(hang=True))
    program = start(r"\(.user.name)")
    for number in range(3):
        publish(f"user-1{number}")
    texts(slack, 3)
    moment = slack.requests(HOOK)[0].at - tenant.requests("/api/v1/users/.*")[0].at
    assert moment < 3, "200 ms, and what a busy machine adds; the tenant's own time would be 5 s"
    asked = len(tenant.asked("user"))
    for number in range(20, 25):
        publish(f"user-{number}")
    assert sorted(texts(slack, 8)) == [f"user-{n}" for n in (10, 11, 12, *range(20, 25))]
    assert len(tenant.asked("user")) == asked
    assert program.metric("ferry_lookup_failures_total", kind="user") == 8
    assert "names cannot be looked up" in program.text() and "user-1" not in program.text()


def test_an_answer_that_comes_late_is_there_for_the_next(start, publish, slack, tenant):
    gate = threading.Event()

    def late(request):
        gate.wait(10)
        return tenant.answer(request, {"name": "User late"})
    tenant.on("/api/v1/users/.*", late)
    program = start(r"\(.user.name)")
    publish("user-03")
    assert texts(slack, 1) == ["user-03"]
    assert program.metric("ferry_lookup_failures_total", kind="user") == 1
    gate.set()
    until_named(publish, slack, "User late", "user-03")
    assert tenant.asked("user") == ["user-03"]


def test_a_when_that_speaks_of_a_name_sees_it(start, publish, slack, tenant, prefix):
    route = {"name": "named", "events": ["app.*"], "webhook": {"env": "HOOK"}, "text": r"\(.userid)", "when": '.user.name == "User 05"'}
    start(slack={"routes": [route]})
    publish("user-04")
    until(lambda: publish("user-05") or slack.messages(), 30)
    assert {message["text"] for message in slack.messages()} == {"user-05"}
    until(lambda: sorted(tenant.asked("user")) == ["user-04", "user-05"])


def test_ferry_try_shows_ids_and_sends_names(settings, make, slack, tenant):
    route = {"name": "named", "events": ["app.created"], "webhook": {"env": "HOOK"}, "text": r"by \(.user.name)"}
    config = {"worker": {"lookup": {"tenant": tenant.url, "auth": {"api_key": {"env": "API_KEY"}}}}, "slack": {"routes": [route]}}
    ferry = make(settings, config, env={"HOOK": slack.hook(), "API_KEY": tenant.api_key})
    (ferry.folder / "event.json").write_bytes(encode(event(userid="user-06")))
    shown = ferry.run("ferry", "try", "slack/named", "-c", ferry.path, "--event", ferry.folder / "event.json")
    assert shown.returncode == 0 and "by user-06" in shown.stdout and "ids stand in" in shown.stdout, shown.stderr
    sent = ferry.run("ferry", "try", "slack/named", "-c", ferry.path, "--event", ferry.folder / "event.json", "--send")
    assert sent.returncode == 0 and texts(slack, 1) == ["by User 06"], sent.stdout + sent.stderr
