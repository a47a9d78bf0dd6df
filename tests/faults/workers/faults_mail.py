"""The SMTP server refuses, at every step of the dialogue, in every tone; or takes a mail and hangs up."""
import time

from faults.workers.fault import WorkerFault
from faults.workers.stage import Taken
from support.process import until
from support.smtp import Scripted

STEPS = ("greeting", "ehlo", "mail", "rcpt", "data", "dot")
LATER = ("421 4.3.2 busy", "450 4.2.0 later", "451 4.3.0 later", "452 4.2.2 full")
NEVER = ("550 5.1.1 no", "552 5.2.2 full", "554 5.7.1 no")


class SmtpSteps(WorkerFault):
    name = "smtp-steps"
    title = "SMTP 421, 450, 451, 452 and 5xx at each step and after the dot; hung up after the dot"
    worker = "mail"
    events = ("user.created",)
    dead_letters = True

    def config(self, stage):
        self.server = Scripted()
        route = {"name": "sink", "events": list(self.events), "to": '.resource.id + "@example.com"', "subject": "Notice",
                 "text": r"\(.id)", "once_per": [".id"]}
        return {"automation": None, "mail": {
            "group": stage.prefix, "from": "no-reply@example.com", "recipient_domains": ["example.com"], "routes": [route],
            "smtp": {"url": self.server.url, "tls": "none"}}}

    def play(self, stage):
        self.permanent = 0
        stage.launch().wait_ready(60)
        for step in STEPS:
            for reply in LATER + NEVER:
                self.play_one(stage, step, reply)
        self.play_one(stage, "dot", Scripted.HANG_UP)
        stage.notes.append(f"{len(STEPS) * len(LATER + NEVER)} refusals, {self.permanent} of them for good; 1 in doubt")
        stage.sink.taken += [Taken(m.get_content().strip(), time.monotonic()) for m in self.server.messages]

    def play_one(self, stage, step, reply):
        self.server.hang_up()  # the next mail begins with a greeting
        self.server.once(step, reply)
        sent = stage.publish(f"user-{len(stage.published)}", event=self.events[0], at_once=True)
        if reply in LATER or step == "ehlo":  # refused, the client says HELO instead
            until(lambda: any(sent.id in m.get_content() for m in self.server.messages), 20, f"the mail after {reply} at {step}")
            return
        self.permanent += reply in NEVER
        wanted = self.permanent + (reply is Scripted.HANG_UP)
        until(lambda: stage.metric("ferry_dead_letters_total") >= wanted, 20, f"a dead letter after {reply} at {step}")

    def check(self, stage, verdict):
        wanted = self.permanent + 1
        return [] if verdict.dead == wanted else [f"{verdict.dead} dead letters, {wanted} wanted"]

    def clean_up(self, stage):
        self.server.stop()
