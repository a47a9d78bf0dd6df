"""More than the bridge can take: slow and silent clients, too many of them, a full spool, reloads without end; and the
books, which balance after all of it."""
import concurrent.futures
import os
import pathlib
import shutil
import signal
import socket
import statistics
import threading
import time

import pytest

from conftest import WEBHOOK
from support import http, records
from support.crowd import Crowd
from support.ferry import encode, event, sign
from support.kafka import Kafka
from support.process import until


RELOADS = int(os.environ.get("FERRY_TEST_RELOADS", "100"))  # 1,000 take a minute or two
# A busy machine's broker takes its time: what these tests are about does not hang on it.
PATIENT = {"bridge": {"ack_timeout": "15s"}}


def post_for(bridge, seconds, pause=0.02):
    """Honest clients, each with a connection of its own, for so long: (status or error, seconds) of each."""
    end, outcomes = time.monotonic() + seconds, []
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            outcomes.append((bridge.post(event(), timeout=10).status, time.monotonic() - began))
        except OSError as problem:
            outcomes.append((repr(problem), time.monotonic() - began))
        time.sleep(pause)
    return outcomes


def timed(call):
    """(what it returns, seconds)"""
    began = time.monotonic()
    return call(), time.monotonic() - began


def slowest(outcomes):
    return max(took for _, took in outcomes)


# ---------------------------------------------------------------------------------------- slow, silent, many


@pytest.mark.parametrize("kind", ["headers", "silent"])
def test_honest_clients_are_served_while_every_connection_is_held_by_slow_ones(make, settings, tmp_path, kind):
    limits = {"connections": 300, "per_address": 50, "header_timeout": "30s", "request_timeout": "60s"}
    bridge = make(settings, PATIENT, {"bridge": {"limits": limits, "webhooks": [WEBHOOK]}}).start("bridge")
    crowd = Crowd(tmp_path, bridge.port, 600, kind, per_address=40, rate=200)
    crowd.wait_full()
    outcomes = post_for(bridge, 4)
    served = [status for status, _ in outcomes].count(204)
    assert served > 20 and served >= 0.98 * len(outcomes), outcomes  # a client that stalls itself may be taken for slow
    assert slowest(outcomes) < 10
    assert bridge.metric("ferry_connections_refused_total", reason="evicted") > 0
    assert crowd.stop()["opened"] >= 600
    assert bridge.health("/readyz") == 200


def test_bodies_that_take_their_time_make_room_after_five_seconds(make, settings, tmp_path):
    limits = {"connections": 100, "per_address": 50, "request_timeout": "60s"}
    bridge = make(settings, PATIENT, {"bridge": {"limits": limits, "webhooks": [WEBHOOK]}}).start("bridge")
    crowd = Crowd(tmp_path, bridge.port, 120, "body", per_address=40)
    until(lambda: bridge.metric("ferry_requests_in_flight") >= 100, 20, "every connection held")
    until(lambda: {s for s, _ in post_for(bridge, 0.5)} == {204}, 15, "served beside them")
    assert bridge.metric("ferry_http_requests_total", path="/webhooks/qlik", status="503") > 0
    crowd.stop()


def test_a_body_whose_end_comes_with_the_eviction_is_cut_and_costs_nothing(make, settings):
    """What the system has taken is read even then: nothing of it may keep the shard busy."""
    bridge = make(settings, {"bridge": {"limits": {"connections": 1}, "webhooks": [WEBHOOK]}}).start("bridge")
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=5) as slow:
        slow.sendall(b"POST /webhooks/qlik HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Connection: close\r\nContent-Length: 10\r\n\r\n{")
        time.sleep(5.2)  # a body has as much time, whatever else happens
        bridge.signal(signal.SIGSTOP)
        slow.sendall(b" " * 9)
        with socket.create_connection(("127.0.0.1", bridge.port)):
            bridge.signal(signal.SIGCONT)
            answer = slow.makefile("rb").read()  # to its end: the connection is not kept
    assert answer.startswith((b"HTTP/1.1 503 ", b"HTTP/1.1 401 ")), "evicted, or read a moment before"


