"""The mail worker at each step of the SMTP dialogue, and its hourly caps; calls to automations at Qlik's pace."""
import time
import uuid

import pytest

from support import records
from support.ferry import event, merge
from support.http import Answer
from support.process import holds, until
from support.smtp import PASSWORD, USER, Scripted

STEPS = ("greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot")


@pytest.fixture
def server(authority, certificate):
    with Scripted(authority.server_context(certificate)) as scripted:
        yield scripted


@pytest.fixture
def start(settings, prefix, make, authority, server):
    """start(changes of the section) → the mail worker."""
    def starter(**section):
        route = {"name": "notice", "events": ["user.created"], "to": ".resource.email", "subject": "Qlik Cloud notice",
                 "text": r"\(.resource.name)", "once_per": [".id"]}
        mail = {"group": f"{prefix}-mail", "start": "earliest", "from": "no-reply@example.com", "recipient_domains": ["*"],
                "retry": {"first": "100ms", "max": "200ms", "for": "1h"}, "routes": [route],
                "smtp": {"url": server.url, "username": USER, "password": {"env": "SMTP_PASSWORD"}, "tls": "required"}}
        ferry = make(settings, {"mail": merge(mail, section), "ca_file": str(authority.certificate)},
                     env={"SMTP_PASSWORD": PASSWORD})
        return ferry.start("mail")
    return starter


@pytest.fixture
def publish(kafka, prefix):
    def send(address=None, **attributes):
        data = {"id": str(uuid.uuid4()), "name": "Ada", "email": address or f"{uuid.uuid4().hex[:8]}@example.com"}
        sent = event("com.qlik.user.created", data=data, **attributes)
        records.publish(kafka, f"{prefix}.user.created", sent)
        return data["email"]
    return send


def effects(program, outcome):
    return program.metric("ferry_effects_total", outcome=outcome)


# ------------------------------------------------------------------------------------------------- each step


def test_a_4xx_at_any_step_is_tried_again_and_the_mail_arrives_once(start, server, publish):
    program = start()
    for number, step in enumerate(STEPS, 1):
        server.hang_up()
        server.once(step, "421 4.3.2 too busy" if step in ("greeting", "ehlo") else "451 4.3.0 try again later")
        address = publish()
        until(lambda: len(server.messages) == number, 20, f"the mail after 4xx at {step}")
        assert server.messages[-1]["To"] == address and server.script == {}
        assert server.messages[-1]["Subject"] == "Qlik Cloud notice"  # the route's own words, nothing of the event
        until(lambda: effects(program, "done") == number)
        assert effects(program, "retry") == number, step
    assert effects(program, "dead") == 0


def test_a_5xx_at_any_step_is_a_dead_letter_at_once_with_its_code(start, server, publish, kafka, prefix):
    program = start()
    for number, step in enumerate(STEPS, 1):
        server.hang_up()
        if step == "ehlo":
            continue  # the client falls back to HELO there, and then finds no TLS: that it waits for
        server.once(step, f"55{number % 10} 5.0.{number} no, at {step}")
        publish()
        until(lambda: not server.script, 20, f"{step} is reached")
    letters = records.read(kafka, f"{prefix}.mail.dlq", lambda rs: len(rs) >= len(STEPS) - 1, 30)
    reasons = [letter.headers["ferry-reason"] for letter in letters]
    assert sorted(reasons) == sorted(f"SMTP 55{n % 10}: 55{n % 10} 5.0.{n} no, at {s}"
                                     for n, s in enumerate(STEPS, 1) if s != "ehlo")
    assert {letter.headers["ferry-error"] for letter in letters} == {"smtp-refused"}
    assert {letter.headers["ferry-attempts"] for letter in letters} == {"1"}
    assert server.messages == [] and effects(program, "retry") == 0


