"""Write the manual pages and the shells' completions of an installation, from what the programs say of themselves.

    python3 dist/manuals.py --bin build/release/bin --to build/release/dist

Nothing here repeats a flag or a key: the pages of commands and programs are made of their --help, ferry.yaml(5) of
`ferry check --reference`, which is printed from the tables that read the file. Only what no program prints about itself
(what it is for, its files and signals) stands below in PROGRAMS and FILES.
"""
import argparse
import dataclasses
import gzip
import pathlib
import re
import subprocess

WORKERS = ["slack", "mail", "automation"]

# program → what it is for, beyond its --help
PROGRAMS = {
    "ferry-bridge": [
        "Takes signed webhooks over HTTP, checks each signature over the bytes that came, brings every format to CloudEvents, "
        "publishes an event to its topic, and answers 2xx only when all in-sync replicas have it, or, while Kafka does not "
        "answer, when it is on disk.",
        "It reads the sections `kafka`, `topics` and `bridge` of the configuration. Its admin address, `bridge.admin`, has "
        "/healthz, /readyz and /metrics.",
    ],
    "ferry-slack": [
        "Reads events from Kafka and sends the messages that the routes under `slack` make of them, each once.",
        "It reads the sections `kafka`, `topics`, `worker` and `slack` of the configuration. Its admin address, `slack.admin`, "
        "has /healthz, /readyz and /metrics.",
    ],
    "ferry-mail": [
        "Reads events from Kafka and sends the mails that the routes under `mail` make of them, each once.",
        "It reads the sections `kafka`, `topics`, `worker` and `mail` of the configuration. Its admin address, `mail.admin`, "
        "has /healthz, /readyz and /metrics.",
    ],
    "ferry-automation": [
        "Reads events from Kafka, starts Qlik automations and calls other systems, as the routes under `automation` say, each "
        "once.",
        "It reads the sections `kafka`, `topics`, `worker` and `automation` of the configuration. Its admin address, "
        "`automation.admin`, has /healthz, /readyz and /metrics.",
    ],
}
FILES = [
    ("/etc/ferry/ferry.yaml", "the configuration of all programs, ferry.yaml(5)"),
    ("/etc/ferry/secrets-*/", "one folder for each program: its secrets, a file each, handed over by systemd as credentials"),
    ("/var/lib/ferry/spool/", "what the bridge has acknowledged while Kafka did not answer"),
]

# ------------------------------------------------------------------------------------------- what the programs say


@dataclasses.dataclass
class Item:
    """A row of a help: a flag or a word, and what it does."""
    tag: str
    text: str
    in_usage: str = ""  # `text|json` of a usage's `--format text|json`

    @property
    def flags(self):
        return re.findall(r"(?<![\w-])--?\w[\w-]*", self.tag)

    @property
    def argument(self):
        """The word for what the flag takes; None: it takes nothing."""
        found = re.search(r"--?\w[\w-]* ([^-\s]\S*)$", self.tag)
        return found[1] if found else None

    @property
    def choices(self):
        """The words that the argument may be, where the help names them all."""
        if self.in_usage:
            return self.in_usage.split("|")
        each = [re.match(r"([a-z]+)(?: \(default\))?:", part) for part in self.text.split(" | ")]
        if len(each) > 1 and all(each):
            return [match[1] for match in each]
        word = r"[a-z][\w-]*(?: \(default\))?"
        found = re.match(rf"({word}(?:, {word})*,? or {word})(?: alone)?(?::.*)?$", self.text)
        if not self.argument or not found:
            return []
        return re.findall(r"[a-z][\w-]*", re.sub(r" \(default\)|\bor\b", "", found[1]))


@dataclasses.dataclass
class Help:
    usage: list
    blocks: list  # of texts, and of lists of Items

    @property
    def items(self):
        return [item for block in self.blocks if isinstance(block, list) for item in block]

    @property
    def flags(self):
        return [item for item in self.items if item.tag.startswith("-")]

    @property
    def subcommands(self):
        """`list` of `ferry dlq list …`."""
        return [words[2] for words in map(str.split, self.usage) if len(words) > 2 and words[2].isalpha() and words[2].islower()]


FLAG_ROW = re.compile(r"( *(?:-\w, )?--[a-z][\w-]*(?:, --[a-z][\w-]*)*(?: [A-Z][A-Z|]*)? +)(\S.*)$")
WORD_ROW = re.compile(r"( *[a-z][\w-]*  +)(\S.*)$")


