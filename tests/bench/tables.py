"""The figures as Markdown, and the page that `--write` makes of them."""
import os
import pathlib
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tomllib

import plot
from players import BUILT, HERE, MQ_BRIDGE
from support.ferry import BIN, library
from support.kafka import jars
from webhooks import BY_CONNECTIONS, CELLS

ALLOWED_GROWTH = 0.10
SOAKED = {"memory": ("resident MiB", 1), "descriptors": ("open descriptors", 0), "cpu": ("CPU µs an event", 1),
          "p99": ("p99 ms", 1)}


def spread(runs, what, digits=0):
    values = sorted(run[what] for run in runs if what in run)
    return f"{statistics.median(values):,.{digits}f} ({values[0]:,.{digits}f}–{values[-1]:,.{digits}f})" if values else "—"


def ratio(results, player, what):
    """Of this player to the Rust peer, medians."""
    if "rust" not in results:
        return "—"
    mine, other = (statistics.median(run[what] for run in results[name]) for name in (player, "rust"))
    return f"{mine / other:.2f}" if other else "—"


def of_cell(results):
    return ["| | events/s | of Rust | CPU µs an event | of Rust | p50 ms | p99 ms | peak MiB | broken |",
            "|---|---|---|---|---|---|---|---|---|",
            *(f"| {player} | {spread(runs, 'rate')} | {ratio(results, player, 'rate')} | {spread(runs, 'cpu', 1)} |"
              f" {ratio(results, player, 'cpu')} | {spread(runs, 'p50', 2)} | {spread(runs, 'p99', 1)} |"
              f" {spread(runs, 'peak')} | {sum(run['broken'] for run in runs)} |" for player, runs in results.items())]


def of_start(results):
    return ["Milliseconds from exec, the topics being there.", "",
            "| | `/readyz` says 200 | first acknowledged event |", "|---|---|---|",
            *(f"| {player} | {spread(runs, 'ready')} | {spread(runs, 'event')} |" for player, runs in results.items())]


def of_spool(results):
    return ["| Ferry, events/s | in, Kafka being down | out, Kafka being back | refused | peak MiB | afterwards |", "|---|---|---|---|---|---|",
            *(f"| {name} | {spread(runs, 'in')} | {spread(runs, 'out')} | {sum(run['refused'] for run in runs)} |"
              f" {spread(runs, 'peak')} | {spread(runs, 'after')} |" for name, runs in results.items())]


def fifth(samples, number):
    """Of the first (0) to the last (4); never empty."""
    start, end = (round(len(samples) * edge / 5) for edge in (number, number + 1))
    return samples[start:max(end, start + 1)] or samples[-1:]


def of_soak(results):
    """Flat: the last fifth's median is no more than 10 % over the first's."""
    samples = results["ferry"]
    rows = []
    for what, (label, digits) in SOAKED.items():
        first, last = (statistics.median(run[what] for run in fifth(samples, number)) for number in (0, 4))
        growth = last / first - 1 if first else 0.0
        verdict = "flat" if growth <= ALLOWED_GROWTH else "**grows**"
        rows.append(f"| {label} | " + " | ".join(spread(fifth(samples, number), what, digits) for number in (0, 2, 4)) +
                    f" | {growth:+.0%} | {verdict} |")
    events, rate = sum(run["count"] for run in samples), statistics.median(run["rate"] for run in samples)
    return [f"Ferry, {len(samples)} samples, {events:,} events, {rate:,.0f} events/s (median); all of them are in Kafka.", "",
            "| | first fifth | middle fifth | last fifth | last to first | |", "|---|---|---|---|---|---|", *rows]


def section(name, results):
    """A cell's heading and table."""
    lines = {"start": of_start, "spool": of_spool, "soak": of_soak}.get(name, of_cell)(results)
    return "\n".join(["", f"### {name}", "", *lines])


# ---------------------------------------------------------------------------------------------------- the page

