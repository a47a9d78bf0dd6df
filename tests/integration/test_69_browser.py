"""Triggers as people meet them: pages, the kit and what it makes, in a real browser.

Ferry is on 127.0.0.1; the other site is on localhost, which a browser takes for somebody else's.
"""
import html.parser
import json
import re
import subprocess
import urllib.parse
import uuid

import pytest

from support import http, records
from support.browser import Browser, picture
from support.ferry import Ferry
from support.http import Answer
from support.process import free_port, until
from support.tenant import Tenant

OFFICE, OTHER = "office-key-of-the-tests-0123456789", "another-key-of-the-tests-0123456789"
SECRETS = (OFFICE, OTHER)
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
# Trigger → what its automation does.
AUTOMATIONS = {
    "refresh": {"output": {"app": "Sales", "rows": 1234567, "tables": [{"name": "Orders", "rows": 1234000},
                                                                      {"name": "Customers", "rows": 567}], "warnings": None}},
    "text": {"output": "line one\n" + HOSTILE, "content_type": "text/plain"},
    "html": {"output": HOSTILE, "content_type": "text/html"},
    "json": {"output": {HOSTILE: [HOSTILE, {"deep": HOSTILE}]}},
    "broken": {"queued": 1, "final": "failed", "failure": "the source is locked"},
    "slow": {"hold": True},
    "linked": {"output": {"ok": True}},
}


class Stage:
    """A bridge and an automation worker, a tenant, another site, and a browser."""

    def __init__(self, kafka, folder):
        self.prefix = "t" + uuid.uuid4().hex[:8]
        self.tenant, self.site = Tenant(), http.Server()
        self.site.url = f"http://localhost:{self.site.port}"
        self.numbers = {name: str(uuid.uuid4()) for name in AUTOMATIONS}
        self.automations = {name: self.tenant.automation(self.numbers[name], **settings)
                            for name, settings in AUTOMATIONS.items()}
        listen = f"127.0.0.1:{free_port()}"
        self.url = f"http://{listen}"
        self.ferry = Ferry(folder, {
            "kafka": kafka.client(),
            "topics": {"name": self.prefix + ".{event}", "internal": self.prefix, "create": "routed", "partitions": 1,
                       "replication": 1},
            "bridge": {"listen": listen, "public_url": self.url, "triggers": [self.trigger(name) for name in AUTOMATIONS]},
            "automation": {"group": f"{self.prefix}-automation", "start": "earliest",
                           "retry": {"first": "200ms", "max": "1s", "for": "1m"},
                           "routes": [self.route(name) for name in AUTOMATIONS]},
        }, env={"OFFICE": OFFICE, "OTHER": OTHER, "TOKEN": self.tenant.token, "API_KEY": self.tenant.api_key})
        self.bridge = self.ferry.start("bridge")
        self.worker = self.ferry.start("automation")
        self.browser = Browser()

    def trigger(self, name):
        trigger = {"name": name, "inputs": ["page", "note"], "revoked": ["gone"],
                   "keys": [{"name": "office", "secret": {"env": "OFFICE"}}]}
        if name == "json":
            trigger.update(cors=[self.site.url])
        if name == "linked":
            trigger.update(inputs=["page"], cross_site=True, keys=[{"name": "other", "secret": {"env": "OTHER"}}])
        return trigger

    def route(self, name):
        return {"name": name, "events": [f"trigger.{name}"],
                "qlik": {"tenant": self.tenant.url, "automation": self.numbers[name], "token": {"env": "TOKEN"},
                         "wait": "finished", "auth": {"api_key": {"env": "API_KEY"}}}}

    def address(self, name, *rest):
        return "/".join([self.url, "triggers", name, *rest])

    def calls(self, name):
        return self.automations[name].calls

    def wait_for_calls(self, name, count):
        until(lambda: len(self.calls(name)) >= count, 60, f"{count} calls of {name}")
        return self.calls(name)

    def kit(self, name="refresh", login=("anybody", OFFICE), **options):
        page = self.browser.page(login=login, **options)
        assert page.goto(self.address(name, "kit")).status == 200
        return page

    def make(self, label, name="refresh", login=("anybody", OFFICE), **choices):
        """The kit's page with everything made."""
        page = self.kit(name, login)
        page.fill("#label", label)
        for field, value in choices.items():
            page.select_option(f"#{field}", value)
        page.click("#make")
        page.wait_for_selector("#curl")
        return page

    def stop(self):
        self.browser.stop()
        try:
            self.ferry.stop()
        finally:
            self.ferry.kill()
            self.site.stop()
            self.tenant.stop()


