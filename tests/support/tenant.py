"""A whole Qlik Cloud tenant that stands in for the real one: audits, webhooks and their deliveries, automations, OAuth.

    tenant = Tenant()                                   plain HTTP on loopback
    tenant = Tenant(authority.server_context(certificate), trust=authority.client_context())      HTTPS

    tenant.audit("com.qlik.app.created", age=60)        an audit record of a minute ago
    tenant.audit_of(event)                              the record of an event that a webhook brings as well
    tenant.deliver(event)                               to every webhook that asks for it, signed
    automation = tenant.automation(ID, output="<b>hi</b>", content_type="text/html")

What a test may turn: `skew` (its clock), `rate` (requests and seconds for the whole tier), `token_life`, `api_key`,
`page_max`; `tenant.throttle(5)`, `tenant.next_answers(path, Answer…)`, `tenant.intercept(path, function)`. It keeps a
journal: requests(), wait_for() of every Server.

Where Qlik's documentation is silent it is as unhelpful as it may be: a record that is indexed late stays behind a cursor
that has passed it, both ends of `eventTime` belong to the range, and a blocked tier blocks everything.
"""
import base64
import bisect
import collections
import datetime
import email.utils
import fnmatch
import hashlib
import hmac
import ipaddress
import itertools
import json
import secrets
import threading
import time
import urllib.parse
import uuid

from support import http
from support.http import Answer

JSON = {"Content-Type": "application/json"}
KEPT_DAYS = 90
WEBHOOKS_MAX = 100
LAST = chr(0x10FFFF)  # behind every id
# What can be subscribed; the rest of the catalogue comes through the Audits API only.
EVENT_TYPES = ["com.qlik.app.created", "com.qlik.app.deleted", "com.qlik.app.updated", "com.qlik.v1.app.published",
               "com.qlik.v1.app.reload.finished", "com.qlik.v1.reload.finished", "com.qlik.user.created",
               "com.qlik.user.deleted", "com.qlik.user.updated", "com.qlik.space.created", "com.qlik.space.deleted",
               "com.qlik.v1.automation.run.ended", "com.qlik.scheduling.task.created"]
RUN_ENDS = ("finished", "finished with warnings", "failed", "stopped", "must stop", "exceeded limit")


def instant(text):
    """Seconds since 1970 of an RFC 3339 time."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec="milliseconds")[:23] + "Z"


def error(status, code, title, headers=None):
    return Answer(status, {"errors": [{"code": code, "title": title}], "traceId": uuid.uuid4().hex}, {**JSON, **(headers or {})})


def pack(position):
    """An opaque cursor."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def unpack(cursor):
    return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


class Automation:
    """One automation. `output` is what a run that is not queued answers at once; with `queued` looks it is queued and
    then running for so many looks before it becomes `final`; with `hold` it goes on until release()."""

    def __init__(self, token, output=None, content_type=None, queued=None, final="finished", hold=False, run_mode="triggered",
                 delay=0, failure=None):
        self.token, self.output, self.queued, self.final, self.hold = token, output, queued, final, hold
        self.content_type = content_type or ("text/plain" if isinstance(output, str) else "application/json")
        self.run_mode, self.delay, self.failure = run_mode, delay, failure
        self.runs = {}  # id → looks that are left
        self.calls = []  # the requests that were let in

    def release(self, final="finished"):
        self.hold, self.final = False, final
        for run in self.runs:
            self.runs[run] = 0

    def status(self, run):
        """The status that the next look finds."""
        if self.hold:
            return "running"
        self.runs[run] -= 1
        left = self.runs[run]
        return "running" if left >= 0 else self.final


