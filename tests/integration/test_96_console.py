"""The console as people meet it: a real browser, a real Kafka, and what was put there."""
import contextlib
import json
import math
import pathlib
import re
import signal
import time
import urllib.parse
import uuid

import pytest
from confluent_kafka import Producer

from conftest import WEBHOOK
from support import http, records
from support.browser import Browser, picture
from support.ferry import Ferry, event
from support.http import Answer
from support.process import Timeout, free_port, until

KEY = "a-console-key-of-the-tests"
HOSTILE = "<script>window.hacked=1</script><img src=x onerror='window.hacked=2'>"
ADDRESS, TOKEN = "ada.lovelace@example.com", "xoxb-12345678901-abcdefghijkl"
LIMIT_MS = 60_000


class Stage:
    """A bridge with a console, a Slack worker with three routes (one works, one is refused, one waits), a mail worker that
    never started, and a browser."""

    def __init__(self, kafka, folder, change=None):
        self.kafka, self.prefix, self.slack = kafka, "acme-" + uuid.uuid4().hex[:4], http.Slack()
        self.slack.script("/services/refused", Answer(400, f"invalid_payload {HOSTILE}"))
        self.slack.script("/services/busy", Answer(503, "later"))
        self.ferry = Ferry(folder, {
            "kafka": kafka.client(),
            "topics": {"name": self.prefix + ".{event}", "internal": self.prefix, "other": self.prefix + ".other",
                       "create": "routed", "partitions": 2, "replication": 1},
            "bridge": {"webhooks": [WEBHOOK], "spool": {"directory": "spool"}, "console": {"key": {"env": "CONSOLE_KEY"}}},
            "slack": {"group": f"{self.prefix}-slack", "start": "earliest",
                      "retry": {"first": "100ms", "max": "1h", "for": "2h", "in_lane": "150ms"},
                      "routes": [self.route("apps", "app.created", "T000/B000/XXX"),
                                 self.route("refused", "app.deleted", "refused"),
                                 self.route("waits", "space.created", "busy")]},
            "mail": {"group": f"{self.prefix}-mail", "start": "earliest", "from": "a@example.com",
                     "smtp": {"url": "smtp://127.0.0.1:1", "tls": "none"}, "recipient_domains": ["example.com"],
                     "routes": [{"name": "welcome", "events": ["user.created"], "to": ".resource.email", "subject": "Hello",
                                 "text": r"\(.user.name)"}]},
        }, env={"CONSOLE_KEY": KEY, **{name.upper(): self.slack.hook(hook) for name, hook in (
            ("apps", "T000/B000/XXX"), ("refused", "refused"), ("waits", "busy"))}})
        self.bridge = self.ferry.start("bridge")
        self.worker = self.ferry.start("slack")
        self.url = f"http://{self.bridge.admin}/console/"
        self.browser = Browser()
        self.sent = []

    def route(self, name, event_name, _hook):
        return {"name": name, "events": [event_name], "webhook": {"env": name.upper()}, "pace": "1000/1s", "text": r"\(.data.id)"}

    def send(self, kind, count=1, **data):
        for _ in range(count):
            one = event(f"com.qlik.{kind}", data={"id": str(uuid.uuid4()), **data}, tenantid=str(uuid.uuid4()))
            assert self.bridge.post(one).status == 204
            self.sent.append(one)
        return self.sent[-1]

    def seed(self, name, count):
        """Events of the last minutes, more and fewer of them."""
        producer = Producer({**self.kafka.client(), "log_level": 0})
        now = time.time()
        for n in range(count):
            at = now - 600 * (n / count + 0.05 * math.sin(n / 4)) - 40
            one = event(data={"id": str(uuid.uuid4()), "name": "Sales"}, tenantid=str(uuid.uuid4()),
                        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at - 2)))
            key, value, headers = records.as_published(one)
            producer.produce(self.topic(name), value, key, headers=list(headers.items()), timestamp=int(at * 1000))
        assert producer.flush(30) == 0

    def topic(self, name):
        return f"{self.prefix}.{name}"

    def bury(self, **headers):
        """A dead letter as hostile as they come; its name."""
        value = {"name": HOSTILE, "email": ADDRESS, "slack_token": "short", "note": TOKEN, "count": 12345678901234567891}
        origin = records.ends(self.kafka, [self.topic("slack.dlq")])
        records.produce(self.kafka, self.topic("slack.dlq"), json.dumps(value).encode(), ADDRESS, {
            "ce_id": "1", "ferry-event": f"app.{HOSTILE}", "authorization": f"Bearer {TOKEN}",
            "ferry-error": "http-refused", "ferry-reason": f"refused for {ADDRESS}: {HOSTILE}", "ferry-attempts": "3",
            "ferry-origin": f"{self.topic('app.created')}/0/{len(origin)}", "ferry-route": "apps",
            "ferry-failed-at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **headers})

    def open(self, **options):
        """The console, logged in, after the first look."""
        page = self.browser.page(**options)
        page.goto(self.url)
        page.fill("#key", KEY)
        page.click("button[type=submit]")
        page.wait_for_selector("body[data-shown]:not([data-shown=''])", timeout=LIMIT_MS)
        return page

    def stop(self):
        self.browser.stop()
        try:
            self.ferry.stop()
        finally:
            self.ferry.kill()
            self.slack.stop()


@pytest.fixture(scope="module")
def whole_stage(kafka, tmp_path_factory):
    stage = Stage(kafka, tmp_path_factory.mktemp("console"))
    try:
        stage.send("app.created", 12, name="Sales")
        stage.seed("app.created", 100)
        stage.send("app.deleted", 2)
        stage.send("space.created", 3)
        stage.send("user.created", 4, email=ADDRESS)
        yield stage
    finally:
        stage.stop()


@pytest.fixture
def stage(whole_stage):
    yield whole_stage
    whole_stage.browser.forget()


def rows(page, panel):
    """The rows of a panel's first table as lists of texts, those that are opened left out."""
    return page.eval_on_selector_all(
        f"#{panel}-table tbody tr", "all => all.filter(r => r.cells.length > 1).map(r => [...r.cells].map(c => c.textContent))")


def wait_for_row(page, panel, *words, **cells):
    """The row of a panel that has all these words, and these texts in cells (c1="3"), when it is there."""
    def fits(row):
        return all(w in " ".join(row) for w in words) and all(row[int(name[1:])] == value for name, value in cells.items())

    def look():
        page.wait_for_timeout(200)  # lets the page go on
        return next((row for row in rows(page, panel) if fits(row)), None)
    try:
        return until(look, 60, f"a row {words} {cells} in {panel}")
    except Timeout as late:
        raise AssertionError(f"{late}: {rows(page, panel)}") from late


def ask(stage, path="", method="GET", body=None, **headers):
    return http.send(method, stage.url + path, body, {name.replace("_", "-"): value for name, value in headers.items()})


def log_in(stage, key=KEY, **headers):
    form = urllib.parse.urlencode({"key": key}).encode()
    return ask(stage, "login", "POST", form, Content_Type="application/x-www-form-urlencoded", **headers)


def cookie_of(answer):
    return answer.headers["Set-Cookie"].split(";")[0]


# ------------------------------------------------------------------------------------------------ who comes in

def test_without_a_key_there_is_a_form_and_nothing_else(stage):
    page = ask(stage)
    assert page.status == 200 and b'name="key"' in page.body and b"console.js" not in page.body
    for path in ("state.json", "letters/slack/0/0"):
        assert ask(stage, path).status == 401 and ask(stage, path, Cookie="ferry_console=" + "A" * 43).status == 401
    assert ask(stage, "nothing").status == 404 and ask(stage, method="POST").status == 405
    for header, value in (("Content-Security-Policy", "default-src 'none'"), ("Cache-Control", "no-store"),
                          ("X-Frame-Options", "DENY"), ("Referrer-Policy", "no-referrer"), ("X-Content-Type-Options", "nosniff")):
        assert value in page.headers[header]


def test_the_key_opens_it_and_logging_out_closes_it(stage):
    assert log_in(stage, "not-the-key-at-all").status == 401
    answer = log_in(stage)
    assert answer.status == 303 and answer.headers["Location"] == "./"
    assert {"HttpOnly", "SameSite=Strict", "Path=/console"} <= {p.strip() for p in answer.headers["Set-Cookie"].split(";")}
    cookie = cookie_of(answer)
    assert ask(stage, "state.json", Cookie=f"other=1; {cookie}").status == 200
    assert ask(stage, "logout", "POST", b"", Cookie=cookie, Sec_Fetch_Site="cross-site").status == 403
    assert ask(stage, "logout", "POST", b"", Cookie=cookie).status == 303
    assert ask(stage, "state.json", Cookie=cookie).status == 401
    assert KEY not in stage.ferry.texts() and cookie.split("=")[1] not in stage.ferry.texts()
    assert stage.bridge.metric("ferry_console_logins_total", outcome="accepted") >= 1


def test_guessing_is_slowed_down_and_those_inside_stay(stage):
    inside = cookie_of(log_in(stage))
    statuses = [log_in(stage, f"guess-{n}-of-many-guesses").status for n in range(5)]
    assert statuses[:3] == [401] * 3 and 429 in statuses
    held = log_in(stage)
    assert held.status in (303, 429) and ask(stage, "state.json", Cookie=inside).status == 200
    until(lambda: log_in(stage).status == 303, 30, "the right key is taken again")


def test_it_is_off_unless_configured(kafka, settings, make):
    ferry = make(settings, {"bridge": {"webhooks": [WEBHOOK]}})
    bridge = ferry.start("bridge")
    assert bridge.health("/console/") == 404 and bridge.health("/console/login") == 404 and bridge.health("/healthz") == 200


# ------------------------------------------------------------------------------------------------ what it shows

def test_each_panel_shows_what_is_there(stage):
    page = stage.open()
    created = wait_for_row(page, "flow", "app.created", c2="112")
    assert re.search(r"\d m?s", created[4]), "the delay from the event's time"
    assert wait_for_row(page, "recent", stage.sent[-1]["id"])
    assert wait_for_row(page, "workers", "slack", "Stable", c1=f"{stage.prefix}-slack", c3="1")
    assert wait_for_row(page, "workers", "mail", "never started", c4="4")
    assert wait_for_row(page, "behind", "mail", stage.topic("user.created"))
    assert "ago" in wait_for_row(page, "routes", "slack/apps", "ago")[2]
    assert "none seen" in wait_for_row(page, "routes", "mail/welcome")[2]
    assert "503" in " ".join(wait_for_row(page, "retries", c0="slack/waits", c1="3"))
    assert wait_for_row(page, "letters", "refused", "app.deleted", "status 400")
    assert wait_for_row(page, "topics", c0=stage.topic("app.created"), c3="112")
    assert wait_for_row(page, "config", "warning", "lookup")
    assert "Nothing waits for Kafka" in page.text_content("#spool")
    assert page.text_content("#tiles").startswith("Kafkaup") and page.said == []
    picture(page, "console")
    for name, panel, options in (("console-dark", "workers", {"dark": True}), ("console-phone", "letters", {"phone": True})):
        page = stage.open(**options)
        wait_for_row(page, "letters", "app.deleted")
        page.evaluate(f"document.querySelector('#{panel}').scrollIntoView({{behavior: 'instant'}})")
        picture(page, name)


def test_it_is_live(stage):
    page = stage.open()
    before = int(wait_for_row(page, "flow", "app.created")[2])
    sent = stage.send("app.created", 3)
    assert wait_for_row(page, "recent", sent["id"]) and wait_for_row(page, "flow", "app.created", c2=str(before + 3))
    page.click("#pause")
    assert page.get_attribute("#pause", "aria-pressed") == "true"


def test_a_dead_letter_is_read_and_the_line_that_redrives_it_works(stage):
    page = stage.open()
    row = wait_for_row(page, "letters", "refused", "app.deleted")
    page.get_by_role("button", name=row[0], exact=True).click()
    line = page.text_content(".detail .redrive code")
    assert line == f"ferry dlq redrive {row[0]}"
    assert "ferry-route: refused" in page.text_content(".detail")
    done = stage.ferry.run(*line.split()[:1], *line.split()[1:], "-c", stage.ferry.path, "--yes")
    assert done.returncode == 0, done.stderr
    until(lambda: (page.wait_for_timeout(200), row[0] not in [r[0] for r in rows(page, "letters")])[1], 60, "it left the list")
    assert wait_for_row(page, "letters", "refused", "app.deleted")[0] != row[0], "it failed again: a new letter"


def test_hostile_content_is_inert_and_what_is_secret_is_not_in_the_page(stage):
    stage.bury()
    page = stage.open()
    row = wait_for_row(page, "letters", "refused for", "<script>")
    page.get_by_role("button", name=row[0], exact=True).click()
    page.wait_for_selector(".detail pre")
    page.wait_for_timeout(500)
    assert page.evaluate("window.hacked") is None and page.query_selector("main script, main img") is None
    shown, state = page.content(), ask(stage, "state.json", Cookie=cookie_of(log_in(stage))).body.decode()
    for secret in (ADDRESS, "ada.lovelace", TOKEN, "short", KEY):
        assert secret not in shown and secret not in state, secret
    assert "a***@example.com" in shown and "12345678901234567891" in shown, "masked, and numbers as they came"
    assert "***" in page.text_content(".detail") and page.said == []


def test_a_spool_that_fills_is_shown(tmp_path, settings, prefix, make):
    ferry = make(settings, {"kafka": {"bootstrap.servers": f"127.0.0.1:{free_port()}"}, "bridge": {
        "webhooks": [WEBHOOK], "spool": {"directory": "spool"}, "ack_timeout": "200ms",
        "console": {"key": {"env": "CONSOLE_KEY"}}}}, env={"CONSOLE_KEY": KEY})
    bridge = ferry.start("bridge")
    assert {bridge.post(event()).status for _ in range(3)} == {202}
    url = f"http://{bridge.admin}/console/"
    cookie = cookie_of(http.send("POST", url + "login", f"key={KEY}".encode()))

    def look():
        return http.send("GET", url + "state.json", headers={"Cookie": cookie}).json()
    state = until(lambda: (now := look()).get("spool", {}).get("events") == 3 and now, 30, "the rows are shown")
    assert state["kafka"] is False and "no Kafka broker" in state["problem"] and state["accepts"] is True
    assert [(t["topic"], t["events"]) for t in state["spool"]["topics"]] == [(f"{prefix}.other", 3)]


def test_findings_follow_the_file(stage):
    page = stage.open()
    good = stage.ferry.path.read_text()
    try:
        stage.ferry.path.write_text(good.replace("webhooks:", "webhoks:"))
        assert wait_for_row(page, "config", "mistake", "webhoks", "did you mean webhooks")
        assert "would be refused" in page.text_content("#config-text")
    finally:
        stage.ferry.path.write_text(good)
    until(lambda: (page.wait_for_timeout(200), not [r for r in rows(page, "config") if r[1] == "mistake"])[1], 60, "mended")


# ------------------------------------------------------------------------------------------------ for everybody

def test_by_keyboard_alone(stage):
    page = stage.browser.page()
    page.goto(stage.url)
    assert page.evaluate("document.activeElement.id") == "key"
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-shown]:not([data-shown=''])", timeout=LIMIT_MS)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    row = wait_for_row(page, "letters", "app.deleted")
    opener = page.get_by_role("button", name=row[0], exact=True)
    opener.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".detail pre")
    assert opener.get_attribute("aria-expanded") == "true"
    page.wait_for_timeout(5000)  # two rounds: what has the focus keeps it, what was opened stays open
    assert page.evaluate("document.activeElement.textContent") == row[0] and page.query_selector(".detail pre")


