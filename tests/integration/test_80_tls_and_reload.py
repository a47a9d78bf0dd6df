"""The HTTPS listener, and what SIGHUP changes while requests go on."""
import hashlib
import shutil
import signal
import socket
import ssl
import threading

import pytest

from conftest import WEBHOOK
from support import http, records
from support.ferry import encode, event, sign
from support.process import until

TLS = {"certificate": "cert.pem", "key": "key.pem"}
NEXT = "the-next-secret-of-32-characters-or-more"


@pytest.fixture
def secure(make, settings, authority, certificate):
    """A bridge behind HTTPS; its certificate files are in ferry.folder."""
    ferry = make(settings, {"bridge": {"tls": TLS, "webhooks": [WEBHOOK]}})
    install(ferry, certificate)
    ferry.start("bridge", tls=authority.client_context())
    return ferry


def install(ferry, issued):
    shutil.copy(issued.certificate, ferry.folder / "cert.pem")
    shutil.copy(issued.key, ferry.folder / "key.pem")


def shown(bridge):
    """The fingerprint of the certificate that a new connection is shown."""
    with socket.create_connection(("127.0.0.1", bridge.port), 10) as link:
        with bridge.tls.wrap_socket(link, server_hostname="localhost") as secured:
            return hashlib.sha256(secured.getpeercert(True)).hexdigest()


class Sender:
    """Sends on one kept connection and on new ones until stopped, and keeps every outcome."""

    def __init__(self, bridge):
        self.bridge, self.outcomes, self._stop = bridge, [], threading.Event()
        self._threads = [threading.Thread(target=run) for run in (self._kept, self._new)]

    def _kept(self):
        link = http.connection(self.bridge.url, self.bridge.tls)
        while not self._stop.is_set():
            body = encode(event())
            try:
                link.request("POST", "/webhooks/qlik", body, {"Content-Type": "application/json", "Qlik-Signature": sign(body)})
                answer = link.getresponse()
                answer.read()
                self.outcomes.append(answer.status)
            except OSError as problem:
                self.outcomes.append(repr(problem))
                link.close()
        link.close()

    def _new(self):
        while not self._stop.is_set():
            try:
                self.outcomes.append(self.bridge.post(event()).status)
            except OSError as problem:
                self.outcomes.append(repr(problem))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        until(lambda: len(self.outcomes) >= 10, 20, "requests under way")
        return self

    def more(self, count=20):
        goal = len(self.outcomes) + count
        until(lambda: len(self.outcomes) >= goal, 20, "more requests")

    def __exit__(self, *_error):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_an_event_comes_through_https(secure, kafka, prefix):
    bridge, sent = secure.programs[0], event()
    assert bridge.post(sent).status == 204
    assert records.with_id(kafka, f"{prefix}.other", sent["id"])


def test_old_tls_versions_are_refused(secure, authority):
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError):
        http.send("GET", secure.programs[0].url + "/", context=context)


def test_plain_http_on_the_https_port_gets_nothing(secure):
    assert b"204" not in http.raw(secure.programs[0].port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", timeout=5)


@pytest.mark.parametrize("how", ["SIGHUP", "the files change"])
def test_a_new_certificate_is_shown_without_a_failed_request(secure, authority, how):
    bridge = secure.programs[0]
    old, new = shown(bridge), authority.issue("renewed", days=20)
    expiry = bridge.metric("ferry_certificate_expiry_timestamp_seconds")
    with Sender(bridge) as sender:
        install(secure, new)
        if how == "SIGHUP":
            bridge.signal(signal.SIGHUP)
        until(lambda: shown(bridge) == new.fingerprint(), 40, "the new certificate")
        sender.more()
    assert set(sender.outcomes) == {204}
    assert old != new.fingerprint()
    assert bridge.metric("ferry_certificate_expiry_timestamp_seconds") > expiry > 0


def test_a_new_certificate_that_is_broken_leaves_the_old_one(secure, certificate):
    bridge = secure.programs[0]
    (secure.folder / "cert.pem").write_text("no certificate at all\n")
    bridge.signal(signal.SIGHUP)
    until(lambda: bridge.metric("ferry_config_reload_success") == 0, 20, "the failure in the metrics")
    assert shown(bridge) == certificate.fingerprint()
    assert bridge.post(event()).status == 204


def test_a_new_secret_is_taken_by_sighup_without_a_failed_request(make, settings):
    ferry = make(settings, {"bridge": {"webhooks": [{**WEBHOOK, "secrets": [{"file": "one"}]}]}})
    (ferry.folder / "one").write_text(ferry.env["QLIK_WEBHOOK_SECRET"] + "\n")
    (ferry.folder / "two").write_text(NEXT + "\n")
    bridge = ferry.start("bridge")
    assert bridge.post(event(), secret=NEXT).status == 401
    with Sender(bridge) as sender:
        ferry.config["bridge"]["webhooks"][0]["secrets"].append({"file": "two"})
        ferry.write()
        bridge.signal(signal.SIGHUP)
        until(lambda: bridge.post(event(), secret=NEXT).status == 204, 20, "the new secret")
        sender.more()
    assert set(sender.outcomes) == {204}


def test_a_bad_new_file_is_logged_and_the_old_one_stays(make, settings):
    ferry = make(settings, {"bridge": {"webhooks": [WEBHOOK]}})
    bridge = ferry.start("bridge")
    assert bridge.metric("ferry_config_reload_success") == 1
    ferry.path.write_text(ferry.path.read_text() + "\nbrigde: {}\n")
    bridge.signal(signal.SIGHUP)
    until(lambda: bridge.metric("ferry_config_reload_success") == 0, 20)
    assert "brigde" in bridge.text()
    assert bridge.post(event()).status == 204
    ferry.write()
    bridge.signal(signal.SIGHUP)
    until(lambda: bridge.metric("ferry_config_reload_success") == 1, 20)


def test_a_new_route_is_taken_by_sighup(make, settings, prefix, slack, kafka):
    route = {"name": "one", "events": ["app.created"], "webhook": {"env": "HOOK"}, "text": "one"}
    section = {"group": f"{prefix}-slack", "start": "earliest", "routes": [route]}
    ferry = make(settings, {"slack": section}, env={"HOOK": slack.hook()})
    worker = ferry.start("slack")
    records.publish(kafka, f"{prefix}.app.created", event())
    slack.wait_for(1)
    ferry.config["slack"]["routes"][0]["text"] = "two"
    ferry.write()
    worker.signal(signal.SIGHUP)
    until(lambda: any("reload" in line["msg"] for line in worker.logs()), 20, "a word about the reload")
    records.publish(kafka, f"{prefix}.app.created", event())
    assert slack.wait_for(2)[1].json()["text"] == "two"