def test_a_reader_that_does_not_read_is_cut(make, settings):
    limits = {"request_timeout": "1s", "header_timeout": "1s"}
    bridge = make(settings, {"bridge": {"limits": limits, "ack_timeout": "500ms", "webhooks": [WEBHOOK]}}).start("bridge")
    request = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.connect(("127.0.0.1", bridge.port))
    link.settimeout(1)
    with link, pytest.raises(OSError):
        for _ in range(100_000):  # ends when both buffers are full, and then with the reset
            try:
                link.sendall(request * 100)
            except TimeoutError:
                continue
    assert bridge.post(event()).status == 204


def test_a_rate_is_429_and_says_when_to_come_again(make, settings):
    bridge = make(settings, PATIENT, {"bridge": {"webhooks": [{**WEBHOOK, "rate": "5/10s"}]}}).start("bridge")
    answers = [bridge.post(event()) for _ in range(12)]
    refused = [a for a in answers if a.status == 429]
    assert [a.status for a in answers[:5]] == [204] * 5 and refused
    assert all(1 <= int(a.headers["Retry-After"]) <= 2 and a.problem for a in refused)
    time.sleep(int(refused[-1].headers["Retry-After"]))
    assert bridge.post(event()).status == 204


# ------------------------------------------------------------------------------------------- Kafka away


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A broker that these tests alone use, since they stop it in its tracks."""
    kafka = Kafka(tmp_path_factory.mktemp("kafka")).start()
    yield kafka
    kafka.brokers[0].resume()
    kafka.stop()


class Away:
    """Kafka does not answer until back()."""

    def __init__(self, kafka):
        self.kafka = kafka
        kafka.brokers[0].pause()

    def back(self):
        self.kafka.brokers[0].resume()


@pytest.fixture
def away(broker):
    state = Away(broker)
    yield state
    state.back()


def test_a_full_spool_is_503_at_once_and_not_ready(make, settings, broker, away):
    change = {"kafka": broker.client(), "bridge": {"spool": {"directory": "spool", "limit": "1MiB"}, "ack_timeout": "200ms",
                                                       "webhooks": [WEBHOOK]}}
    bridge = make(settings, change).start("bridge")
    for size in (20_000, 1000):
        until(lambda: bridge.post(event(data={"id": "one", "text": "x" * size})).status == 503, 30, "a full spool")
    kept = bridge.metric("ferry_spool_events")
    for body in (encode(event()), b"no event"):  # one topic has rows, that of the quarantine has none
        answers = [timed(lambda body=body: bridge.post(body)) for _ in range(21)]
        assert {a.status for a, _ in answers} == {503} and all(int(a.headers["Retry-After"]) >= 1 for a, _ in answers)
        assert statistics.median(took for _, took in answers) < 0.05
    assert bridge.health("/readyz") == 503 and bridge.health("/healthz") == 200
    assert bridge.metric("ferry_spool_events") == kept > 0
    away.back()
    until(lambda: bridge.post(event()).status == 204, 60, "204 once Kafka is there")
    until(lambda: bridge.health("/readyz") == 200, 10, "ready again")


# --------------------------------------------------------------------------------------------- the books


def books(bridge):
    """(received, what became of it), once they agree; fails with both when they do not within a while."""
    def read():
        m = bridge.metric
        received = m("ferry_events_received_total")
        where = {"published": m("ferry_events_published_total"), "spool": m("ferry_spool_events"),
                 "aside": m("ferry_spool_aside_total"), "refused": m("ferry_events_refused_total")}
        return received, where
    last = {}

    def agree():
        last["books"] = read()
        received, where = last["books"]
        return received == sum(where.values()) and last["books"]
    try:
        return until(agree, 10)
    except AssertionError:
        raise AssertionError(f"the books do not balance: {last['books']}") from None


def cut_short(bridge):
    """A client that leaves in the middle of its body: nothing was received."""
    with socket.create_connection(("127.0.0.1", bridge.port), 5) as link:
        link.sendall(b"POST /webhooks/qlik HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")


def mixed(bridge, kafka_up):
    """Requests of every kind; how many records must be accounted for, and how many of them are refused."""
    good = 204 if kafka_up else 202
    strict = {"path": "/webhooks/strict", "content_type": "application/cloudevents-batch+json"}
    acme = [event("com.acme.thing", specversion="1.0") for _ in range(3)]
    answers = [
        (bridge.post(event()), good, 1), (bridge.post(b"signed, but no event"), good, 1),
        (bridge.post(acme, **strict), good, 3), (bridge.post([], **strict), 204, 0),
        (bridge.post([*acme, {}], **strict), 400, 1), (bridge.post(event(), secret="x" * 40), 401, 1),
        (bridge.post(event("com.acme.thing")), 403, 1), (bridge.post(event(), path="/nowhere"), 404, 1),
        (bridge.post(event(), method="PUT"), 405, 1), (bridge.post(b"x" * 40_000), 413, 1),
        (bridge.post(event(), {"Content-Encoding": "gzip"}), 415, 1),
        (http.send("OPTIONS", bridge.url + "/webhooks/qlik"), 204, 0),
    ]
    assert [a.status for a, _, _ in answers] == [wanted for _, wanted, _ in answers]
    malformed = bridge.raw(b"POST /webhooks/qlik HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 2\r\n\r\n{}")
    assert http.statuses(malformed) == [400]
    cut_short(bridge)
    counts = [count for _, _, count in answers]
    return sum(counts) + 1, sum(count for (_, status, count) in answers if status >= 400) + 1


def test_what_was_received_is_in_kafka_or_on_disk_or_refused_to_the_unit(make, settings, broker, away, prefix):
    strict = {"path": "/webhooks/strict", "format": "cloudevents", "signature": "qlik", "events": ["com.acme.*"],
              "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}]}
    ferry = make(settings, {"kafka": broker.client(), "bridge": {
        "spool": {"directory": "spool"}, "ack_timeout": "300ms", "limits": {"body": "32KiB"}, "webhooks": [WEBHOOK, strict]}})
    bridge = ferry.start("bridge")
    received, refused = mixed(bridge, False)
    got, where = books(bridge)
    assert got == received and where == {"published": 0, "spool": received - refused, "aside": 0, "refused": refused}
    bridge.stop()

    ferry.config["bridge"] |= PATIENT["bridge"]
    ferry.write()
    bridge = ferry.start("bridge")  # with rows in the spool
    spooled = received - refused
    assert books(bridge) == (spooled, {"published": 0, "spool": spooled, "aside": 0, "refused": 0})
    away.back()
    until(lambda: bridge.metric("ferry_spool_events") == 0, 60, "an empty spool")
    assert books(bridge) == (spooled, {"published": spooled, "spool": 0, "aside": 0, "refused": 0})
    more, refused = mixed(bridge, True)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: bridge.post(event()).status, range(200))) == {204}
    got, where = books(bridge)
    assert got == spooled + more + 200 and where == {
        "published": spooled + more - refused + 200, "spool": 0, "aside": 0, "refused": refused}
    ends = sum(records.ends(broker, [f"{prefix}.{t}" for t in ("other", "quarantine")]).values())
    assert ends == where["published"], "as many as the topics hold"


# --------------------------------------------------------------------------------------------- reload, drain


def descriptors(program):
    return len(os.listdir(f"/proc/{program.pid}/fd"))


def resident_kib(program):
    for line in pathlib.Path(f"/proc/{program.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


class Load:
    """`threads` clients that send without a pause, half of them on kept connections; every outcome is kept."""

    def __init__(self, bridge, threads=4):
        self.bridge, self.outcomes, self._stop = bridge, [], threading.Event()
        self.accepted = set()
        self._threads = [threading.Thread(target=self._run, args=(n % 2 == 0,)) for n in range(threads)]

    def _run(self, keep):
        link = None
        while not self._stop.is_set():
            sent = event()
            body = encode(sent)
            try:
                link = link or http.connection(self.bridge.url, self.bridge.tls, 15)
                link.request("POST", "/webhooks/qlik", body, {"Content-Type": "application/json", "Qlik-Signature": sign(body)})
                answer = link.getresponse()
                answer.read()
                self.outcomes.append(answer.status)
                if answer.status in (202, 204):
                    self.accepted.add(sent["id"])
            except OSError as problem:
                self.outcomes.append(repr(problem))
                keep, link = False, None
            if not keep and link:
                link.close()
                link = None

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        until(lambda: len(self.outcomes) >= 20, 20, "requests under way")
        return self

    def __exit__(self, *_error):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def reload_often(ferry, bridge, certificates, times):
    """Reloads that change secrets and certificates each time; waits for each."""
    done = lambda: bridge.text().count('"configuration reloaded"')  # noqa: E731
    for n in range(times):
        before = done()
        issued = certificates[n % len(certificates)]
        shutil.copy(issued.certificate, ferry.folder / "cert.pem")
        shutil.copy(issued.key, ferry.folder / "key.pem")
        (ferry.folder / "extra-secret").write_text(f"a-secret-that-changes-each-time-{n:08}\n")
        bridge.signal(signal.SIGHUP)
        until(lambda: done() > before, 20, f"reload {n}")


@pytest.mark.timeout(900)
def test_a_hundred_reloads_under_load_fail_no_request_and_leak_nothing(make, settings, authority):
    webhook = {**WEBHOOK, "secrets": [*WEBHOOK["secrets"], {"file": "extra-secret"}]}
    certificates = [authority.issue(f"reload{n}") for n in range(3)]
    ferry = make(settings, PATIENT, {"bridge": {"tls": {"certificate": "cert.pem", "key": "key.pem"}, "webhooks": [webhook]}})
    shutil.copy(certificates[0].certificate, ferry.folder / "cert.pem")
    shutil.copy(certificates[0].key, ferry.folder / "key.pem")
    (ferry.folder / "extra-secret").write_text("a-secret-that-is-long-enough-for-qlik\n")
    bridge = ferry.start("bridge", tls=authority.client_context())
    with Load(bridge) as load:
        reload_often(ferry, bridge, certificates, 20)  # until the allocator has what it needs
        files, memory = descriptors(bridge), resident_kib(bridge)
        reload_often(ferry, bridge, certificates, RELOADS)
    assert set(load.outcomes) == {204}, set(load.outcomes)
    until(lambda: descriptors(bridge) <= files + 4, 10, f"no more than {files} descriptors")
    assert resident_kib(bridge) < memory + 8 * 1024
    assert bridge.post(event(), secret=f"a-secret-that-changes-each-time-{RELOADS - 1:08}").status == 204
    assert bridge.post(event(), secret=f"a-secret-that-changes-each-time-{RELOADS - 2:08}").status == 401


@pytest.mark.parametrize("kafka_is", ["there", "away"])
def test_a_drain_under_load_loses_nothing_and_ends_in_time(make, settings, broker, prefix, kafka_is):
    ferry = make(settings, {"kafka": broker.client(), "bridge": {"spool": {"directory": "spool"}, "ack_timeout": "500ms",
                                                                    "webhooks": [WEBHOOK]}})
    bridge = ferry.start("bridge")
    until(lambda: bridge.post(event()).status == 204, 20, "the topic's leader")
    with Load(bridge, 6) as load:
        if kafka_is == "away":
            Away(broker)
            until(lambda: 202 in load.outcomes, 20, "the spool in use")
        assert bridge.stop() == 0
    assert {o for o in load.outcomes if isinstance(o, int)} <= {202, 204, 503}
    broker.brokers[0].resume()
    bridge = ferry.start("bridge")  # brings what is in the spool
    until(lambda: bridge.metric("ferry_spool_events") == 0, 60, "an empty spool")
    kept = {r.id for r in records.read(broker, f"{prefix}.other", lambda rs: load.accepted <= {r.id for r in rs}, 30)}
    assert load.accepted and load.accepted <= kept
