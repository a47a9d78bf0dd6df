"""Where worker faults are played: topics of their own, events published as the bridge would publish them, a sink that
takes effects and misbehaves on command, and as many worker processes as the fault wants.

An effect is *taken* when the sink has decided to answer 200: what becomes of the answer on its way is the fault's affair.
Every event is one obligation: it is taken, or it is a dead letter with its bytes untouched.
"""
import contextlib
import json
import threading
import time
import uuid
from dataclasses import dataclass

from confluent_kafka import Producer

from faults.workers.judge import origin_of
from support import http, records
from support.ferry import Ferry, merge
from support.process import until

EVENT, PARTITIONS, KEYS = "app.updated", 4, 20


@dataclass(slots=True)
class Published:
    id: str
    topic: str
    key: str
    number: int  # rises within a key, whatever the topic
    at: float
    value: bytes
    headers: list
    origin: str = None  # "topic/partition/offset", when Kafka has it


@dataclass(slots=True)
class Taken:
    id: str
    at: float


class Sink(http.Server):
    """Takes effects at POST /effects. `behave(body)` → an Answer instead of 200, or None; one with status 200 takes it too."""

    def __init__(self):
        super().__init__()
        self.taken, self.calls, self.behave = [], 0, lambda _body: None
        self.on("/effects", self._effect, "POST")

    def _effect(self, request):
        body = json.loads(request.body)
        self.calls += 1
        answer = self.behave(body) or http.Answer(200, "ok")
        if answer.status == 200:
            self.taken.append(Taken(body["id"], time.monotonic()))
        return answer