@pytest.fixture(scope="module")
def whole_stage(kafka, tmp_path_factory):
    stage = Stage(kafka, tmp_path_factory.mktemp("browser"))
    yield stage
    stage.stop()


@pytest.fixture
def stage(whole_stage):
    yield whole_stage
    whole_stage.browser.forget()


def text_of(page, snippet):
    return page.text_content(f"#{snippet}-text")


def key_in(text):
    key, = set(re.findall(r"[\w.-]+\.[\w-]{43}", urllib.parse.unquote(text)))
    return key


def state(page, word, limit=60_000):
    page.wait_for_selector(f"#run[data-state={word}]", timeout=limit)


# --------------------------------------------------------------------------------------------------- the kit


def test_the_kit_asks_for_a_key_and_takes_it_as_the_password_of_a_favourite(stage):
    refused = http.send("GET", stage.address("refresh", "kit"))
    assert refused.status == 401 and "Basic" in refused.headers["WWW-Authenticate"]
    assert stage.browser.page(login=("anybody", OTHER)).goto(stage.address("refresh", "kit")).status == 401
    page = stage.kit()
    assert page.title() == "Kit of refresh"
    assert OFFICE not in page.content()
    assert not page.said


def test_the_kit_makes_a_key_for_each_thing_and_starts_nothing(stage):
    before = len(stage.tenant.executions())
    page = stage.make("ann", page="page", text="note")
    snippets = ["bookmarklet", "favourite", "button", "fetch", "curl", "script", "ifttt"]
    keys = [key_in(text_of(page, snippet)) for snippet in snippets]
    assert [key.rpartition(".")[0] for key in keys] == [f"ann.{snippet}" for snippet in snippets]
    assert all(secret not in page.content() for secret in SECRETS)
    assert not page.said
    assert len(stage.tenant.executions()) == before
    picture(page, "kit")
    page.eval_on_selector("#bookmarklet", "section => section.scrollIntoView()")
    picture(page, "kit-made")


def test_the_kit_works_without_a_script_and_on_a_phone(stage):
    page = stage.kit(javascript=False, phone=True, dark=True)
    page.fill("#label", "ann")
    page.click("#make")
    assert key_in(text_of(page, "curl")).startswith("ann.curl.")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_wrong_label_is_said_on_the_page(stage):
    page = stage.kit(javascript=False)
    page.eval_on_selector("form", "form => form.noValidate = true")
    page.fill("#label", "\"><b>ann")
    page.click("#make")
    assert "label" in page.text_content("[role=alert]")
    assert page.input_value("#label") == "\"><b>ann"
    assert page.query_selector("#curl") is None


class Bookmarks(html.parser.HTMLParser):
    """What a browser imports: folders and links."""

    def __init__(self, text):
        super().__init__()
        self.folders, self.links, self._place, self._address = [], {}, None, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._place = tag
        if tag == "a":
            self._address = dict(attributes)["href"]

    def handle_data(self, data):
        if self._place == "h3":
            self.folders.append(data)
        elif self._place == "a":
            self.links[data] = self._address
        self._place = None


def download(page):
    with page.expect_download() as started:
        page.click("#bookmarks")
    assert started.value.suggested_filename == "bookmarks.html"
    with open(started.value.path(), encoding="utf-8") as file:
        return file.read()


def test_the_file_of_bookmarks_has_the_triggers_that_were_chosen(stage):
    page = stage.kit()
    page.fill("#label", "sales-team")
    page.select_option("#page", "page")
    page.check("input[name=trigger][value=text]")
    page.fill("#keys", f"\n {OTHER}\n")
    text = download(page)
    assert text.startswith("<!DOCTYPE NETSCAPE-Bookmark-file-1>")
    bookmarks = Bookmarks(text)
    assert bookmarks.folders == ["sales-team"]
    assert set(bookmarks.links) == {"refresh", "refresh with this page", "text", "text with this page", "linked",
                                    "linked with this page"}
    assert all(secret not in text for secret in SECRETS)
    assert bookmarks.links["text"].startswith(stage.address("text", "sales-team.bookmarks."))
    # As whoever imported it does: a click on the favourite.
    before = len(stage.calls("text"))
    visitor = stage.browser.page()
    visitor.goto(bookmarks.links["text"])
    state(visitor, "finished")
    assert len(stage.calls("text")) == before + 1


