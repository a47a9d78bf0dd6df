"""What one run costs, and whether all that was acknowledged is in Kafka."""
import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import subprocess
import threading
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from support.process import until
from webhooks import content_type, types

SCRIPT = pathlib.Path(__file__).resolve().parent / "post.lua"
SAMPLE = 200


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid, what):
    """`what`: VmRSS or VmHWM."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split(what + ":")[1].split()[0]) / 1024


class Ends:
    """How many records the topics of a player hold, and which of its events came after a moment."""

    def __init__(self, kafka):
        self.consumer = Consumer({**kafka.client(), "group.id": "bench", "enable.auto.commit": False, "log_level": 0})

    def end(self, topic, number):
        """Retried: the leader of a topic that has just been made may not know it yet."""
        def ask():
            with contextlib.suppress(KafkaException):
                return [self.consumer.get_watermark_offsets(TopicPartition(topic, number), 10)[1]]
        return until(ask, 30, f"the end of {topic}/{number}")[0]

    def of(self, player, kinds=6):
        wanted = player.topics(types(kinds))
        listing = until(lambda: self.listing_with(wanted), 60, f"all topics of {player.name}")
        return {(topic, number): self.end(topic, number)
                for topic in wanted for number in listing[topic].partitions}

    def listing_with(self, wanted):
        """All topics; None while one of these is missing: Ferry takes events into its spool while its topics are made."""
        listing = self.consumer.list_topics(timeout=10).topics
        return listing if listing.keys() >= set(wanted) else None

    def count(self, player, kinds=6):
        return sum(self.of(player, kinds).values())

    def ids_since(self, before, player, wanted, limit=30):
        """How often each id is there: read until all that are wanted have been seen, and then to the end."""
        self.consumer.assign([TopicPartition(topic, number, end) for (topic, number), end in before.items()])
        found, end = collections.Counter(), time.monotonic() + limit
        more = True
        while more or (wanted - found.keys() and time.monotonic() < end):
            messages = self.consumer.consume(500, 1)
            more = len(messages) > 0
            found.update(player.id_of(message) for message in messages if not message.error())
        self.consumer.unassign()
        return found


# -------------------------------------------------------------------------------------------------- one run

def begin_load(player, cell, requests, seconds):
    return subprocess.Popen(
        ["wrk", "-t1", f"-c{cell.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(SCRIPT), player.url(cell)],
        env={**os.environ, "REQUESTS": str(requests), "CONTENT_TYPE": content_type(cell)}, stdout=subprocess.PIPE, text=True)


def end_load(running):
    """wrk's view of the run."""
    said = running.communicate()[0]
    assert running.returncode == 0, f"wrk ended with {running.returncode}: {said}"
    return json.loads(said.splitlines()[-1])


def load(*arguments):
    return end_load(begin_load(*arguments))


def warm_up(player, cell, requests):
    """Kafka is slow at the first records of a partition (some 20 s for 600 of them): until each has had a good many."""
    sent = 0
    for _ in range(60):
        sent += load(player, cell, requests, 1)["requests"] * cell.batch
        if sent >= 200 * cell.types:
            break


def acknowledged(player, cell, seen):
    """The events of the run that were; those with a bad signature were refused, and no others."""
    count = (seen["requests"] - seen["refused"]) * cell.batch
    assert count > 0, f"{player.name} acknowledged nothing: {seen}"
    share = seen["refused"] / seen["requests"]
    assert abs(share - cell.bad) <= (0.02 if cell.bad else 0), f"{player.name} refused {share:.1%}: {seen}"
    return count


def measure(player, cell, requests, seconds, ends):
    pid, before = player.child.pid, ends.count(player, cell.types)
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
    cpu = cpu_seconds(pid)
    seen = load(player, cell, requests, seconds)
    cpu = cpu_seconds(pid) - cpu
    count = acknowledged(player, cell, seen)
    until(lambda: ends.count(player, cell.types) - before >= count, 60, f"{count} records of {player.name} in Kafka")
    return {"rate": count / seen["seconds"], "cpu": cpu / (seen["requests"] * cell.batch) * 1e6, "p50": seen["p50"],
            "p99": seen["p99"], "peak": memory_mib(pid, "VmHWM"), "broken": seen["broken"] + seen["late"]}