def test_what_a_screen_reader_finds(stage):
    page = stage.open()
    wait_for_row(page, "letters", "app.deleted")
    for role, name in (("banner", None), ("main", None), ("navigation", "Panels"), ("contentinfo", None)):
        assert page.get_by_role(role, **({"name": name} if name else {})).count() == 1, role
    for panel in ("Workers", "Routes", "Retries that wait", "Dead letters", "Spool", "Topics", "Configuration"):
        assert page.get_by_role("region", name=panel, exact=True).count() == 1, panel
    table = page.get_by_role("table", name="Dead letters", exact=True)
    heads = table.get_by_role("columnheader").all_text_contents()
    assert heads == ["Letter", "Failed", "Route", "Error", "Event", "Tries", "Reason"]
    assert page.locator("[aria-live]").count() == 1 and page.locator("h1").count() == 1
    stage.bury()
    until(lambda: (page.wait_for_timeout(200), "more dead letters" in page.text_content("#news"))[1], 60, "it is told")


def contrast(page, selector):
    """Of a text against what is behind it, by WCAG."""
    return page.eval_on_selector(selector, """node => {
        const parse = (c) => c.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        let behind = node;
        while (behind && [0, undefined].includes(parse(getComputedStyle(behind).backgroundColor)[3] ?? 1)) behind = behind.parentElement;
        const two = [light(parse(getComputedStyle(node).color)), light(parse(getComputedStyle(behind).backgroundColor))].sort();
        return (two[1] + 0.05) / (two[0] + 0.05); }""")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_can_be_read_in_the_light_and_in_the_dark(stage, dark):
    page = stage.open(dark=dark)
    wait_for_row(page, "letters", "app.deleted")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", background))) < 80) == dark
    for selector in ("h2", ".hint", "#letters-table td.bad", "#workers-table td.number", "#letters-table th", "#pause"):
        assert contrast(page, selector) >= 4.5, selector


