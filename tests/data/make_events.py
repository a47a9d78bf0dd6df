#!/usr/bin/env python3
"""Writes tests/data/events/<canonical event>/{legacy,hybrid,cloudevents}.json: each event in the three shapes of Qlik.

Attributes and `data` are those of ferry/make_examples.py (the documented shapes, plausible values), so that an example
means the same to `ferry send` and to the tests; here they are put into envelopes. The same input gives the same output.
A reader replaces {{now}} by the current time (RFC 3339). Run it from anywhere when the catalogue or the shapes change.
"""
import csv
import json
import pathlib
import re
import shutil
import sys
import uuid

DATA = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(DATA.parents[1] / "ferry"))
import make_examples as examples  # noqa: E402

NAMESPACE = uuid.UUID("6f7a0c1e-2b3d-4c5e-8f90-a1b2c3d4e5f6")

# Older and namespaced names of current events need no fixture of their own; these events have no current name.
EXTRA = ["auth-settings.updated", "space.request.approved", "space.request.created", "space.request.deleted",
         "task.run.finished", "user.provisioned", "user.updated"]

# What legacy events keep in `extensions`; the other attributes are new.
LEGACY_EXTENSIONS = ["tenantId", "userId", "ownerId", "spaceId", "topLevelResourceId"]

# The documented task events: `type` says little, what happened stands in `eventType`, the extensions in an object.
STRAYING = {"task.created": "com.qlik.scheduling.tasks.created", "task.deleted": "com.qlik.scheduling.tasks.created"}


def fixed_uuid(*words):
    return str(uuid.uuid5(NAMESPACE, "/".join(words)))


def filled(value, event):
    """Placeholders of make_examples that are no {{now}} become fixed values."""
    text = json.dumps(value).replace("{{resource}}", fixed_uuid(event, "resource"))
    return json.loads(re.sub(r"\{\{now[-+]\w+\}\}", "{{now}}", text))


def cloudevents(event, kind, source, attributes, data):
    made = {"id": fixed_uuid(event, "id"), "source": source, "specversion": "1.0", "type": kind, "time": "{{now}}",
            "datacontenttype": "application/json", **attributes, "data": data}
    if event in STRAYING:
        made |= {"type": STRAYING[event], "eventType": kind}
        made["extensions"] = {name: made.pop(name) for name in attributes}
        made["data"] = made.pop("data")
    return made


def legacy(event, kind, source, attributes, data):
    extensions = {name: attributes[name.lower()] for name in LEGACY_EXTENSIONS if name.lower() in attributes}
    extensions |= {"actor": {}, "updates": []}
    return {"cloudEventsVersion": "0.1", "source": source, "contentType": "application/json",
            "eventId": fixed_uuid(event, "id"), "eventTime": "{{now}}", "eventTypeVersion": "1.0.0", "eventType": kind,
            "extensions": extensions, "data": data}


def older_names(catalog):
    """Canonical event → the type that it had before."""
    return {row[1]: row[2] for row in catalog if row[4:] == ["older name"]}


def write(event, shapes):
    folder = DATA / "events" / event
    folder.mkdir(parents=True)
    for name, made in shapes.items():
        (folder / f"{name}.json").write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def make(row, shape, older):
    family, event, kind, source = row[:4]
    source = "com.qlik/my-service" if source == "-" else source
    attributes = filled(examples.attributes_of(family, shape), event)
    data = filled(examples.data_of(family, event, shape), event)
    if event in STRAYING:
        attributes |= {"userid": examples.USER, "toplevelresourceid": data["id"]}
    # In legacy app events the app is one level down.
    nested = {"attributes": data} if family == "Apps" and event != "app.reload.finished" else data
    old_kind = older.get(event, kind)
    old = legacy(event, old_kind, source, attributes, nested)
    new = cloudevents(event, kind, source, attributes, data)
    hybrid = {**old, "id": old["eventId"], "specversion": "1.0", "type": old_kind, "time": "{{now}}",
              "datacontenttype": "application/json", **attributes, "data": nested}
    write(event, {"legacy": old, "hybrid": hybrid, "cloudevents": new})


def main():
    with open(DATA / "catalog.tsv", encoding="utf-8", newline="") as file:
        catalog = [row for row in csv.reader(file, delimiter="\t") if not row[0].startswith("#")]
    shapes, older = examples.shapes_by_event(catalog), older_names(catalog)
    shutil.rmtree(DATA / "events", ignore_errors=True)
    made = set()
    for row in catalog:
        current = row[4:] in ([], [""], ["inferred name"])
        if row[1] not in made and (current or row[1] in EXTRA):
            made.add(row[1])
            make(row, shapes.get(row[2]) or shapes.get(row[1]), older)


if __name__ == "__main__":
    main()