def check_ids(player, ends):
    """Sends it a sample. Each id that it acknowledges is in Kafka once; the line says so."""
    before = ends.of(player)
    sent = {name for name in map(player.send, range(SAMPLE)) if name}
    found = ends.ids_since(before, player, sent)
    wrong = {name: found[name] for name in sent if found[name] != 1}
    assert sent and not wrong, f"{player.name}: of {len(sent)} that it acknowledged, these are not in Kafka once: {wrong}"
    return f"{player.name}: {len(sent)} of {SAMPLE} acknowledged, the id of each is in Kafka once"


# -------------------------------------------------------------------------------- other cells than runs of wrk

def start_times(player):
    """Milliseconds from exec until it says that it is ready, and until it has acknowledged an event; 2 ms are the finest.
    The first is left out where a player cannot tell."""
    began, took = time.monotonic(), {}
    player.start()

    def watch(name, happened):
        while name not in took and time.monotonic() < began + 30:
            if happened():
                took[name] = (time.monotonic() - began) * 1000
            time.sleep(0.002)

    watches = [threading.Thread(target=watch, args=("event", lambda: player.send(0)))]
    if player.ready() is not None:
        watches.append(threading.Thread(target=watch, args=("ready", player.ready)))
    for thread in watches:
        thread.start()
    for thread in watches:
        thread.join()
    player.stop()
    assert len(took) == len(watches), f"{player.name} was up in 30 s with {took} only"
    return took


def spool(kafka, player, cell, requests, seconds, ends):
    """Events a second into the spool while Kafka is down, and out of it when it is back; memory."""
    broker = kafka.brokers[0]
    player.start()
    player.wait()
    assert until(lambda: player.send(0), 20)
    before = ends.count(player)

    def held():
        return player.program.metric("ferry_spool_events")

    broker.kill()
    # The first event of each topic waits for Kafka before it is spooled: that is not what is measured.
    with concurrent.futures.ThreadPoolExecutor(6) as senders:
        list(senders.map(lambda number: player.send(number, 30), range(6)))
    until(lambda: held() >= 6, 30, "an event of each topic in the spool")
    seen = load(player, cell, requests, seconds)
    all_held = held()
    broker.start().wait()
    began = full = time.monotonic()  # full: when it was last seen so
    while held() >= all_held:
        full = time.monotonic()
        assert full < began + 120, "nothing has left the spool"
        time.sleep(0.01)
    until(lambda: held() == 0, 120, "an empty spool")
    seconds_out = time.monotonic() - full
    count = (seen["requests"] - seen["refused"]) * cell.batch
    until(lambda: ends.count(player) - before >= count, 60, "every acknowledged record in Kafka")
    memory = {"peak": memory_mib(player.child.pid, "VmHWM"), "after": memory_mib(player.child.pid, "VmRSS")}
    player.stop()
    return {"in": count / seen["seconds"], "out": all_held / seconds_out, "refused": seen["refused"], **memory}


def soak_sample(player, cell, requests, seconds):
    """One of many: memory and descriptors are looked at in its middle, while all connections are open."""
    pid = player.child.pid
    cpu, running = cpu_seconds(pid), begin_load(player, cell, requests, seconds)
    time.sleep(seconds / 2)
    memory, descriptors = memory_mib(pid, "VmRSS"), len(os.listdir(f"/proc/{pid}/fd"))
    seen = end_load(running)
    count = acknowledged(player, cell, seen)
    return {"memory": memory, "descriptors": descriptors, "cpu": (cpu_seconds(pid) - cpu) / count * 1e6, "p99": seen["p99"],
            "count": count, "rate": count / seen["seconds"]}