def test_a_key_that_opens_nothing_is_not_hidden_in_the_file(stage):
    page = stage.kit()
    page.fill("#label", "ann")
    page.fill("#keys", "guessed-key-of-the-tests-0123456789")
    page.click("#bookmarks")
    assert "opens no trigger" in page.text_content("[role=alert]")


def test_a_key_of_the_kit_opens_neither_the_kit_nor_another_trigger(stage):
    key = key_in(text_of(stage.make("ann"), "curl"))
    assert http.send("GET", stage.address("refresh", "kit"), headers={"X-Ferry-Key": key}).status == 401
    assert http.send("POST", stage.address("text"), headers={"X-Ferry-Key": key}).status == 401
    assert http.send("HEAD", stage.address("refresh"), headers={"X-Ferry-Key": key}).status == 204
    lost = key_in(text_of(stage.make("gone"), "curl"))
    assert http.send("HEAD", stage.address("refresh"), headers={"X-Ferry-Key": lost}).status == 401


# ------------------------------------------------------------------------------------------------- the pages


def favourite(stage, name, **options):
    """As from the bookmarks bar: nothing but the address, and the password that the browser knows."""
    page = stage.browser.page(login=("anybody", OFFICE), **options)
    page.goto(stage.address(name))
    return page


def test_a_favourite_without_a_key_in_it_starts_a_run_and_shows_its_end(stage):
    before = len(stage.calls("refresh"))
    page = favourite(stage, "refresh")
    state(page, "finished")
    call = stage.calls("refresh")[before]
    assert call.headers["X-Execution-Token"] == stage.tenant.token
    assert "Orders" in page.inner_text("#run-output") and "1234567" in page.inner_text("#run-output")
    assert not page.said
    picture(page, "run-finished")


def test_a_page_goes_from_running_to_finished_by_itself_and_a_reload_starts_nothing(stage):
    slow = stage.automations["slow"]
    slow.hold, before = True, len(slow.calls)
    page = favourite(stage, "slow")
    state(page, "running")
    assert "/runs/" in page.url and OFFICE not in page.url
    picture(page, "run-running")
    page.evaluate("window.untouched = true")
    slow.release()
    state(page, "finished")
    assert page.evaluate("window.untouched"), "the page came anew"
    page.reload()
    state(page, "finished")
    assert len(slow.calls) == before + 1
    assert not page.said


def test_a_failed_run_says_why(stage):
    page = favourite(stage, "broken")
    state(page, "failed")
    assert "failed" in page.inner_text("#run-error")
    assert page.title() == "broken: Failed"
    picture(page, "run-failed")


def test_without_a_script_the_page_refreshes_itself_and_starts_nothing_again(stage):
    slow = stage.automations["slow"]
    slow.hold, before = True, len(slow.calls)
    page = favourite(stage, "slow", javascript=False)
    page.wait_for_url("**/runs/**")
    state(page, "running")
    slow.release()
    state(page, "finished")
    assert len(slow.calls) == before + 1


def test_on_a_phone_in_the_dark_nothing_sticks_out(stage):
    page = favourite(stage, "refresh", phone=True, dark=True)
    state(page, "finished")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    red, green, blue = map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3])
    assert max(red, green, blue) < 64
    picture(page, "run-phone")


@pytest.mark.parametrize("name, javascript", [("text", True), ("html", True), ("json", True), ("json", False)])
def test_what_an_automation_says_is_shown_and_never_run(stage, name, javascript):
    page = favourite(stage, name, javascript=javascript)
    state(page, "finished")
    assert "<script>document.title=" in page.inner_text("#run")
    assert page.title() == f"{name}: Finished"
    assert page.query_selector("#run img, #run script") is None
    assert not page.said


# --------------------------------------------------------------------------------------- what the kit makes


def visit(stage, content, known=None):
    """A page of the other site, in a browser that knows the password of the trigger `known`: it has looked at the kit,
    which starts nothing."""
    path = f"/{uuid.uuid4().hex}"
    stage.site.script(path, Answer(200, f"<!DOCTYPE html><title>other</title>{content}", {"Content-Type": "text/html; charset=utf-8"}))
    page = stage.browser.page(login=("anybody", OTHER if known == "linked" else OFFICE) if known else None)
    if known:
        assert page.goto(stage.address(known, "kit")).status == 200
    page.goto(stage.site.url + path)
    return page


def inputs_of(call):
    return json.loads(call.body)


