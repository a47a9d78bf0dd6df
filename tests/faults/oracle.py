"""The judge: every (source, id) that got a 2xx is an obligation. Kafka is read back with another client, and what is
there is held against what was promised."""
import json
import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from support import records


@dataclass
class Verdict:
    events: int = 0
    acknowledged: int = 0
    lost: list = field(default_factory=list)
    altered: list = field(default_factory=list)     # the value is not what was sent
    repeats: int = 0
    unmarked: list = field(default_factory=list)    # in Kafka twice, and nobody is told
    needless: int = 0                               # marked, but there once
    breaks: list = field(default_factory=list)
    aside: int = 0                                  # acknowledged, can never be produced, kept and named
    statuses: Counter = field(default_factory=Counter)
    longest: float = 0.0
    p999: float = 0.0

    def problems(self):
        named = {"lost": self.lost, "altered": self.altered, "repeated without a mark": self.unmarked,
                 "out of order": self.breaks}
        return [f"{len(found)} {what}: {found[:5]}" for what, found in named.items() if found]


def judge(sent, found, aside=(), forgiven=lambda s: False):
    """`found`: records, each partition by offset. `forgiven`: obligations that the fault itself took away."""
    verdict = Verdict(events=len(sent), statuses=Counter(s.status for s in sent))
    promised = {s.id: s for s in sent if s.acknowledged}
    verdict.acknowledged = len(promised)
    _times(verdict, sent)
    copies = defaultdict(list)
    for record in found:
        copies[record.id].append(record)
    verdict.aside = sum(i in aside and i not in copies for i in promised)
    verdict.lost = [i for i, s in promised.items() if i not in copies and i not in aside and not forgiven(s)]
    _values(verdict, {s.id: s for s in sent}, copies)
    for event_id, several in copies.items():
        marked = sum("ferry-maybe-duplicate" in r.headers for r in several)
        verdict.repeats += len(several) - 1
        verdict.needless += marked if len(several) == 1 else 0
        if len(several) - marked > 1:
            verdict.unmarked.append(event_id)
    verdict.breaks = order_breaks(promised, found)
    return verdict


def _times(verdict, sent):
    took = sorted(s.took for s in sent if s.status)
    if took:
        verdict.longest, verdict.p999 = took[-1], took[min(len(took) - 1, int(len(took) * 0.999))]


def _values(verdict, known, copies):
    for event_id, several in copies.items():
        wanted = known.get(event_id)
        if wanted is None or any(json.loads(r.value) != wanted.data() for r in several):
            verdict.altered.append(event_id)


def order_breaks(promised, found):
    """Where a sender's acknowledged event comes, for the first time, after a later one of the same topic."""
    last, seen, breaks = {}, set(), []
    for record in found:
        sent = promised.get(record.id)
        if sent is None or record.id in seen:
            continue
        seen.add(record.id)
        before = last.get((record.topic, sent.sender), -1)
        if sent.number < before:
            breaks.append(f"{record.topic}: {record.id} after {sent.sender}-{before}")
        last[record.topic, sent.sender] = max(before, sent.number)
    return breaks


def read_back(kafka, topics):
    return [record for topic in topics for record in records.read(kafka, topic)]


def set_aside(spool):
    """The ids of the rows in the table `aside` of a spool: their headers are in the row, as text."""
    path = spool / "spool.db"
    if not path.exists():
        return set()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT record FROM aside").fetchall()
    return {_id_of(bytes(row[0])) for row in rows}


def _id_of(record):
    at = record.find(b"ce_id") + len(b"ce_id")
    length = int.from_bytes(record[at:at + 4], "little")
    return record[at + 4:at + 4 + length].decode()