def said(*command):
    """The first line that a program prints, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return next(iter((done.stdout or done.stderr).splitlines()), "")


def found(pattern, text):
    match = re.search(pattern, text, re.M)
    return match[1] if match else "?"


def peer_versions(names):
    packages = tomllib.loads((HERE / "peers/rust/Cargo.lock").read_text())["package"]
    lock = {package["name"]: package["version"] for package in packages}
    rust = found(r"rustc (\S+)", said("rustc", "--version"))
    go = found(r"go version go(\S+)", said("go", "version"))
    franz = found(r"franz-go v(\S+)", (HERE / "peers/go/go.mod").read_text())
    python = found(r"Python (\S+)", said(BUILT / "mq/bin/python", "--version"))
    texts = {"rust": f"Rust {rust} (axum {lock['axum']}, rdkafka {lock['rdkafka']})", "go": f"Go {go} (franz-go {franz})",
             "mq": f"PyPI mq-bridge {MQ_BRIDGE} (Python {python})"}
    return [text for name, text in texts.items() if name in names]


def machine(names):
    """What it ran on and with, a line each."""
    model = found(r"model name\s*: (.+)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = int(found(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())) / (1 << 20)
    system = found(r'PRETTY_NAME="(.+)"', pathlib.Path("/etc/os-release").read_text())
    release = pathlib.Path("/etc/debian_version").read_text().strip()
    broker = next(path.stem.rpartition("-")[2] for path in jars().glob("kafka_*.jar"))
    java = found(r"openjdk (\S+)", said("java", "--version"))
    wrk = found(r"(\d+\.\d+\.\d+)", said("wrk", "-v"))
    libraries = {"libmicrohttpd": "MHD_get_version", "librdkafka": "rd_kafka_version_str", "libjansson": "jansson_version_str"}
    versions = [f"{name} {'.'.join(map(str, library(name, function)[:3]))}" for name, function in libraries.items()]
    return [f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB", f"Linux {platform.release()}; {system}, release {release}",
            f"{said(BIN / 'ferry-bridge', '--version')} with {', '.join(versions)}",
            f"Apache Kafka {broker}, KRaft, one broker, on the same machine; OpenJDK {java}",
            f"wrk {wrk}, one thread, on the same machine",
            *(f"peer: {text}" for text in peer_versions(names))]


def plots(results, file):
    """Writes the two pictures beside the page; returns the lines that show them."""
    lines = []
    for what, title in (("cpu", "CPU µs an event"), ("rate", "events/s")):
        groups = {str(count): {player: [run[what] for run in runs] for player, runs in results[name].items()}
                  for count, name in BY_CONNECTIONS.items() if name in results}
        if groups:
            seen = list(dict.fromkeys(player for group in groups.values() for player in group))
            picture = file.with_name(f"{file.stem}-{what}.svg")
            picture.write_text(plot.bars(f"{title}: median, and from the least to the most", "connections", groups, seen))
            lines += ["", f"![{title} by connections, each player beside the others]({picture.name})"]
    return lines


def merged(runs):
    """The figures of all runs as if they were of one."""
    results = {}
    for run in runs:
        for name, figures in run.items():
            cell = results.setdefault(name, {})
            for player, found in figures.items():
                cell.setdefault(player, []).extend(found)
    return results


def in_runs(runs):
    return f" in each of {len(runs)} runs" if len(runs) > 1 else ""


def of_runs(runs):
    """Whether the ratios to the Rust peer agree from run to run."""
    def one(run, name, what):
        player, peer = (statistics.median(figure[what] for figure in run[name][who]) for who in ("ferry", "rust"))
        return player / peer

    rows = []
    for name in (name for name in CELLS if all({"ferry", "rust"} <= run.get(name, {}).keys() for run in runs)):
        found = {what: [one(run, name, what) for run in runs] for what in ("cpu", "rate", "p99")}
        rows.append(f"| {name} | " + " | ".join(" ".join(f"{value:.2f}" for value in values) for values in found.values()) + " |")
    return ["", "### run by run", "", f"Ferry's medians by the Rust peer's, of each of the {len(runs)} runs.", "",
            "| | CPU an event | events/s | p99 |", "|---|---|---|---|", *rows]


def page(runs, options, checks):
    """The Markdown of all results."""
    results = merged(runs)
    names = {player for players in results.values() for player in players}
    command = shlex.join(["./dev", "bench", "ingress", *sys.argv[1:]])
    lines = ["## The ingress: what an acknowledged event costs", "", f"`{command}`", "",
             *(f"- {line}" for line in machine(names)), "",
             f"Medians of {options.rounds} rounds of {options.seconds} s{in_runs(runs)}, with the spread; the players in turn."
             f" {CELLS['legacy'].connections} connections and signed events of 0.9 KB of six types, unless the cell's name says"
             " otherwise. CPU is user and system time of the player alone. After each run its topics had grown by at least what it"
             " had acknowledged."]
    lines += plots(results, options.write)
    order = [*CELLS, "start", "spool", "soak"]
    lines += [section(name, results[name]) for name in order if results.get(name)]
    lines += of_runs(runs) if len(runs) > 1 else []
    if checks:
        lines += ["", "### ids", "", *(f"- {check}" for check in checks)]
    return "\n".join(lines) + "\n"