class Tenant(http.Server):
    def __init__(self, context=None, trust=None, api_key="api-key-of-the-tests", token="execution-token-of-the-tests"):
        super().__init__(context)
        self.trust = trust
        self.api_key, self.basic = api_key, ("user-of-the-tests", "password-of-the-tests")
        self.client_id, self.client_secret = "client-of-the-tests", "client-secret-of-the-tests"
        self.token, self.token_life = token, 21600
        self.id = "tenant-of-the-tests"
        self.skew, self.page_max = 0.0, 100
        self.rate, self._calls, self._blocked_until, self.throttled = (1000, 60.0), collections.deque(), 0.0, 0
        self.tokens = {}  # OAuth token → until when
        self.audits = []  # (eventTime in seconds, when it is indexed, record), in the order of time
        self._keys = []  # (eventTime, id) of the same, for the search; shorter than `audits`: to be made anew
        self.webhooks, self.secrets, self.hidden, self.deliveries = {}, {}, {}, {}  # hidden: the encrypted headers
        self.event_types, self.failures_to_disable, self.strict_urls = list(EVENT_TYPES), 100, True
        self.automations = {}
        self._state = threading.RLock()
        self.on("/oauth/token", self._oauth, "POST")
        for pattern, function, method in (
                ("/api/v1/audits", self._audits, "GET"), ("/api/v1/audits/archive", self._archive, "GET"),
                ("/api/v1/webhooks/[^/]+", self._webhook, None), ("/api/v1/webhooks", self._webhooks, None),
                ("/api/v1/webhooks/event-types", self._event_types, "GET"),
                ("/api/v1/webhooks/[^/]+/deliveries", self._delivery_list, "GET"),
                ("/api/v1/automations/[^/]+/runs/[^/]+", self._run, "GET")):
            self.on(pattern, self._guarded(self._alone(function)), method)
        self.on("/api/v1/webhooks/[^/]+/deliveries/[^/]+/actions/resend", self._guarded(self._resend), "POST")
        self.on("/api/v1/automations/[^/]+/actions/execute", self._execute, "POST")

    # -------------------------------------------------------------------------------------------- for the tests

    def now(self):
        return time.time() + self.skew

    def config(self, kind="api_key"):
        """`auth` for a configuration, with the environment it needs: (auth, env)."""
        return {"api_key": ({"api_key": {"env": "QLIK_API_KEY"}}, {"QLIK_API_KEY": self.api_key}),
                "oauth": ({"oauth": {"client_id": self.client_id, "client_secret": {"env": "QLIK_CLIENT_SECRET"}}},
                          {"QLIK_CLIENT_SECRET": self.client_secret}),
                "basic": ({"basic": {"user": self.basic[0], "password": {"env": "QLIK_PASSWORD"}}},
                          {"QLIK_PASSWORD": self.basic[1]})}[kind]

    def throttle(self, seconds):
        """The whole tier answers 429 for so long."""
        with self._state:
            self._blocked_until = time.monotonic() + seconds

    def next_answers(self, pattern, *answers, method=None):
        """These answers come next, one each; then everything is as before."""
        left = list(answers)
        return self.intercept(pattern, lambda _request, usual: left.pop(0) if left else usual(), method)

    def intercept(self, pattern, function, method=None):
        """function(request, usual) → Answer, where usual() is what would have been answered."""
        with self._lock:
            below = list(self._rules)
        return self.on(pattern, lambda request: function(request, lambda: self._by_rules(below, request)), method)

    def revoke_tokens(self):
        with self._state:
            self.tokens.clear()

    @staticmethod
    def _by_rules(rules, request):
        for pattern, method, function in rules:
            if pattern.fullmatch(request.path) and method in (None, request.method):
                return function(request)
        return Answer(404, "nothing here")

    def _answer(self, request):
        """Not under the lock: a resend calls out, and an interception may take its time."""
        with self._lock:
            self._seen.append(request)
            rules = list(self._rules)
        answer = self._by_rules(rules, request)
        answer.headers = {"Date": email.utils.formatdate(self.now(), usegmt=True), **answer.headers}
        return answer

    # ------------------------------------------------------------------------------------------------- logging in

    def _oauth(self, request):
        text = request.body.decode()
        asked = json.loads(text) if text.startswith("{") else dict(urllib.parse.parse_qsl(text))
        if asked.get("grant_type") != "client_credentials":
            return Answer(400, {"error": "unsupported_grant_type"}, JSON)
        if (asked.get("client_id"), asked.get("client_secret")) != (self.client_id, self.client_secret):
            return Answer(401, {"error": "invalid_client"}, JSON)
        token = "oauth-" + secrets.token_hex(16)
        with self._state:
            self.tokens[token] = time.monotonic() + self.token_life
        return Answer(200, {"access_token": token, "token_type": "bearer", "expires_in": self.token_life}, JSON)

    def _known(self, request):
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            return base64.b64decode(credentials).decode() == ":".join(self.basic)
        return scheme == "Bearer" and (credentials == self.api_key
                                       or self.tokens.get(credentials, 0) > time.monotonic())

    def _guarded(self, function):
        def answer(request):
            with self._state:
                refusal = self._turned_away(request)
            return refusal or function(request)
        return answer

    def _alone(self, function):
        def answer(request):
            with self._state:
                return function(request)
        return answer

    def _turned_away(self, request):
        """401 or 429, or None. The tier is counted before the key: a wrong key is a request as well."""
        now = time.monotonic()
        most, seconds = self.rate
        while self._calls and self._calls[0] <= now - seconds:
            self._calls.popleft()
        if now >= self._blocked_until and len(self._calls) >= most:
            self._blocked_until = self._calls[0] + seconds
        if now < self._blocked_until:
            self.throttled += 1
            wait = max(1, int(self._blocked_until - now + 0.999))
            return error(429, "HTTP-429", "Too many requests", {"retry-after": str(wait)})
        self._calls.append(now)
        return None if self._known(request) else error(401, "HTTP-401", "Unauthorized")

    # ----------------------------------------------------------------------------------------------------- audits

    def audit(self, type="com.qlik.app.created", data=None, at=None, age=0.0, late=0.0, **attributes):
        """An audit record of the time `at` (seconds) or `age` seconds ago, found from `late` seconds from now on."""
        event = {"id": str(uuid.uuid4()), "source": "com.qlik/my-service", "type": type, "tenantid": self.id,
                 "userid": "user-of-the-tests", "data": {"id": str(uuid.uuid4()), "name": "Sales"} if data is None else data,
                 "time": iso(at if at is not None else self.now() - age), **attributes}
        return self.audit_of(event, late)

    def audit_of(self, event, late=0.0):
        """The record of a CloudEvent, as the Audits API tells it: legacy names, `tenantId` and `userId` at top level."""
        names = {"ownerid": "ownerId", "spaceid": "spaceId", "toplevelresourceid": "topLevelResourceId"}
        number = str(uuid.uuid4())
        record = {"id": number, "eventId": event["id"], "eventType": event["type"], "eventTypeVersion": "1.0.0",
                  "eventTime": event["time"], "source": event["source"], "tenantId": event.get("tenantid", self.id),
                  "userId": event.get("userid", ""), "contentType": "application/json",
                  "extensions": {new: event[old] for old, new in names.items() if old in event},
                  "data": event.get("data", {}),
                  "links": {"self": {"href": f"{self.url}/api/v1/audits/{number}"}}}
        with self._state:
            self.audits.append((instant(event["time"]), time.monotonic() + late, record))
            self._keys = []
        return record

    def audit_many(self, count, since, until, type="com.qlik.app.created", size=0):
        """`count` records, evenly spread over [since, until), with `size` bytes of padding in each."""
        step = (until - since) / count
        for number in range(count):
            self.audit(type, {"id": f"app-{number}", "name": f"App {number}", **({"pad": "x" * size} if size else {})},
                       at=since + number * step, id=f"many-{number}")

    def _between(self, first, last):
        """The indices of the records whose (time, id) lies between these, in the order of time."""
        if len(self._keys) != len(self.audits):
            self.audits.sort(key=lambda row: (row[0], row[2]["id"]))
            self._keys = [(row[0], row[2]["id"]) for row in self.audits]
        return range(bisect.bisect_right(self._keys, first), bisect.bisect_left(self._keys, last))

    def _found(self, indices, most, fits=lambda record: True):
        """Those of them that are indexed and fit, `most` at most."""
        now = time.monotonic()
        rows = (self.audits[index] for index in indices)
        return list(itertools.islice((row for row in rows if row[1] <= now and fits(row[2])), most))

    def _audits(self, request):
        asked = {name: values[-1] for name, values in request.query.items()}
        position = None
        try:
            if "next" in asked:
                position = unpack(asked["next"])
                asked = position.pop("asked")
            limit = int(asked.get("limit", 10))
            since, until = asked.get("eventTime", "/").split("/")
            since, until = instant(since) if since else 0.0, instant(until) if until else self.now()
        except (ValueError, TypeError):
            return error(400, "AUDITS-3", "Bad request")
        if not 1 <= limit <= 100 or asked.get("sort", "-eventTime") not in ("eventTime", "+eventTime", "-eventTime", " eventTime"):
            return error(400, "AUDITS-4", "Bad request: limit or sort")
        first, last = (max(since, self.now() - KEPT_DAYS * 86400), ""), (until, LAST)
        down = asked.get("sort", "-eventTime").startswith("-")
        if position and down:
            last = (position["time"], position["id"])
        elif position:
            first = (position["time"], position["id"])
        filters = [name for name in ("eventType", "source", "userId", "id") if name in asked]
        indices = self._between(first, last)
        rows = self._found(reversed(indices) if down else indices, min(limit, self.page_max) + 1,
                           lambda record: all(record[name] == asked[name] for name in filters))
        page = rows[:min(limit, self.page_max)]
        links = {"self": {"href": self.url + request.target}}
        if len(page) < len(rows):
            last = page[-1]
            cursor = pack({"time": last[0], "id": last[2]["id"], "asked": asked})
            links["next"] = {"href": f"{self.url}/api/v1/audits?next={cursor}"}
        return Answer(200, {"data": [row[2] for row in page], "links": links}, JSON)

    def _archive(self, request):
        """One day as a whole, without paging, once it has begun to leave the live log."""
        try:
            day = datetime.datetime.strptime(request.query["date"][-1], "%Y-%m-%d").replace(tzinfo=datetime.timezone.utc)
        except (KeyError, ValueError):
            return error(400, "AUDITS-5", "Bad request: date")
        if day.timestamp() > self.now() - KEPT_DAYS * 86400:
            return error(404, "AUDITS-6", "Not archived yet")
        rows = self._found(self._between((day.timestamp(), ""), (day.timestamp() + 86400, "")), None)
        return Answer(200, {"data": [row[2] for row in rows]}, JSON)

    # --------------------------------------------------------------------------------------------------- webhooks

    def webhook(self, url, **members):
        """A webhook that is there already."""
        return self._keep_webhook({"url": url, "name": "made by hand", **members})

    def _keep_webhook(self, body):
        now = iso(self.now())
        number = uuid.uuid4().hex[:24]
        self.secrets[number], self.hidden[number] = body.get("secret"), body.get("encryptedHeaders") or {}
        kept = {"level": "tenant", "enabled": True, "eventTypes": [], "headers": {}, "origin": "api", "description": "",
                "enableCloudEventDelivery": False, "checkCertificateRevocation": False, **body, "id": number, "createdAt": now,
                "updatedAt": now, "createdByUserId": "user-of-the-tests", "secretKeyAdded": bool(body.get("secret"))}
        kept.pop("secret", None)
        kept["encryptedHeaders"] = list(self.hidden[number])
        self.webhooks[number], self.deliveries[number] = kept, []
        return kept

    def _wrong(self, body):
        """What is wrong with a webhook, as an answer."""
        parts = urllib.parse.urlsplit(body.get("url") or "")
        if self.strict_urls:
            if parts.scheme != "https" or not parts.hostname:
                return error(400, "WEBHOOK-3", "url must be https")
            try:
                ipaddress.ip_address(parts.hostname)
                return error(400, "WEBHOOK-4", "url must be a host name")
            except ValueError:
                pass
        unknown = [name for name in body.get("eventTypes") or [] if name not in self.event_types]
        if unknown:
            return error(400, "WEBHOOK-5", f"unknown event types: {', '.join(unknown)}")
        if not body.get("name"):
            return error(400, "WEBHOOK-6", "name is required")
        if body.get("secret") and not 32 <= len(body["secret"]) <= 64:
            return error(400, "WEBHOOK-7", "secret must have 32 to 64 characters")
        return None

    def _webhooks(self, request):
        if request.method == "GET":
            return self._page(request, [w for w in self.webhooks.values() if self._matches(w, request.query)], "/api/v1/webhooks")
        if request.method != "POST":
            return error(405, "HTTP-405", "Method not allowed")
        if len(self.webhooks) >= WEBHOOKS_MAX:
            return error(403, "WEBHOOK-9", "the maximum number of webhooks is reached")
        body = request.json()
        return self._wrong(body) or Answer(201, self._keep_webhook(body), JSON)

    @staticmethod
    def _matches(webhook, query):
        return all(fnmatch.fnmatch(webhook[name].lower(), query[name][-1].lower()) for name in ("url", "name") if name in query)

    def _page(self, request, rows, path):
        asked = {name: values[-1] for name, values in request.query.items()}
        start, limit = int(asked.pop("next", 0)), min(int(asked.get("limit", 20)), self.page_max)
        links = {"self": {"href": self.url + request.target}}
        if start + limit < len(rows):
            query = urllib.parse.urlencode({**asked, "next": start + limit})
            links["next"] = {"href": f"{self.url}{path}?{query}"}
        return Answer(200, {"data": rows[start:start + limit], "links": links}, JSON)

    def _webhook(self, request):
        number = request.path.rpartition("/")[2]
        kept = self.webhooks.get(number)
        if kept is None:
            return error(404, "HTTP-404", "Not found")
        if request.method == "GET":
            return Answer(200, kept, JSON)
        if request.method == "DELETE":
            del self.webhooks[number]
            return Answer(204)
        return self._change(kept, request) or (Answer(204) if request.method == "PATCH" else Answer(200, kept, JSON))

    def _change(self, kept, request):
        changes = request.json()
        if request.method == "PATCH":
            allowed = {"name", "description", "url", "eventTypes", "headers", "enabled", "secret", "encryptedHeaders",
                       "enableCloudEventDelivery"}
            if not all(c["op"] in ("add", "remove", "replace") and c["path"][1:] in allowed for c in changes):
                return error(400, "WEBHOOK-8", "op or path")
            changes = {c["path"][1:]: c.get("value") for c in changes}
        wrong = self._wrong({**kept, **changes})
        if wrong:
            return wrong
        if "secret" in changes:
            self.secrets[kept["id"]] = changes.pop("secret")
            kept["secretKeyAdded"] = True
        if "encryptedHeaders" in changes or changes.get("url", kept["url"]) != kept["url"]:
            self.hidden[kept["id"]] = changes.get("encryptedHeaders") or {}  # a URL that changes loses them
            changes["encryptedHeaders"] = list(self.hidden[kept["id"]])
        kept.update(changes, updatedAt=iso(self.now()))
        if kept["enabled"]:
            kept.pop("disabledReason", None)
            kept.pop("disabledReasonCode", None)
        return None

    def _event_types(self, _request):
        rows = [{"name": name, "title": name, "description": name, "levels": ["tenant"]} for name in self.event_types]
        return Answer(200, {"data": rows}, JSON)

    def disable(self, webhook, reason="Too many failed deliveries"):
        webhook.update(enabled=False, disabledReason=reason, disabledReasonCode="WEBHOOK-DISABLED")

    # ------------------------------------------------------------------------------------------------- deliveries

    def deliver(self, event):
        """Send a CloudEvent to every enabled webhook that asks for its type; the deliveries made."""
        hooks = [w for w in self.webhooks.values() if w["enabled"] and event["type"] in w["eventTypes"]]
        return [self._send(hook, event["type"], event) for hook in hooks]

    def failed_delivery(self, webhook, event, age=60.0, status=503):
        """A delivery that failed a while ago."""
        return self._note(webhook, event["type"], event, status, self.now() - age)

    def _send(self, webhook, kind, event):
        body = json.dumps(event).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "Qlik Webhook", **(webhook["headers"] or {}),
                   **self.hidden[webhook["id"]]}
        if self.secrets.get(webhook["id"]):
            headers["Qlik-Signature"] = hmac.new(self.secrets[webhook["id"]].encode(), body, hashlib.sha256).hexdigest()
        try:
            status = http.send("POST", webhook["url"], body, headers, self.trust, 15).status
        except OSError:
            status = None
        return self._note(webhook, kind, event, status, self.now())

    def _note(self, webhook, kind, event, status, at):
        good = status is not None and status // 100 == 2
        made = {"id": uuid.uuid4().hex[:24], "webhookId": webhook["id"], "eventType": kind, "triggeredAt": iso(at),
                "status": "success" if good else "fail", "statusMessage": str(status or "no answer"),
                "request": {"url": webhook["url"], "body": event, "headers": {}},
                "response": {"statusCode": status, "headers": {}, "body": ""} if status else {}}
        done = self.deliveries[webhook["id"]]
        done.append(made)
        if len(done) >= self.failures_to_disable and all(d["status"] == "fail" for d in done[-self.failures_to_disable:]):
            self.disable(webhook)
        return made

    def _delivery_list(self, request):
        number = request.path.split("/")[4]
        if number not in self.webhooks:
            return error(404, "HTTP-404", "Not found")
        since = self.now() - 7 * 86400
        rows = [d for d in self.deliveries[number] if instant(d["triggeredAt"]) >= since]
        for name in ("status", "eventType"):
            if name in request.query:
                rows = [d for d in rows if d[name] == request.query[name][-1]]
        sort = request.query.get("sort", ["-triggeredAt"])[-1]
        rows.sort(key=lambda d: d[sort.lstrip("+- ")], reverse=sort.startswith("-"))
        return self._page(request, rows, request.path)

    def _resend(self, request):
        """The original payload, signed with the present secret; a new delivery, which may fail as well."""
        _, _, _, _, number, _, delivery, _, _ = request.path.split("/")
        found = [d for d in self.deliveries.get(number, []) if d["id"] == delivery]
        if not found:
            return error(404, "HTTP-404", "Not found")
        return Answer(201, self._send(self.webhooks[number], found[0]["eventType"], found[0]["request"]["body"]), JSON)

    # ------------------------------------------------------------------------------------------------ automations

    def automation(self, number, **settings):
        """An automation of this tenant; one that was not made runs with the tenant's token and answers {"status": "done"}."""
        settings.setdefault("token", self.token)
        self.automations[number] = Automation(**settings)
        return self.automations[number]

    def _automation_of(self, request):
        number = request.path.split("/")[4]
        return self.automations.get(number) or self.automation(number, output={"status": "done"})

    def executions(self):
        return self.requests("/api/v1/automations/[^/]+/actions/execute")

    def _execute(self, request):
        automation = self._automation_of(request)
        if "executionToken" in request.query or request.headers.get("X-Execution-Token") != automation.token:
            return error(401, "AUTH-1", "Unauthorized")
        if automation.run_mode != "triggered":
            return error(403, "AUTOMATIONS-1", "the run mode is not triggered")
        with self._state:
            automation.calls.append(request)
            run = str(uuid.uuid4())
            automation.runs[run] = automation.queued or 0
        if automation.queued is not None or automation.hold:
            return Answer(200, {"id": run, "status": "queued"}, JSON, delay=automation.delay)
        if automation.failure:
            return error(500, "AUTOMATIONS-2", automation.failure)
        output = automation.output
        if not isinstance(output, (bytes, str)):
            output = json.dumps(output)
        return Answer(200, output, {"Content-Type": automation.content_type}, delay=automation.delay)

    def _run(self, request):
        automation, run = self._automation_of(request), request.path.rpartition("/")[2]
        if run not in automation.runs:
            return error(404, "HTTP-404", "Not found")
        status = automation.status(run)
        answer = {"id": run, "status": status, "startTime": iso(self.now()), "context": "api_async"}
        if status in RUN_ENDS:
            answer["stopTime"] = iso(self.now())
            if status not in ("finished", "finished with warnings") and automation.failure:
                answer["error"] = [{"message": automation.failure}]
        return Answer(200, answer, JSON)
