"""`ferry demo`: the whole of Ferry, its programs as they run in production, with a broker in memory."""
import os
import re
import signal
import subprocess

import pytest
from support.ferry import BIN
from support.process import Child, until


def demo_once(folder, *arguments):
    env = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.run([BIN / "ferry", "demo", "--once", *arguments], capture_output=True, text=True, env=env,
                          check=False, timeout=120)


def programs_in(folder):
    """Command lines of the processes that use a configuration in that folder."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", encoding="utf-8") as file:
                line = file.read()
        except OSError:
            continue
        if str(folder) in line and "--config" in line:
            found.append(line)
    return found


@pytest.fixture
def running(tmp_path):
    child = Child([BIN / "ferry", "demo"], tmp_path / "log", env={"TMPDIR": str(tmp_path)})
    child.wait_for(lambda: "--data-binary" in child.text(), 90)
    yield child
    child.stop()


def test_every_event_of_the_story_reaches_kafka_and_has_its_effects(tmp_path):
    demo = demo_once(tmp_path)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "10 events, 12 effects; " in demo.stdout
    for form in ("legacy", "hybrid", "cloudevents"):
        assert re.search(rf"app\.created +{form} +204 +qlik\.app\.created/\d/\d+ +\d+ +Slack: \*Sales {form}\*", demo.stdout)
        assert re.search(rf"user\.created +{form} +204 +qlik\.user\.created/\d/\d+ +\d+ +mail: to ada\.{form}@", demo.stdout)
        assert re.search(rf"user\.deleted +{form} +204 .*automation: run with {{\"user\":\"user-{form}\"}}", demo.stdout)
        assert f'CRM: PATCH /users/user-{form} {{"status":"inactive"' in demo.stdout
    assert re.search(r"401 +forged signature: refused", demo.stdout)
    assert "sent again: known, no second effect" in demo.stdout
    assert "\x1b[" not in demo.stdout and "null" not in demo.stdout


def test_nothing_is_left_behind(tmp_path):
    demo_once(tmp_path)
    assert os.listdir(tmp_path) == []
    assert programs_in(tmp_path) == []


def test_what_is_kept_can_be_read_afterwards(tmp_path):
    kept = tmp_path / "kept"
    demo = demo_once(tmp_path, "--keep", kept)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "bootstrap.servers: 127.0.0.1:" in (kept / "ferry.yaml").read_text()
    assert "ferry-slack" in (kept / "ferry-slack.log").read_text()


def test_events_of_ones_own_are_shown_until_ctrl_c(running, tmp_path):
    commands = [line.strip() for line in running.text().splitlines() if line.startswith("  /") or "  curl " in line]
    for command in commands:
        subprocess.run(command, shell=True, check=True, capture_output=True, timeout=30)
    until(lambda: "Slack: *My app* was created" in running.text(), 20)
    until(lambda: "Slack: *Made with curl* was created" in running.text(), 20)
    running.signal(signal.SIGINT)
    assert running.wait() == 0
    assert os.listdir(tmp_path) == ["log"]


def test_a_program_that_dies_ends_the_demo_with_its_last_words(running, tmp_path):
    victims = [entry for entry in os.listdir("/proc") if entry.isdigit() and is_child(entry, running.pid, "ferry-mail")]
    assert len(victims) == 1
    os.kill(int(victims[0]), signal.SIGKILL)
    assert running.wait() == 1
    assert "ferry-mail ended by signal 9; the end of its log:\n" in running.text()
    assert os.listdir(tmp_path) == ["log"]


def is_child(pid, parent, name):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            stat = file.read()
    except OSError:
        return False
    return f"({name})" in stat and stat.rpartition(") ")[2].split()[1] == str(parent)


def test_programs_do_not_outlive_a_demo_that_is_killed(running, tmp_path):
    running.kill()
    until(lambda: programs_in(tmp_path) == [], 10)