def test_a_bookmarklet_brings_the_page_and_the_selection_and_opens_a_window_that_tells_the_end(stage):
    script = text_of(stage.make("ann", page="page", text="note"), "bookmarklet")
    before = len(stage.calls("refresh"))
    link = f'<a id="bookmarklet" href="{script}">x</a>'
    page = visit(stage, f'<p id="words">Ä & "quotes" = 100 %</p>{link}')
    page.evaluate("getSelection().selectAllChildren(document.getElementById('words'))")
    with page.context.expect_page() as opened:
        page.eval_on_selector("#bookmarklet", "link => link.click()")
    window = opened.value
    state(window, "finished")
    assert window.evaluate("opener") is None and window.evaluate("document.referrer") == ""
    assert page.title() == "other"
    call = stage.calls("refresh")[before]
    assert inputs_of(call) == {"page": page.url, "note": 'Ä & "quotes" = 100 %'}
    assert call.headers["X-Execution-Token"] == stage.tenant.token
    assert len(stage.calls("refresh")) == before + 1


def test_a_button_of_the_kit_works_from_another_site(stage):
    button = text_of(stage.make("intranet"), "button")
    before = len(stage.calls("refresh"))
    page = visit(stage, button)
    page.fill("input[name=note]", "from the intranet")
    with page.context.expect_page() as opened:
        page.click("button")
    state(opened.value, "finished")
    assert inputs_of(stage.calls("refresh")[before])["note"] == "from the intranet"


def run_fetch(page, snippet):
    return page.evaluate(f"async () => {{ {snippet}; return output; }}")


def test_an_extension_fetches_the_output_from_an_origin_that_is_named(stage):
    snippet = text_of(stage.make("extension", "json"), "fetch").replace('"note": ""', '"note": "by fetch"')
    before = len(stage.calls("json"))
    page = visit(stage, "")
    assert json.loads(run_fetch(page, snippet)) == AUTOMATIONS["json"]["output"]
    assert inputs_of(stage.calls("json")[before])["note"] == "by fetch"
    # The same page, under a name that is not in `cors`.
    page.goto(page.url.replace("localhost", "127.0.0.1"))
    with pytest.raises(Exception, match="Failed to fetch"):
        run_fetch(page, snippet)
    assert len(stage.calls("json")) == before + 1


def test_a_curl_line_prints_the_output(stage):
    line = text_of(stage.make("cron"), "curl").replace("'note='", "'note=by curl & more'").replace("--data-urlencode 'page='", "")
    before = len(stage.calls("refresh"))
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=90)
    assert json.loads(done.stdout) == AUTOMATIONS["refresh"]["output"]
    assert inputs_of(stage.calls("refresh")[before]) == {"note": "by curl & more"}


def test_a_load_script_calls_with_a_header(stage):
    script = text_of(stage.make("app"), "script")
    address, = re.findall(r'URL "([^"]+)"', script)
    headers = re.findall(r'HTTPHEADER "([^"]+)" "([^"]+)"', script)
    assert dict(headers)["X-Ferry-Key"] == key_in(script) and "app.script." not in address
    before = len(stage.calls("refresh"))
    answer = http.send("GET", address + "?note=by+script", headers=headers)
    assert answer.status == 202
    for member in re.findall(r'SELECT (.*)', script)[0].replace('"', "").split(", "):
        assert member in json.loads(answer.body)
    stage.wait_for_calls("refresh", before + 1)
    assert inputs_of(stage.calls("refresh")[before]) == {"note": "by script"}


def test_ifttt_posts_with_nothing_but_what_its_fields_take(stage):
    fields = dict(re.findall(r"^(\w[\w ]*): +(.*)$", text_of(stage.make("lights"), "ifttt"), re.MULTILINE))
    assert set(fields) == {"URL", "Method", "Content Type", "Body"}
    body = fields["Body"].replace("<<<{{Ingredient}}>>>", "by IFTTT").encode()
    before = len(stage.calls("refresh"))
    answer = http.send(fields["Method"], fields["URL"], body, {"Content-Type": fields["Content Type"]})
    assert answer.status == 202
    stage.wait_for_calls("refresh", before + 1)
    assert inputs_of(stage.calls("refresh")[before]) == {"page": "by IFTTT", "note": "by IFTTT"}


# ------------------------------------------------------------------------------------------- other people's pages


def nothing_starts(stage, name, before):
    """Whatever is on its way has come when a later call has."""
    later = len(stage.calls("text"))
    assert http.send("POST", stage.address("text"), headers={"X-Ferry-Key": OFFICE}).status == 202
    stage.wait_for_calls("text", later + 1)
    assert len(stage.calls(name)) == before


