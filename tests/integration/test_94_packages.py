"""The Debian package: what lintian says, what its pages and completions know, and its life in a clean Debian."""
import gzip
import re
import subprocess

import pytest

from support import debian, http, records, release
from support.ferry import ROOT, encode, event, sign
from support.process import free_port

PROGRAMS = ["ferry", "ferry-bridge", "ferry-slack", "ferry-mail", "ferry-automation"]
USERS = {"ferry", "ferry-bridge", "ferry-slack", "ferry-mail", "ferry-automation"}

pytestmark = pytest.mark.timeout(600)  # the first run makes a base system and the release build


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return release.package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def contents(package, tmp_path_factory):
    """A folder with the package's files."""
    folder = tmp_path_factory.mktemp("contents")
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def helps():
    """What each command and program says of itself: "ferry dlq" → its --help."""
    folder = release.build()

    def said(*command):
        return subprocess.run([folder / command[0], *command[1:], "--help"], capture_output=True, text=True, check=True).stdout
    overview = said("ferry")
    commands = re.findall(r"(?m)^  ([a-z]+)  +\S", overview)
    assert {"demo", "check", "replay"} <= set(commands)
    return {"ferry": overview} | {f"ferry {name}": said("ferry", name) for name in commands} | \
        {name: said(name) for name in PROGRAMS[1:]}


def flags(text):
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text))


# ------------------------------------------------------------------------------------------- before it is installed


def test_lintian_finds_nothing_to_say(package):
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", package], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def plain(folder, page):
    """A manual page as plain words."""
    name, section = page.rsplit(".", 1)
    path = folder / "usr/share/man" / f"man{section}" / f"{name}.{section}.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    return re.sub(r"\\f[BIR]", "", text).replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")


def test_every_command_and_program_has_a_manual_page_with_each_of_its_flags(contents, helps):
    for name, text in helps.items():
        page = plain(contents, name.replace(" ", "-") + (".8" if name in PROGRAMS[1:] else ".1"))
        assert flags(text) <= flags(page), (name, flags(text) - flags(page))


def test_the_page_of_the_configuration_has_every_key(contents):
    reference = subprocess.run([release.build() / "ferry", "check", "--reference"], capture_output=True, text=True,
                               check=True).stdout
    rows = re.findall(r"(?m)^\| `([^`]+)` \| (.*?)(?<!\\) \|", reference)
    page = plain(contents, "ferry.yaml.5")
    assert len(rows) > 100
    for key, kind in rows:
        assert f".TP\n{key} ({kind.split(',')[0].replace('`', '')}" in page, key
    assert "`" not in page


