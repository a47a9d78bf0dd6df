"""Who may include what: arrows point down only, and each library is named in the files that own it.

Prints every breach as FILE:LINE and exits 1 if there is one.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A part of the house → the parts whose headers it may include.
MAY_USE = {
    "core": {"core"},
    "bridge": {"core", "bridge"},
    "consumers": {"core", "consumers"},
    "ferry": {"core", "ferry"},
}

# Inside consumers/, the engine knows no channel and the channels do not know each other.
CHANNELS = ("slack", "mail", "automation")

# A library's header → the files that may name it.
OWNERS = {
    r"librdkafka/.*": ("core/kafka/",),
    r"curl/.*": ("core/net/",),
    r"microhttpd\.h": ("bridge/http", "core/net/listener"),
    r"jq\.h|jv\.h": ("core/template", "core/jq"),
    r"yaml\.h": ("core/config", "core/yaml"),
    r"sqlite3\.h": ("core/spool/",),
}
# The demo's broker inside the process is librdkafka's mock cluster.
EXCEPTIONS = {r"librdkafka/.*": ("ferry/demo",)}


def breaches(path):
    name = path.relative_to(ROOT).as_posix()
    part = name.split("/")[0]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not found:
            continue
        bracket, header = found.groups()
        where = f"{name}:{number}"
        if bracket == '"':
            target = header.split("/")[0]
            if "/" not in header:
                yield f"{where}: \"{header}\": name a header from the root of the repository"
            elif target in MAY_USE and target not in MAY_USE[part]:
                yield f"{where}: {part}/ may not use {target}/ ({header})"
            yield from channel_breach(where, name, header)
        for pattern, owners in OWNERS.items():
            allowed = owners + EXCEPTIONS.get(pattern, ())
            if re.fullmatch(pattern, header) and not name.startswith(allowed):
                yield f"{where}: only {', '.join(allowed)} may include <{header}>"


def channel_breach(where, name, header):
    mine = next((c for c in CHANNELS if name.startswith(f"consumers/{c}/")), None)
    theirs = next((c for c in CHANNELS if header.startswith(f"consumers/{c}/")), None)
    if name.startswith("consumers/") and theirs and theirs != mine:
        yield f"{where}: {mine or 'the engine'} may not know {theirs} ({header})"


def main():
    found = [b for part in MAY_USE for path in sorted((ROOT / part).rglob("*.[ch]")) for b in breaches(path)]
    print("\n".join(found) if found else "includes: all arrows point down")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
