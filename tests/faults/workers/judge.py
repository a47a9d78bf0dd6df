"""The judge of worker faults: what was published is held against what the sink took and what the DLQ has."""
from collections import Counter, defaultdict
from dataclasses import dataclass, field

OURS = ("ferry-error", "ferry-reason", "ferry-attempts", "ferry-origin", "ferry-route", "ferry-failed-at")


@dataclass
class Verdict:
    effects: int = 0
    missing: list = field(default_factory=list)
    repeated: int = 0
    breaks: list = field(default_factory=list)
    dead: int = 0
    altered: list = field(default_factory=list)  # dead letters that are not what was published
    p99: float = None                            # publication to effect, of the keys that nothing was done to


def judge(published, taken, dead, watched=lambda p: True):
    known, by_origin = {p.id: p for p in published}, {p.origin: p for p in published}
    buried = {origin_of(r) for r in dead}
    times = Counter(t.id for t in taken)
    verdict = Verdict(effects=len(published), dead=len(dead))
    verdict.missing = [p.id for p in published if p.id not in times and p.origin not in buried]
    verdict.repeated = sum(count - 1 for count in times.values())
    verdict.breaks = order_breaks(known, taken)
    verdict.altered = [origin_of(r) for r in dead if not is_original(r, by_origin.get(origin_of(r)))]
    first = {}
    for t in taken:
        first.setdefault(t.id, t.at)
    waits = sorted(first[i] - p.at for i, p in known.items() if i in first and watched(p) and not p.key.startswith("warm-"))
    verdict.p99 = waits[min(len(waits) - 1, int(len(waits) * 0.99))] if waits else None
    return verdict


def origin_of(dead_letter):
    return dict(dead_letter.pairs)["ferry-origin"].decode()


def is_original(record, published):
    """Value, key and headers byte by byte; what the worker added is apart."""
    if published is None:
        return False
    theirs = [(n, v) for n, v in record.pairs if n not in OURS]
    return (record.value == published.value and record.key == published.key.encode() and theirs == published.headers
            and {n for n, _ in record.pairs} >= set(OURS))


def order_breaks(known, taken):
    """Where an event takes effect, for the first time, after a later one of its lane: topic and key."""
    last, seen, breaks = defaultdict(lambda: -1), set(), []
    for event in (known[t.id] for t in taken):
        if event.id in seen:
            continue
        seen.add(event.id)
        lane = event.topic, event.key
        if event.number < last[lane]:
            breaks.append(f"{event.key}: {event.number} after {last[lane]}")
        last[lane] = max(last[lane], event.number)
    return breaks