def parse_help(text):
    lines = text.rstrip().split("\n")
    usage = []
    while lines and (lines[0].lower().startswith("usage: ") or usage) and lines[0].strip():
        usage.append(re.sub(r"(?i)^usage: ", "", lines.pop(0)).strip())
    blocks, column = [], None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        item = FLAG_ROW.match(line) or WORD_ROW.match(line)
        items = blocks and isinstance(blocks[-1], list)
        if not line.strip():
            column = None
            blocks.append("")
        elif item:
            column = len(item[1])
            if not items:
                blocks.append([])
            blocks[-1].append(Item(item[1].strip(), item[2]))
        elif items and column is not None and indent >= column - 2 and indent > 0:
            blocks[-1][-1].text += " " + line.strip()
        elif blocks and isinstance(blocks[-1], str) and blocks[-1]:
            blocks[-1] += " " + line.strip()
        else:
            blocks.append(line.strip())
    help = Help(usage, [block for block in blocks if block])
    for item in help.flags:
        found = re.search(rf"{item.flags[-1]} ([a-z]+(?:\|[a-z]+)+)", " ".join(usage))
        item.in_usage = found[1] if found else ""
    return help


class Said:
    """The programs of a folder, asked."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.version = self.run("ferry", "--version").split()[1]
        overview = self.run("ferry", "--help")
        self.overview = parse_help(overview.partition("\n\n")[2])
        self.summaries = {item.tag: item.text for item in self.overview.items if not item.tag.startswith("-")}
        self.commands = {name: parse_help(self.run("ferry", name, "--help")) for name in self.summaries}
        self.programs = {}
        for name in PROGRAMS:
            title, _, rest = self.run(name, "--help").partition("\n\n")
            self.programs[name] = (title.partition(": ")[2], parse_help(rest))
        self.reference = self.run("ferry", "check", "--reference")

    def run(self, program, *arguments):
        return subprocess.run([self.folder / program, *arguments], capture_output=True, text=True, check=True).stdout


# ------------------------------------------------------------------------------------------------------ roff


def roff(text):
    """A text with `code` and **strong words** as roff."""
    out = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    out = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", out)
    out = re.sub(r"\*\*([^*]*)\*\*", r"\\fB\1\\fR", out)
    return re.sub(r"(?m)^([.'])", r"\\&\1", out)


def tag(text):
    """`-c, --config FILE`: flags as they are typed, what they take in italics."""
    return re.sub(r"(?<![\w\\-])((?:\\-){1,2}\w(?:\w|\\-)*)", r"\\fB\1\\fR", roff(text)) if text.startswith("-") \
        else f"\\fB{roff(text)}\\fR"


def items(rows):
    return "".join(f".TP\n{tag(row.tag)}\n{roff(row.text)}\n" for row in rows)


def blocks(parts):
    return "".join(items(part) if isinstance(part, list) else f".PP\n{roff(part)}\n" for part in parts)


def page(name, section, version, summary, *sections):
    head = f'.TH "{name.upper()}" "{section}" "" "ferry {version}" "Ferry"\n.nh\n.ad l\n.SH NAME\n{roff(name)} \\- {roff(summary)}\n'
    return head + "".join(f".SH {title}\n{body}" for title, body in sections if body)


def synopsis(lines):
    return "".join(f"{'.br' + chr(10) if number else ''}{tag_usage(line)}\n" for number, line in enumerate(lines))


def tag_usage(line):
    words = line.split(" ")
    known = 1 + (len(words) > 1 and words[1].isalpha() and words[1].islower()) if words[0].startswith("ferry") else 0
    return (f"\\fB{roff(' '.join(words[:known]))}\\fR " if known else "") + roff(" ".join(words[known:]))


def split(help):
    """What is said before the first row of a flag: the description; and the rest: the options."""
    for number, block in enumerate(help.blocks):
        if isinstance(block, list) and block[0].tag.startswith("-"):
            # A label such as `Which:` belongs to the rows that it announces.
            first = number - 1 if number and isinstance(help.blocks[number - 1], str) and len(help.blocks[number - 1]) < 12 else number
            return help.blocks[:first], help.blocks[first:]
    return help.blocks, []


def see_also(*names):
    return ",\n".join(f"\\fB{roff(name)}\\fR({section})" for name, section in names) + "\n"


FILES_BODY = "".join(f".TP\n.I {roff(name)}\n{roff(text)}\n" for name, text in FILES)


def command_page(said, name):
    help = said.commands[name]
    description, options = split(help)
    return page(f"ferry-{name}", 1, said.version, said.summaries[name],
                ("SYNOPSIS", synopsis(help.usage)), ("DESCRIPTION", blocks(description)), ("OPTIONS", blocks(options)),
                ("SEE ALSO", see_also(("ferry", 1), ("ferry.yaml", 5))))


def overview_page(said):
    description = [roff("The operator's command line of Ferry, which carries Qlik Cloud events, and those of any CloudEvents "
                        "sender, into Kafka, and from Kafka to people and systems.") + "\n.PP\n",
                   "".join(f".TP\n\\fBferry\\-{roff(name)}\\fR(1)\n{roff(text)}\n" for name, text in said.summaries.items())]
    rest = [block for block in said.overview.blocks if not (isinstance(block, list) and block[0].tag in said.summaries)]
    return page("ferry", 1, said.version, "the operator's command line of Ferry",
                ("SYNOPSIS", synopsis(said.overview.usage)), ("DESCRIPTION", "".join(description)), ("OPTIONS", blocks(rest)),
                ("FILES", FILES_BODY),
                ("SEE ALSO", see_also(*((program, 8) for program in PROGRAMS), ("ferry.yaml", 5))))


def program_page(said, name):
    summary, help = said.programs[name]
    options = [block for block in help.blocks if isinstance(block, list)]
    notes = [block for block in help.blocks if isinstance(block, str)]
    return page(name, 8, said.version, summary,
                ("SYNOPSIS", synopsis(help.usage)), ("DESCRIPTION", blocks(PROGRAMS[name])), ("OPTIONS", blocks(options)),
                ("SIGNALS AND EXIT STATUS", blocks(notes)), ("FILES", FILES_BODY),
                ("SEE ALSO", see_also(("ferry", 1), ("ferry.yaml", 5))))


def config_page(said):
    """ferry.yaml(5): the Markdown of the reference, which has headings, paragraphs and tables of four columns."""
    out = []
    for line in said.reference.split("\n")[1:]:
        cells = [cell.replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if line.startswith("## "):
            out.append(f".SH {roff(line[3:])}\n")
        elif len(cells) == 4 and not set(line) <= set("|-") and cells[0].strip() != "key":
            key, kind, preset, text = (cell.strip() for cell in cells)
            default = "required" if preset == "**required**" else f"default {preset}" if preset else ""
            out.append(f".TP\n{roff(key)} ({roff('; '.join(filter(None, (kind, default))))})\n{roff(text)}\n")
        elif line.strip() and not line.startswith("|"):
            out.append(f".PP\n{roff(line)}\n")
    return page("ferry.yaml", 5, said.version, "the configuration of all of Ferry's programs",
                ("DESCRIPTION", "".join(out)),
                ("FILES", FILES_BODY + ".TP\n.I /usr/share/doc/ferry/examples/ferry.yaml\na commented file with everything\n"),
                ("SEE ALSO", see_also(("ferry", 1), ("ferry-check", 1), ("ferry-init", 1))))


def pages(said):
    """file name → text"""
    result = {"ferry.1": overview_page(said), "ferry.yaml.5": config_page(said)}
    result |= {f"ferry-{name}.1": command_page(said, name) for name in said.commands}
    result |= {f"{name}.8": program_page(said, name) for name in PROGRAMS}
    return result


# ----------------------------------------------------------------------------------------------- completions

FILES_WANTED = {"FILE", "PATH"}
FOLDERS_WANTED = {"DIR", "DIRECTORY"}
EVENTS_WANTED = {"EVENT", "FILE|EVENT"}


def kinds(item):
    """What a flag's argument is to a shell: nothing, files, folders, events or words."""
    if item.argument is None:
        return "nothing", []
    if item.choices and item.argument not in EVENTS_WANTED:
        return "words", item.choices
    for kind, names in (("files", FILES_WANTED), ("folders", FOLDERS_WANTED), ("events", EVENTS_WANTED)):
        if item.argument in names:
            return kind, []
    return "text", []


