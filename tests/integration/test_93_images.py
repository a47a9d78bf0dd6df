"""What the image and the compose file are made of, without building an image: scripts, and whether what one file names is
in the other."""
import os
import re
import subprocess

import pytest
import yaml

from support.ferry import BIN, ROOT

DOCKER = ROOT / "docker"
VALUES = {"PUBLIC_URL": "https://ferry.example.com", "QLIK_WEBHOOK_SECRET": "0123456789abcdef" * 2,
          "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/X", "SMTP_URL": "smtps://mail.example.com:465",
          "MAIL_ADDRESS": "no-reply@example.com", "SMTP_PASSWORD": "x"}


def check(config, folder):
    """`ferry check` of the text of a configuration, with every variable set."""
    file = folder / "ferry.yaml"
    file.write_text(config)
    return subprocess.run([BIN / "ferry", "check", "-c", file], env=os.environ | VALUES, capture_output=True, text=True,
                          check=False, timeout=30)


@pytest.mark.parametrize("name", ["small.yaml", "full.yaml"])
def test_the_configurations_of_compose_pass_the_check(name, tmp_path):
    done = check((DOCKER / name).read_text(), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_of_the_chart_passes_the_check(tmp_path):
    values = yaml.safe_load((DOCKER / "helm/ferry/values.yaml").read_text())
    done = check(values["config"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_has_what_its_services_name():
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        assert set(service["profiles"]) <= {"small", "full"}, name
        for volume in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
            assert (DOCKER / source).is_file() if source.startswith(".") else source in compose["volumes"], f"{name}: {source}"


def test_the_variables_that_must_be_written_are_in_the_example():
    wanted = set(re.findall(r"\$\{(\w+):\?", (DOCKER / "compose.yaml").read_text()))
    assert wanted and wanted <= set(re.findall(r"(?m)^(\w+)=", (DOCKER / ".env.example").read_text()))


def test_no_program_of_compose_gets_anothers_secret():
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    given = {name: set(services[name]["environment"]) for name in ("bridge", "slack", "mail")}
    assert not given["bridge"] & given["slack"] and not given["slack"] & given["mail"] and not given["bridge"] & given["mail"]


@pytest.mark.parametrize("words, expected", [(["bridge", "--x"], "ferry-bridge --x"), (["check"], "ferry check"),
                                             (["ferry-mail"], "ferry-mail"), ([], "ferry")])
def test_the_first_word_says_what_the_image_runs(words, expected, tmp_path):
    for name in ("ferry", "ferry-bridge", "ferry-mail"):
        (tmp_path / name).write_text('#!/bin/sh\necho "${0##*/}" "$@"\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(["sh", DOCKER / "entry.sh", *words], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True,
                          text=True, check=True)
    assert done.stdout.strip() == expected


@pytest.mark.parametrize("events, status", [("0", 0), ("3", 1)])
def test_a_bridge_is_held_back_while_its_spool_has_events(events, status, tmp_path):
    (tmp_path / "ferry").write_text(f"#!/bin/sh\necho '{{\"events\": {events}, \"topics\": []}}'\n")
    (tmp_path / "ferry").chmod(0o755)
    done = subprocess.run(["sh", DOCKER / "drain.sh", "1"], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True,
                          text=True, check=False, timeout=60)
    assert done.returncode == status
