"""Records that no worker can make sense of, and pairs that belong together."""
import json
import time

from faults.workers.fault import WorkerFault
from faults.workers.stage import EVENT

GOOD = {"id": "poison", "n": 0}
# kind → (value, changes to the headers)
POISON = {
    "not JSON": (b"hello", {}),
    "cut JSON": (b'{"id":', {}),
    "bad UTF-8": (b'{"id":"\xff\xfe"}', {}),
    "no id": (json.dumps(GOOD).encode(), {"ce_id": None}),
    "no type": (json.dumps(GOOD).encode(), {"ce_type": None}),
    "another specversion": (json.dumps(GOOD).encode(), {"ce_specversion": "0.3"}),
    "a type of two lines": (json.dumps(GOOD).encode(), {"ce_source": b"/s\n\xff"}),
    "wrong types": (json.dumps({"id": ["a"], "n": {"b": 1}}).encode(), {}),
    "a number": (b"17", {}),
    "900 KB": (b'{"id":"' + b"x" * 900_000, {}),
    "depth 2,000": (b'{"a":' * 2000 + b"1" + b"}" * 2000, {}),
}


class Poison(WorkerFault):
    name = "poison"
    title = "200 poison records of eleven kinds among good ones"
    dead_letters = True
    p99_limit = 1.0

    def config(self, stage):
        """A route that needs the members: null is an error of the template."""
        url = stage.sink.url + r"/effects?of=\(.resource.id)-\(.resource.n)"
        return {"automation": {"routes": [{"name": "sink", "events": [EVENT], "request": {
            "method": "POST", "url": url, "json": {"id": ".id", "key": ".resource.id", "n": ".resource.n"}}}]}}

    def play(self, stage):
        stage.start()
        self.bad = set()
        kinds = list(POISON.values())
        for number in range(40 if self.quick else 200):
            value, headers = kinds[number % len(kinds)]
            self.bad.add(stage.publish(f"poison-{number % 7}", value=value, headers=headers).id)
            stage.flow(20, 0.1)

    def watched(self, published):
        return published.id not in self.bad


class UserPair(WorkerFault):
    """created and deleted of one user 10 ms apart."""
    name = "pair-by-event"
    title = "a user created and deleted 10 ms apart, topics by {event}: each takes effect once"
    events = ("user.created", "user.deleted")

    def play(self, stage):
        stage.start(2)
        for number in range(20 if self.quick else 200):
            for event in self.events:
                stage.publish(f"user-{number}", event=event, at_once=True)
                time.sleep(0.01)


class UserPairByFamily(UserPair):
    name = "pair-by-family"
    title = "a user created and deleted 10 ms apart, topics by {family}: created before deleted"
    topics = "{family}"