def all_flags(said):
    """command → its flags' rows; programs and `ferry` itself among them, each with --help."""
    extra = [Item("--help", "print the help")]

    def with_help(rows):
        return rows + ([] if any("--help" in row.flags for row in rows) else extra)
    result = {name: with_help(help.flags) for name, help in said.commands.items()}
    result |= {name: with_help(help.flags) for name, (_, help) in said.programs.items()}
    return result | {"ferry": with_help(said.overview.flags)}


def bash(said):
    flags = all_flags(said)
    out = [f"# bash completion for Ferry's programs, made by dist/manuals.py of ferry {said.version}\n",
           BASH_HEAD.replace("@COMMANDS@", " ".join(said.commands))]
    for name, rows in flags.items():
        words = " ".join(flag for row in rows for flag in row.flags)
        subs = " ".join(said.commands[name].subcommands) if name in said.commands else ""
        out.append(f"        {name}) flags='{words}' words='{subs}' ;;\n")
    out.append("    esac\n    case $command:$previous in\n")
    for name, rows in flags.items():
        for row in rows:
            kind, words = kinds(row)
            pattern = " | ".join(f"{name}:{flag}" for flag in row.flags)
            action = {"nothing": None, "files": "COMPREPLY=($(compgen -f -- \"$current\"))",
                      "folders": "COMPREPLY=($(compgen -d -- \"$current\"))",
                      "events": "COMPREPLY=($(compgen -f -W \"$(_ferry_events)\" -- \"$current\"))",
                      "words": f"COMPREPLY=($(compgen -W '{' '.join(words)}' -- \"$current\"))", "text": "COMPREPLY=()"}[kind]
            if action:
                out.append(f"        {pattern}) {action}; return ;;\n")
    out.append(BASH_TAIL.replace("@COMMANDS@", " ".join(said.commands)).replace("@PROGRAMS@", " ".join(["ferry", *said.programs])))
    return "".join(out)