def test_a_link_on_another_site_asks_first(stage):
    before = len(stage.calls("refresh"))
    page = visit(stage, f'<a href="{stage.address("refresh")}?note=from+a+link">look</a>', known="refresh")
    page.click("a")
    page.wait_for_selector("#start")
    assert "from a link" in page.inner_text("main")
    nothing_starts(stage, "refresh", before)
    picture(page, "confirm")
    page.click("#start")
    state(page, "finished")
    assert inputs_of(stage.calls("refresh")[before]) == {"note": "from a link"}
    assert len(stage.calls("refresh")) == before + 1


def test_a_trigger_may_be_linked_to_where_it_says_so(stage):
    before = len(stage.calls("linked"))
    page = visit(stage, f'<a href="{stage.address("linked")}">look</a>', known="linked")
    page.click("a")
    state(page, "finished")
    assert len(stage.calls("linked")) == before + 1


def test_what_another_site_sends_with_the_password_of_its_visitor_starts_nothing(stage):
    before = len(stage.calls("refresh"))
    address = stage.address("refresh")
    quiet = visit(stage, f"""<img src="{address}?note=1"><iframe src="{address}?note=2"></iframe>
        <link rel="prefetch" href="{address}?note=3"><iframe name="inside"></iframe>
        <form id="inner" method="post" target="inside" action="{address}?note=4"></form>
        <form id="outer" method="post" action="{address}?note=5"></form>
        <script>fetch("{address}?note=6", {{mode: "no-cors", credentials: "include"}});
        document.forms.inner.submit()</script>""", known="refresh")
    quiet.wait_for_load_state("networkidle")
    quiet.evaluate("document.forms.outer.submit()")
    quiet.wait_for_url(f"{stage.url}/**")
    assert '"status":403' in quiet.content()
    nothing_starts(stage, "refresh", before)


def test_no_page_stands_in_another_sites_frame(stage):
    page = favourite(stage, "refresh")
    state(page, "finished")
    frames = "".join(f'<iframe src="{address}"></iframe>' for address in (page.url, stage.address("refresh", "kit")))
    outer = visit(stage, frames, known="refresh")
    outer.wait_for_load_state("networkidle")
    assert len(outer.frames) == 3
    for inside in outer.frames[1:]:
        assert inside.query_selector("#run, form") is None
    assert any("frame-ancestors" in said or "X-Frame-Options" in said for said in outer.said), outer.said
    # The password is not sent into a foreign frame: there the kit is refused before its policy could matter.
    kit = http.send("GET", stage.address("refresh", "kit"), headers={"X-Ferry-Key": OFFICE})
    assert "frame-ancestors 'none'" in kit.headers["Content-Security-Policy"]


# ------------------------------------------------------------------------------------------------------ at the end


def test_keys_and_the_token_are_where_they_belong_and_nowhere_else(stage, kafka):
    """After all of the above: what was logged, published, shown to the tenant and to the other site, counted."""
    derived = [key_in(text_of(stage.make("ann"), snippet)) for snippet in ("bookmarklet", "curl", "ifttt")]
    page = stage.browser.page()
    page.goto(stage.address("refresh", derived[0]))
    state(page, "finished")
    for query in (f"?{OFFICE}", f"?{OFFICE}=1", f"?page={OFFICE}&page={OFFICE}"):  # keys in the wrong place
        assert http.send("GET", stage.address("text") + query, headers={"X-Ferry-Key": OFFICE}).status == 400
    keys = [*SECRETS, *derived, *(key.rpartition(".")[2] for key in derived)]
    logs = stage.ferry.texts() + stage.bridge.metrics_text() + stage.worker.metrics_text()
    assert "ann.bookmarklet" in logs  # the label is no secret: it tells who called
    topics = [f"{stage.prefix}.{name}" for name in ("trigger.refresh", "results", "automation.effects", "automation.dlq")]
    kept = "".join(str((r.key, r.value, r.pairs)) for topic in topics for r in records.read(kafka, topic))
    for key in (*keys, stage.tenant.token):
        assert key not in logs and key not in kept
    for request in stage.tenant.requests():
        shown = f"{request.target} {request.headers} {request.body}"
        assert not any(key in shown for key in keys)
        assert stage.tenant.token not in request.target and stage.tenant.token.encode() not in request.body
    for request in stage.site.requests():
        assert not any(key in f"{request.target} {request.headers}" for key in keys)
    assert "Referer" not in [name for request in stage.site.requests() for name in request.headers
                             if stage.url in (request.headers[name] or "")]
    assert stage.tenant.token not in page.content() and derived[0] not in page.content()
