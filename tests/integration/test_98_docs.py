"""What the documentation says exists: links and anchors, commands and their flags, metrics, configurations. The recipes are
run by test_97_recipes.py."""
import functools
import json
import os
import re
import subprocess

import pytest
import yaml

from support import pages
from support.ferry import BIN

PAGES = {str(p.relative_to(pages.ROOT)): p for p in pages.all_pages()}
SECTIONS = {"kafka", "topics", "bridge", "worker", "slack", "mail", "automation", "log", "secrets", "ca_file", "shutdown_timeout"}
SHELL = ("sh", "bash", "console", "text", "")


def program(*arguments, **options):
    return subprocess.run([BIN / arguments[0], *arguments[1:]], capture_output=True, text=True, check=False, timeout=30, **options)


# ------------------------------------------------------------------------------------------------------- links


def broken_link(page, target):
    """What is wrong with a link, or None. Other servers are not asked."""
    if re.match(r"[a-z]+:", target):
        return None
    path, _, anchor = target.partition("#")
    file = (page.path.parent / path).resolve() if path else page.path
    if not file.exists():
        return "there is no such file"
    if not file.is_relative_to(pages.ROOT):
        return "it leads out of the project"
    if anchor and file.suffix == ".md" and anchor not in pages.anchors(pages.read(file)):
        return "there is no such heading"
    return None


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = pages.read(PAGES[name])
    broken = [f"{name}:{line}: {target}: {problem}" for line, target in pages.links(page)
              if (problem := broken_link(page, target))]
    assert not broken, "\n" + "\n".join(broken)


def test_every_page_can_be_found_from_the_readme():
    found, left = set(), [pages.ROOT / "README.md"]
    while left:
        path = left.pop()
        if path in found or not path.exists() or path.suffix != ".md":
            continue
        found.add(path)
        left += [(path.parent / target.partition("#")[0]).resolve() for _, target in pages.links(pages.read(path))
                 if target.partition("#")[0] and not re.match(r"[a-z]+:", target)]
    lost = [name for name, path in PAGES.items() if path not in found]
    assert not lost, f"no link leads to {lost}"


# ---------------------------------------------------------------------------------------------------- commands


@functools.cache
def help_of(*words):
    done = program("ferry", *words, "--help")
    return done.stdout if done.returncode == 0 else None


def strange_command(words):
    """What is wrong with the words behind `ferry`, or None."""
    if words[0].startswith("-"):
        words = words[2:] if words[0] in ("-c", "--config") else words
    if not words or words[0].startswith("-") or not re.fullmatch(r"[a-z]+", words[0]):
        return None
    text = help_of(words[0])
    if text is None:
        return f"there is no command {words[0]}"
    actions = set(re.findall(rf"^ *(?:usage:)? *ferry {words[0]} ([a-z]+)\b", text, re.M))
    if actions and len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]) and words[1] not in actions:
        return f"ferry {words[0]} does not know {words[1]}"
    for word in words[1:]:
        flag = re.match(r"--[a-z][a-z-]*|-[a-z](?=$|\W)", word)
        if flag and not re.search(rf"(?<![\w-]){re.escape(flag[0])}(?![\w-])", text + "--help -h -c --config --allow-root"):
            return f"ferry {words[0]} has no flag {flag[0]}"
    return None


def command_lines(page):
    """(place, words) of each `ferry …` of the page, in blocks and in code spans."""
    for block in page.blocks:
        if block.language in SHELL and block.role not in ("output",):
            for line in block.text.replace("\\\n", " ").split("\n"):
                for found in re.finditer(r"(?:^|[ |;&(`$]|\./|bin/)ferry +([^|;&)`#]*)", re.sub(r"'[^']*'|\"[^\"]*\"", "TEXT", line)):
                    if block.language not in ("text", "") or line.lstrip(" $").startswith(("ferry ", "./ferry ")):
                        yield str(block), found[1].split("  ")[0].split()
    for number, line in enumerate(page.prose.split("\n"), 1):
        for found in re.finditer(r"`ferry ([^`]*)`", line):
            yield f"{page.path.name}:{number}", re.sub(r"'[^']*'|\"[^\"]*\"", "TEXT", found[1]).split()


@pytest.mark.parametrize("name", PAGES)
def test_commands_and_flags_exist(name):
    strange = [f"{place}: `ferry {' '.join(words)}`: {problem}" for place, words in command_lines(pages.read(PAGES[name]))
               if words and (problem := strange_command(words))]
    assert not strange, "\n" + "\n".join(strange)


def test_what_is_no_command_is_noticed():
    assert strange_command(["dance"]) and strange_command(["spool", "dance"]) and strange_command(["lag", "--dance"])
    assert strange_command(["dlq", "drop", "-x"]) and strange_command(["check", "--onlin"])
    assert not strange_command(["dlq", "redrive", "--route", "welcome", "--dry-run"]) and not strange_command(["lag", "-c", "x"])


def test_what_dev_is_told_to_do_exists():
    usage = subprocess.run([pages.ROOT / "dev", "help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^  ([a-z]+)|\| ([a-z]+)", usage, re.M))
    known = {word for pair in known for word in pair if word}
    said = {(name, word) for name, path in PAGES.items() for word in re.findall(r"\./dev ([a-z]+)", path.read_text(encoding="utf-8"))}
    assert not [pair for pair in said if pair[1] not in known]


# ----------------------------------------------------------------------------------------------------- metrics