def test_on_a_phone_rows_are_cards_and_nothing_is_cut_off(stage):
    page = stage.open(phone=True)
    row = wait_for_row(page, "letters", "app.deleted")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1"), "nothing to scroll sideways"
    cell = page.locator("#letters-table td").first
    assert cell.evaluate("c => getComputedStyle(c, '::before').content") == '"Letter"'
    assert page.get_by_role("table", name="Dead letters", exact=True).get_by_role("cell").count() > 0, "still a table"
    page.get_by_role("button", name=row[0], exact=True).click()
    page.wait_for_selector(".detail pre")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")


# ------------------------------------------------------------------------------------------------ and nobody else

def test_nothing_is_read_when_nobody_looks(stage):
    """The clients of the console are gone 15 s after the last question."""
    def clients():
        names = []
        for task in pathlib.Path(f"/proc/{stage.bridge.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                names.append((task / "comm").read_text().strip())
        return names.count("rdk:main")
    stage.browser.forget()
    until(lambda: clients() == 1, 90, "the producer alone is left of those who looked before")
    inside = cookie_of(log_in(stage))
    ask(stage, "state.json", Cookie=inside)
    until(lambda: clients() > 1, 30, "the console reads")
    until(lambda: clients() == 1, 90, "it reads no more")


def test_a_reload_changes_the_key_and_ends_what_is_open(kafka, settings, make):
    ferry = make(settings, {"bridge": {"webhooks": [WEBHOOK], "console": {"key": {"file": "key.txt"}}}})
    (ferry.folder / "key.txt").write_text("the-first-key-of-the-console\n")
    bridge = ferry.start("bridge")
    url = f"http://{bridge.admin}/console/"

    def log_in_with(key):
        return http.send("POST", url + "login", urllib.parse.urlencode({"key": key}).encode())
    cookie = cookie_of(log_in_with("the-first-key-of-the-console"))
    assert http.send("GET", url + "state.json", headers={"Cookie": cookie}).status == 200
    (ferry.folder / "key.txt").write_text("the-second-key-of-the-console\n")
    bridge.signal(signal.SIGHUP)
    until(lambda: http.send("GET", url + "state.json", headers={"Cookie": cookie}).status == 401, 20, "reloaded")
    assert log_in_with("the-first-key-of-the-console").status == 401
    assert log_in_with("the-second-key-of-the-console").status == 303
