"""The cells of the ingress benchmark, and the signed requests that wrk sends in them."""
import collections
import hashlib
import hmac
import json
import pathlib
import time
import uuid

from support.ferry import SECRET

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIX_TYPES = [f"com.qlik.v1.{name}" for name in (
    "app.opened", "app.reload.finished", "api-key.validation.failed", "app-usage.quota.consumed",
    "alerting-task.created", "alerting-task.deleted")]

Cell = collections.namedtuple("Cell", "format connections types size batch bad tls", defaults=(128, 6, 900, 1, 0.0, False))
CELLS = {
    "legacy": Cell("legacy"), "hybrid": Cell("hybrid"), "cloudevents": Cell("cloudevents"),
    **{f"c{n}": Cell("legacy", connections=n) for n in (1, 32, 127, 129, 256, 1000)},
    "topics1": Cell("legacy", types=1), "topics100": Cell("legacy", types=100),
    "16KB": Cell("legacy", size=16 << 10), "64KB": Cell("legacy", size=64 << 10),
    "batch100": Cell("cloudevents", batch=100),
    "bad5": Cell("legacy", bad=0.05),
    "tls": Cell("legacy", tls=True),
}
# The cells that differ in their connections alone, for the plots.
BY_CONNECTIONS = {cell.connections: name for name, cell in sorted(CELLS.items(), key=lambda item: item[1].connections)
                  if cell == Cell("legacy", connections=cell.connections)}


def types(count):
    """Six that are common, and then those of Qlik's catalogue."""
    lines = (ROOT / "tests/data/catalog.tsv").read_text().splitlines()
    listed = [line.split("\t")[2] for line in lines if not line.startswith("#")]
    return list(dict.fromkeys(SIX_TYPES + listed))[:count]


def event(number, kind, shape, size):
    data = {"id": f"{number % 5000:024x}", "name": f"Sales Discovery {number}", "spaceId": f"5f8d{number % 50:020d}",
            "ownerId": f"owner{number % 1000}", "attributes": {"k": [1, 2, 3.5, True, None], "n": number}, "description": ""}
    now, name = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), str(uuid.uuid4())
    if shape == "cloudevents":
        made = {"specversion": "1.0", "id": name, "source": "com.qlik/my-service", "type": kind, "time": now,
                "datacontenttype": "application/json", "tenantid": f"tenant{number % 8}", "userid": f"u{number % 1000}"}
    else:
        made = {"cloudEventsVersion": "0.1", "source": "com.qlik/my-service", "contentType": "application/json",
                "eventId": name, "eventTime": now, "eventTypeVersion": "1.0.0", "eventType": kind,
                "extensions": {"actor": {}, "tenantId": f"tenant{number % 8}", "userId": f"u{number % 1000}"}}
    if shape == "hybrid":
        made |= {"specversion": "1.0", "id": name, "type": kind, "time": now, "tenantid": f"tenant{number % 8}",
                 "userid": f"u{number % 1000}"}
    made["data"] = data
    data["description"] = "x" * max(0, size - len(json.dumps(made, separators=(",", ":"))))
    return made


def signature(body):
    return hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def write_requests(path, cell):
    """A few megabytes of them: wrk begins anew when it has sent them all."""
    kinds = types(cell.types)
    count = max(200, min(20000, (32 << 20) // (cell.size * cell.batch)))
    refused = round(1 / cell.bad) if cell.bad else 0
    with path.open("wb") as out:
        for number in range(count):
            events = [event(number * cell.batch + n, kinds[(number + n) % len(kinds)], cell.format, cell.size)
                      for n in range(cell.batch)]
            body = json.dumps(events if cell.batch > 1 else events[0], separators=(",", ":")).encode()
            signed = "0" * 64 if refused and number % refused == 0 else signature(body)
            out.write(signed.encode() + b" " + body + b"\n")
    return path


def content_type(cell):
    if cell.batch > 1:
        return "application/cloudevents-batch+json"
    return "application/cloudevents+json" if cell.format == "cloudevents" else "application/json"
