"""What the programs ./dev faults and ./dev faults workers have in common: their flags, and which faults there are."""
import argparse
import importlib
import pathlib


def all_faults(package, base):
    """name → class, in the order of the files and of the classes in them."""
    folder = pathlib.Path(importlib.import_module(package).__file__).parent
    modules = [importlib.import_module(f"{package}.{path.stem}") for path in sorted(folder.glob("faults_*.py"))]
    return {value.name: value for module in modules for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, base) and value.name and value.__module__ == module.__name__}


def make_parser(program, seeds, quick):
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=20, help=seeds)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--list", action="store_true", help="the names of the faults")
    parser.add_argument("--write", action="store_true", help="the table into docs/reliability.md")
    parser.add_argument("--prove", action="store_true", help="plant bugs; each must be caught (NAMEs are plants)")
    return parser


def print_list(faults):
    for name, fault in faults.items():
        print(f"{name:24} {fault.title}")


def chosen(parser, faults, names):
    """The classes with these names, or all."""
    unknown = [n for n in names if n not in faults]
    if unknown:
        parser.error(f"no such fault: {', '.join(unknown)}; --list names them")
    return [faults[n] for n in names or faults]