BASH_HEAD = r"""
# The canonical names of the events that Qlik sends.
_ferry_events()
{
    ferry catalog --json 2>/dev/null | grep -o '"event": *"[^"]*"' | cut -d'"' -f4 | sort -u
}

_ferry()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[0]##*/} flags='' words='' word
    COMPREPLY=()
    if [[ $command == ferry ]]; then
        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
            case " @COMMANDS@ " in *" $word "*) command=$word && break ;; esac
        done
    fi
    # shellcheck disable=SC2207
    case $command in
"""
BASH_TAIL = r"""    esac
    [[ $command != ferry ]] || words='@COMMANDS@'
    [[ $current != -* ]] || words=$flags
    # shellcheck disable=SC2207
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _ferry @PROGRAMS@
"""


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish(said):
    flags = all_flags(said)
    out = [f"# fish completion for Ferry's programs, made by dist/manuals.py of ferry {said.version}\n",
           "function __ferry_events\n    ferry catalog --json 2>/dev/null | string match -rg '\"event\": *\"([^\"]*)\"'\nend\n"]
    for name, summary in said.summaries.items():
        out.append(f"complete -c ferry -n __fish_use_subcommand -f -a {name} -d {quoted(summary)}\n")
        for word in said.commands[name].subcommands:
            out.append(f"complete -c ferry -n '__fish_seen_subcommand_from {name}' -f -a {word}\n")
    for name, rows in flags.items():
        start = f"complete -c {name}" if name.startswith("ferry") else \
            f"complete -c ferry -n '__fish_seen_subcommand_from {name}'"
        if name == "ferry":
            start += " -n __fish_use_subcommand"
        for row in rows:
            kind, words = kinds(row)
            takes = {"nothing": "", "files": " -r -F", "folders": " -x -a '(__fish_complete_directories)'",
                     "events": " -r -F -a '(__ferry_events)'", "words": f" -x -a '{' '.join(words)}'", "text": " -x"}[kind]
            for flag in row.flags:  # `--from, --to TIME` are two, `-c, --config FILE` is one to the shell as well
                letter = "-s" if len(flag) == 2 else "-l"
                out.append(f"{start} {letter} {flag.lstrip('-')}{takes} -d {quoted(row.text)}\n")
    return "".join(out)


# ------------------------------------------------------------------------------------------------------- all


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="the folder of the programs")
    parser.add_argument("--to", required=True, type=pathlib.Path, help="man/ and completions/ are made here")
    arguments = parser.parse_args()
    said = Said(arguments.bin)
    manuals, completions = arguments.to / "man", arguments.to / "completions"
    for folder in (manuals, completions):
        folder.mkdir(parents=True, exist_ok=True)
    for old in manuals.glob("*.gz"):
        old.unlink()
    for name, text in pages(said).items():
        (manuals / f"{name}.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    (completions / "ferry.bash").write_text(bash(said))
    (completions / "ferry.fish").write_text(fish(said))


if __name__ == "__main__":
    main()