def test_a_connection_that_breaks_before_the_dot_is_tried_again_and_after_it_never(start, server, publish, kafka, prefix):
    program = start()
    before = [step for step in STEPS if step != "dot"]
    for number, step in enumerate(before, 1):
        server.hang_up()
        server.once(step, server.HANG_UP)
        publish()
        until(lambda: effects(program, "done") == number, 20, f"the mail after a break at {step}")
    assert len(server.messages) == len(before)
    server.once("dot", server.HANG_UP)
    doubtful = publish()
    letter = records.read(kafka, f"{prefix}.mail.dlq", lambda rs: rs, 30)[0]
    assert letter.headers["ferry-error"] == "outcome-unknown" and letter.headers["ferry-attempts"] == "1"
    holds(lambda: sum(m["To"] == doubtful for m in server.messages) == 1, 1)
    assert effects(program, "doubtful") == 1


# ------------------------------------------------------------------------------------------------------ caps


def test_over_a_cap_mails_wait_and_hold_up_nobody_else(start, server, publish):
    program = start(caps={"per_domain": "2/4s"})
    sent = [publish(f"u{n}@full.example.com") for n in range(4)]
    until(lambda: len(server.messages) == 2, 20)
    began = time.monotonic()
    publish("other@free.example.com")
    until(lambda: "other@free.example.com" in [m["To"] for m in server.messages], 10)
    assert time.monotonic() - began < 3
    assert program.metric("ferry_cap_waiting", cap="domain") == 2
    until(lambda: len(server.messages) == 5, 20)
    assert sorted(m["To"] for m in server.messages) == sorted([*sent, "other@free.example.com"])
    until(lambda: effects(program, "done") == 5)
    assert effects(program, "retry") == effects(program, "dead") == 0
    assert program.metric("ferry_cap_waiting", cap="domain") == 0


def test_a_tenants_cap_counts_all_its_mails_and_no_other_tenants(start, server, publish):
    program = start(caps={"per_tenant": "2/1h"})
    for n in range(3):
        publish(f"u{n}@d{n}.example.com", tenantid="loud")
    publish("quiet@example.com", tenantid="quiet")
    until(lambda: len(server.messages) == 3, 20)
    assert "quiet@example.com" in [m["To"] for m in server.messages]
    until(lambda: program.metric("ferry_cap_waiting", cap="tenant") == 1)
    holds(lambda: len(server.messages) == 3, 1)


# ----------------------------------------------------------------------------------------------- automations


@pytest.fixture
def automation(settings, prefix, make, qlik):
    """automation(section changes, routes) → the automation worker; its routes run automations of `qlik`."""
    def starter(*names, **section):
        routes = [{"name": name, "events": ["user.created"], "input": {"user": ".resource.id"},
                   "qlik": {"tenant": qlik.url, "automation": name, "token": {"env": "TOKEN"}}} for name in names]
        base = {"group": f"{prefix}-automation", "start": "earliest",
                "retry": {"first": "50ms", "max": "100ms", "for": "1h"}, "routes": routes}
        return make(settings, {"automation": merge(base, section)}, env={"TOKEN": qlik.token}).start("automation")
    return starter


def test_routes_of_one_tenant_share_its_pace(automation, qlik, publish):
    program = automation("first", "second", tenant_pace="2/5s")
    for _ in range(2):
        publish()
    until(lambda: len(qlik.executions()) == 4, 20)
    times = [call.at for call in qlik.executions()]
    assert all(later - earlier >= 3.5 for earlier, later in zip(times, times[2:]))  # the first may be late
    until(lambda: effects(program, "done") == 4)
    assert effects(program, "retry") == 0


def test_too_many_requests_hold_back_the_whole_tenant(automation, qlik, publish):
    qlik.script("/api/v1/automations/first/actions/execute", Answer(429, {}, {"Retry-After": "2"}), Answer(200, {}))
    automation("first")
    publish()
    qlik.wait_for(1)
    for _ in range(3):
        publish()
    until(lambda: len(qlik.executions()) == 5, 20)
    first, *others = [call.at for call in qlik.executions()]
    assert min(others) - first >= 1.9


def test_a_queue_that_stays_full_ends_as_a_dead_letter(automation, qlik, publish, kafka, prefix):
    qlik.script("/api/v1/automations/full/actions/execute", Answer(400, {"errors": [{"title": "queue full"}]}))
    automation("full")
    publish()
    letter = records.read(kafka, f"{prefix}.automation.dlq", lambda rs: rs, 30)[0]
    assert letter.headers["ferry-error"] == "http-refused" and letter.headers["ferry-attempts"] == "9"
    assert len(qlik.executions()) == 9
