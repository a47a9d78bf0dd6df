"""What a program's ELF file says of its hardening, read with readelf."""
import re
import subprocess


def _readelf(option, path):
    return subprocess.run(["readelf", "-W", option, path], capture_output=True, text=True, check=True).stdout


def hardening(path):
    """A dict of properties that are all True in a hardened program, and the sorted names of its fortified calls."""
    header, segments, dynamic = (_readelf(option, path) for option in ("-h", "-l", "-d"))
    symbols = set(re.findall(r"\bUND (\w+)", _readelf("--dyn-syms", path)))
    stack = re.search(r"GNU_STACK\s+(?:0x\w+\s+){5}(\S+)", segments)
    fortified = sorted(name for name in symbols if name.startswith("__") and name.endswith("_chk"))
    return {
        "position independent": "Type:                              DYN" in header and "INTERP" in segments,
        "relro": "GNU_RELRO" in segments,
        "bound at start": bool(re.search(r"FLAGS_1\).*\bNOW\b", dynamic)),
        "no executable stack": stack is not None and "E" not in stack[1],
        "no segment both writable and executable": not re.search(r"LOAD.*RWE", segments),
        "stack protector": "__stack_chk_fail" in symbols,
        "no path of its own for libraries": "RPATH" not in dynamic and "RUNPATH" not in dynamic,
    }, fortified