class Stage:
    def __init__(self, kafka, folder, fault):
        self.kafka, self.folder, self.fault = kafka, folder, fault
        self.prefix = f"w{uuid.uuid4().hex[:8]}"
        self.dlq = f"{self.prefix}.{fault.worker}.dlq"
        self.sink = Sink()
        self.published, self.workers, self.made = [], [], 0
        self.bin = None  # of the workers that are launched next; None: those that are tested
        self.problems, self.notes = [], []
        self._numbers, self._lock = {}, threading.Lock()
        self._producer = Producer({**kafka.client(), "enable.idempotence": True, "linger.ms": 5, "log_level": 0})
        folder.mkdir(parents=True)
        names = [self.topic(event) for event in fault.events] + [f"{self.prefix}.other"]
        kafka.create_topics(*dict.fromkeys(names), partitions=PARTITIONS)

    def topic(self, event=EVENT):
        name = event.partition(".")[0] if "{family}" in self.fault.topics else event
        return f"{self.prefix}.{name}"

    # -------------------------------------------------------------------------------------------- the workers

    def config(self):
        route = {"name": "sink", "events": list(self.fault.events),
                 "request": {"method": "POST", "url": self.sink.url + "/effects",
                             "json": {"id": ".id", "key": ".resource.id", "n": ".resource.n"}}}
        base = {
            "kafka": self.kafka.client(self.fault.user) | {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1500},
            "topics": {"name": self.prefix + "." + self.fault.topics, "internal": self.prefix, "create": "routed",
                       "other": f"{self.prefix}.other", "partitions": PARTITIONS, "replication": 1},
            "worker": {"start": "earliest", "concurrency": self.fault.concurrency,
                       "retry": {"first": "100ms", "max": "1s", "for": "1h"}},
            "automation": {"group": self.prefix, "in_doubt": "retry", "routes": [route]},
        }
        if "sasl.password" in base["kafka"]:
            base["kafka"]["sasl.password"] = {"env": "KAFKA_PASSWORD"}
        return merge(base, self.fault.config(self))

    def launch(self, **env):
        """One more worker process, with an admin address of its own."""
        self.made += 1
        password = self.kafka.client(self.fault.user).get("sasl.password", "")
        ferry = Ferry(self.folder / f"worker{self.made}", self.config(), {"KAFKA_PASSWORD": password} | self.fault.env | env)
        ferry.bin = self.bin
        worker = ferry.launch(self.fault.worker)
        self.workers.append(worker)
        return worker

    def start(self, count=1, **env):
        for worker in [self.launch(**env) for _ in range(count)]:
            worker.wait_ready(60)
        if not self.published:
            self._warm_up()
        return self.workers[-1]

    def _warm_up(self):
        """A first effect from each partition: what is measured later begins in full flow."""
        first = [self.publish(f"warm-{n}", self.fault.events[0], at_once=True) for n in range(2 * PARTITIONS)]
        until(lambda: {p.id for p in first} <= {t.id for t in self.sink.taken}, 30, "first effects")

    def kill(self, worker):
        worker.kill()
        self.workers.remove(worker)

    def leave(self, worker):
        """SIGTERM: it finishes what is in flight, and its code is 0."""
        worker.wait_for(lambda: worker.health("/healthz") == 200, 60)  # it hears signals
        self.workers.remove(worker)
        worker.stop()

    def metric(self, name, **labels):
        return sum(worker.metric(name, **labels) for worker in self.workers if worker.running)

    # --------------------------------------------------------------------------------------------- the events

    def publish(self, key=None, event=EVENT, value=None, headers=None, at_once=False):
        with self._lock:
            number = self._numbers[key] = self._numbers.get(key, -1) + 1
        key = key if key is not None else f"key-{len(self.published) % KEYS}"
        data = {"id": key, "n": number, "name": "Sales", "tenantId": "acme"}
        made = Published(str(uuid.uuid4()), self.topic(event), key, number, time.monotonic(),
                         json.dumps(data).encode() if value is None else value, [])
        pairs = {"ce_specversion": "1.0", "ce_id": made.id, "ce_source": "com.qlik/apps", "ce_type": f"com.qlik.{event}",
                 "ce_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "ce_tenantid": "acme",
                 "content-type": "application/json", "ferry-event": event}
        made.headers = [(n, v if isinstance(v, bytes) else v.encode()) for n, v in {**pairs, **(headers or {})}.items()
                        if v is not None]
        self.published.append(made)

        def delivered(error, message):
            assert error is None, error
            made.origin = f"{message.topic()}/{message.partition()}/{message.offset()}"

        self._producer.produce(self.topic(event), made.value, key, headers=made.headers, on_delivery=delivered)
        self._producer.poll(0)
        if at_once:
            self._producer.flush(30)
        return made

    def produce_again(self, sent):
        """The record of an event once more, as a sender's repeat would make it: no new obligation."""
        self._producer.produce(sent.topic, sent.value, sent.key, headers=sent.headers)
        self._producer.poll(0)

    def flow(self, rate, seconds, keys=KEYS):
        """Events of `keys` keys in turn, at a steady rate, for so long."""
        began, count = time.monotonic(), 0
        while (now := time.monotonic()) - began < seconds:
            while count <= (now - began) * rate:
                self.publish(f"key-{count % keys}")
                count += 1
            time.sleep(0.01)
        self._producer.flush(30)

    @contextlib.contextmanager
    def flowing(self, rate, seconds):
        """flow() beside the block, which ends when all is sent."""
        sender = threading.Thread(target=self.flow, args=(rate, seconds))
        sender.start()
        try:
            yield
        finally:
            sender.join()

    # -------------------------------------------------------------------------------------------- the verdict

    def settled(self):
        dead = {origin_of(r) for r in self.dead()}
        return {t.id for t in self.sink.taken} | {p.id for p in self.published if p.origin in dead}

    def dead(self):
        return records.read(self.kafka, self.dlq) if self.fault.dead_letters else []

    def finish(self, limit=90):
        """Until every event is taken or a dead letter; what is missing then is the verdict's to say."""
        wanted = {p.id for p in self.published}
        self._producer.flush(30)
        try:
            until(lambda: wanted <= {t.id for t in self.sink.taken} or wanted <= self.settled(), limit)
        except AssertionError:
            pass
        time.sleep(1)  # for what comes twice

    def end(self):
        for worker in list(self.workers):
            worker.kill()
        self.sink.stop()