def complete(contents, line, folder=ROOT):
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    script = f"""source {contents}/usr/share/bash-completion/completions/ferry
COMP_WORDS=({' '.join(f"'{word}'" for word in words)}) COMP_CWORD={len(words) - 1}
_ferry; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-uc", script], capture_output=True, text=True, check=True, cwd=folder,
                          env={"PATH": f"{release.build()}:/usr/bin:/bin"})
    return done.stdout.split()


@pytest.mark.parametrize("line, offered", [
    ("ferry repl", ["replay"]),
    ("ferry replay --to-w", ["--to-worker"]),
    ("ferry replay --to-worker ", ["slack", "mail", "automation"]),
    ("ferry -c ferry.yaml dlq re", ["redrive"]),
    ("ferry topics --format str", ["strimzi"]),
    ("ferry send --form ", ["legacy", "hybrid", "cloudevents"]),
    ("ferry send --event app.cr", ["app.created"]),
    ("ferry check --config README.", ["README.md"]),
    ("ferry-slack --log", ["--log-format"]),
    ("ferry-slack --log-format ", ["json", "text"]),
])
def test_bash_completes(contents, line, offered):
    assert complete(contents, line) == offered


def test_bash_completes_every_flag_that_a_help_names(contents, helps):
    for name, text in helps.items():
        rows = set(re.findall(r"(?m)^ +(?:-\w, )?(--[a-z][\w-]*)", text))
        assert rows <= set(complete(contents, f"{name} --")), name


@pytest.mark.parametrize("line, offered", [
    ("ferry repl", ["replay"]),
    ("ferry replay --to-w", ["--to-worker"]),
    ("ferry replay --to-worker ", ["automation", "mail", "slack"]),
    ("ferry dlq red", ["redrive"]),
    ("ferry send --event app.created", ["app.created"]),
    ("ferry-mail --allow", ["--allow-root"]),
])
def test_fish_completes(contents, tmp_path, line, offered):
    done = subprocess.run(["fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]",
                           contents / "usr/share/fish/vendor_completions.d/ferry.fish", line], capture_output=True, text=True,
                          check=True, env={"PATH": f"{release.build()}:/usr/bin:/bin", "HOME": str(tmp_path)}, cwd=tmp_path)
    assert [row.split("\t")[0] for row in done.stdout.splitlines()] == offered, done.stderr


# ------------------------------------------------------------------------------------------------ in a clean Debian


@pytest.fixture(scope="module")
def system(package, tmp_path_factory):
    with debian.Debian(tmp_path_factory.mktemp("debian") / "root", package) as system:
        system.before, system.users_before = system.files(), system.users()
        system.run("dpkg", "-i", "/package.deb")
        yield system


def test_the_programs_run_with_nothing_but_what_the_package_depends_on(system):
    for program in PROGRAMS:
        assert re.fullmatch(rf"{program} \d+\.\d+\.\d+\n", system.run(program, "--version"))


def test_each_program_has_a_user_and_nobody_but_root_reads_the_secrets_to_be_handed_over(system):
    assert system.users() - system.users_before == USERS
    for program in ("bridge", "slack", "mail", "automation"):
        assert system.run("stat", "-c", "%U %a", f"/etc/ferry/secrets-{program}") == "root 700\n"
        assert "ferry" in system.run("id", "-nG", f"ferry-{program}").split()
    assert system.run("stat", "-c", "%G %a", "/etc/ferry") == "ferry 2755\n"


def test_nothing_is_started_before_somebody_has_configured_it(system):
    wants = system.path("/etc/systemd/system/multi-user.target.wants")
    assert not wants.exists() or not list(wants.glob("ferry*"))
    system.run("ferry", "check", "-c", "/etc/ferry/ferry.yaml", code=78)


def configured(system, kafka, prefix):
    """`ferry init`, and what an administrator changes afterwards; the address and the secret."""
    system.run("ferry", "init", "-c", "/etc/ferry/ferry.yaml", "--tenant", "acme", "--kafka", kafka.bootstrap,
               "--slack-webhook", "", "--smtp", "")
    listen = f"127.0.0.1:{free_port()}"
    text = system.read("/etc/ferry/ferry.yaml")
    text = text.replace("listen: 127.0.0.1:8080", f"listen: {listen}").replace("127.0.0.1:8081", f"127.0.0.1:{free_port()}")
    text = text.replace("topics:\n", f'topics:\n  name: "{prefix}.{{event}}"\n  internal: {prefix}\n  other: {prefix}.app.created\n'
                        "  create: routed\n  partitions: 1\n")
    system.write("/etc/ferry/ferry.yaml", text)
    secret = re.search(r"QLIK_WEBHOOK_SECRET=(\S+)", system.read("/etc/ferry/ferry.env"))[1]
    return listen, secret


def test_an_event_goes_through_the_installed_bridge(system, kafka, tmp_path):
    listen, secret = configured(system, kafka, "packaged")
    assert system.run("stat", "-c", "%U:%G %a", "/etc/ferry/ferry.env") == "root:ferry 640\n"
    system.run("install", "-d", "-o", "ferry-bridge", "-m", "700", "/var/lib/ferry")  # the unit's StateDirectory=
    bridge = system.start("ferry-bridge", "-c", "/etc/ferry/ferry.yaml", user="ferry-bridge", log=tmp_path / "log")
    try:
        bridge.wait_for(lambda: "topics looked through" in bridge.text(), 60)
        sent = event("com.qlik.app.created")
        body = encode(sent)
        answer = http.send("POST", f"http://{listen}/webhooks/qlik", body,
                           {"Content-Type": "application/json", "Qlik-Signature": sign(body, secret)})
        assert answer.status in (202, 204), answer.body
        assert records.wait_for_id(kafka, "packaged.app.created", sent["id"], 60)
    finally:
        code = bridge.stop()
    assert code == 0, bridge.text()[-3000:]


def test_a_newer_package_keeps_the_configuration_also_where_both_have_changed_it(system, package, tmp_path):
    mine = system.read("/etc/ferry/ferry.yaml")
    newer = debian.changed(package, tmp_path / "newer", control=lambda text: re.sub(r"(?m)^(Version: \S+)", r"\1+1", text),
                           files={"etc/ferry/ferry.yaml": "# what the next version says\n"})
    system.bring(newer, "/next.deb")
    system.run("chmod", "0750", "/etc/ferry/secrets-slack")
    system.run("dpkg", "--force-confold", "-i", "/next.deb")
    assert "+1" in system.run("dpkg-query", "-W", "-f", "${Version}", "ferry")
    assert system.read("/etc/ferry/ferry.yaml") == mine
    assert system.run("stat", "-c", "%a", "/etc/ferry/secrets-slack") == "750\n"
    system.run("dpkg", "--force-confold", "-i", "/package.deb")  # and back
    assert system.read("/etc/ferry/ferry.yaml") == mine


def test_removing_keeps_what_is_the_administrators_and_purging_leaves_nothing(system):
    system.run("dpkg", "-r", "ferry")
    assert not system.path("/usr/bin/ferry-bridge").exists()
    assert "QLIK_WEBHOOK_SECRET" in system.read("/etc/ferry/ferry.env")
    assert "webhooks" in system.read("/etc/ferry/ferry.yaml")
    system.run("dpkg", "-P", "ferry")
    assert system.files() - system.before == set()
    assert system.users() == system.users_before