@functools.cache
def names_in_the_source():
    text = "".join(p.read_text(encoding="utf-8") for folder in ("core", "bridge", "consumers", "ferry")
                   for p in (pages.ROOT / folder).rglob("*.[ch]"))
    return set(re.findall(r"\bferry_[a-z0-9_]+", text))


@pytest.mark.parametrize("name", PAGES)
def test_metrics_exist(name):
    said = set(re.findall(r"\bferry_[a-z][a-z0-9_]*[a-z0-9]\b(?![_*<])", PAGES[name].read_text(encoding="utf-8")))
    missing = {n for n in said if re.sub(r"_(bucket|count|sum)$", "", n) not in names_in_the_source()} - names_in_the_source()
    assert not missing, f"{name}: {sorted(missing)}"


# ---------------------------------------------------------------------------------------------- configurations


def configurations():
    for name, path in PAGES.items():
        for block in pages.read(path).blocks:
            if block.language == "yaml" and block.role == "" and "docs/recipes" not in name:
                yield pytest.param(block, id=str(block))


def complete(text):
    """A section of a page on its own, with what `mail` must have beside it."""
    if "mail" in yaml.safe_load(text) and "smtp:" not in text:
        text = re.sub(r"^mail:\n", 'mail:\n  smtp: {url: "smtps://mail.example.com:465"}\n  from: ferry@example.com\n'
                      "  recipient_domains: [example.com]\n", text, flags=re.M)
    return text


@pytest.mark.parametrize("block", list(configurations()))
def test_configurations_load(block, tmp_path):
    """Blocks that are sections of a ferry.yaml. Files and variables that they name are there."""
    config = yaml.safe_load(block.text)
    if not isinstance(config, dict) or not set(config) <= SECTIONS:
        assert not isinstance(config, dict) or not set(config) & (SECTIONS - {"kafka", "log"}), f"{block}: half a configuration"
        return
    env = dict(os.environ)
    for variable in re.findall(r"env: (\w+)", block.text):
        env[variable] = "https://hooks.slack.com/services/T/B/X" if "SLACK_WEBHOOK" in variable else "x" * 40
    for file in re.findall(r"(?:file|certificate|key|ca|ca_file|secrets): ([\w./-]+\.\w+)", block.text):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('[{type: "section"}]' if file.endswith(".jq") else "x" * 40)
        path.chmod(0o600)
    (tmp_path / "ferry.yaml").write_text(complete(block.text), encoding="utf-8")
    done = program("ferry", "check", "-c", "ferry.yaml", cwd=tmp_path, env=env)
    assert done.returncode == 0, f"{block}:\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("block", [pytest.param(b, id=str(b)) for p in PAGES.values() for b in pages.read(p).blocks
                                   if b.language == "json" and b.role != "output"])
def test_json_is_json(block):
    if "…" not in block.text:
        for line in [block.text] if block.text.startswith(("{\n", "[\n")) else block.text.strip().split("\n"):
            json.loads(line)


@pytest.mark.parametrize("name", [n for n, p in PAGES.items() if "docs/recipes" not in n and pages.read(p).has("look")])
def test_commands_that_need_nothing_print_what_the_page_shows(name, tmp_path):
    printed = None
    for block in pages.read(PAGES[name]).blocks:
        if block.is_file:
            (tmp_path / block.role).write_text(block.text, encoding="utf-8")
        elif block.role == "look":
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", block.text], cwd=tmp_path, capture_output=True, text=True,
                                  check=False, timeout=60, env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"})
            assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"
            printed = done.stdout
        elif block.role == "output":
            assert pages.matches(block.text, printed), f"{block}: printed was\n{printed}"


def test_the_reference_is_what_the_program_prints():
    assert program("ferry", "check", "--reference").stdout == (pages.ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_the_commands_of_the_runbook_run(settings, make, tenant):
    """Each as it stands there, against a Ferry whose bridge and workers are not running just then."""
    auth, env = tenant.config()
    public = "https://ferry.example.com"
    door = {"path": "/webhooks/qlik", "format": "qlik", "signature": "qlik", "secrets": [{"env": "QLIK_WEBHOOK_SECRET"}]}
    mail = {"smtp": {"url": "smtp://127.0.0.1:25", "tls": "none"}, "from": "ferry@example.com", "recipient_domains": ["example.com"],
            "routes": [{"name": "welcome", "events": ["user.created"], "to": ".resource.email", "subject": "s", "text": "t"}]}
    ferry = make(settings, {"bridge": {"public_url": public, "webhooks": [door], "spool": {"directory": "spool"},
                                       "audits": [{"tenant": tenant.url, "auth": auth}]}, "mail": mail}, env=env)
    tenant.webhook(public + "/webhooks/qlik", eventTypes=["com.qlik.app.created"], secret="x" * 40)
    ferry.start("bridge", limit=90).stop()
    assert ferry.run("ferry", "topics", "-c", ferry.path, limit=60).returncode == 0
    blocks = [b for b in pages.read(PAGES["docs/runbook.md"]).blocks if b.language == "sh"]
    assert len(blocks) >= 6
    problems = []
    for block in blocks:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", block.text], cwd=ferry.folder, capture_output=True, text=True,
                              check=False, timeout=100, env={**os.environ, **ferry.env, "PATH": f"{BIN}:{os.environ['PATH']}"})
        if done.returncode != 0:
            problems.append(f"{block}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    assert not problems, "\n".join(problems)
