"""Add up JUnit files and print, as the last line, `N passed, N failed`.

A cmocka program is one test to ctest; what it printed says how many tests it ran, and those are counted. A skipped test
is a failed run: nothing may hide behind a missing tool. Files after --again ran the same tests in another build: their
failures count, their passes do not.

Beside FILE.xml there may be FILE.second.xml: the failed tests of the first, played once more and alone. What passes there
counts as passed, and its name is printed: somebody should look why it needed that.
"""
import argparse
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def count_case(case):
    """(passed, failed, skipped) of one <testcase>."""
    bad = any(case.find(tag) is not None for tag in ("failure", "error")) or case.get("status") == "fail"
    output = case.findtext("system-out") or ""
    passed = len(re.findall(r"^\[\s+OK \]", output, re.M))
    # A name that failed is printed where it ran and again in the list at the end.
    failed = len(set(re.findall(r"^\[  (?:FAILED|ERROR ) +\] (?!\d+ test)(\w+)$", output, re.M)))
    skipped = len(set(re.findall(r"^\[  SKIPPED \] (?!\d+ test)(\w+)$", output, re.M)))
    if passed or failed or skipped:
        return passed, max(failed, int(bad)), skipped
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        return 0, 0, 1
    return (0, 1, 0) if bad else (1, 0, 0)


def cases_of(path):
    if not path.exists():
        return {}
    return {(case.get("classname"), case.get("name")): case for case in ElementTree.parse(path).getroot().iter("testcase")}


def count_file(path):
    counts = [0, 0, 0]
    second = cases_of(path.with_suffix(".second.xml"))
    for key, case in cases_of(path).items():
        played_again = second.get(key, case)
        if count_case(case)[1] and not count_case(played_again)[1]:
            print(f"{path}: {key[1]} passed only when it was played again, alone")
        counts = [a + b for a, b in zip(counts, count_case(played_again))]
    return counts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    parser.add_argument("--again", nargs="*", type=pathlib.Path, default=[])
    parser.add_argument("--failed-parts", type=int, default=0)
    options = parser.parse_args()
    totals = [0, 0, 0]
    for path in filter(pathlib.Path.exists, options.files + options.again):
        passed, failed, skipped = count_file(path)
        print(f"{path}: {passed} passed, {failed} failed, {skipped} skipped")
        totals[0] += passed if path in options.files else 0
        totals[1] += failed
        totals[2] += skipped
    # A part that failed without a failed test (it did not build, or did not start) is a failure too.
    if options.failed_parts and not totals[1]:
        totals[1] = options.failed_parts
    if totals[2]:
        print(f"{totals[2]} skipped: a skipped test fails the run")
    print(f"{totals[0]} passed, {totals[1]} failed")
    sys.exit(0 if totals[0] and not totals[1] and not totals[2] and not options.failed_parts else 1)


if __name__ == "__main__":
    main()
