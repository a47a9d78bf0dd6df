"""The table of ./dev faults, as text and in docs/reliability.md between two markers."""
import re
from dataclasses import dataclass, field

from support.ferry import ROOT

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: made by ./dev faults --write -->", "<!-- faults: end -->"
HEADS = ("fault", "events", "acknowledged", "lost", "repeats (all marked)", "order breaks", "longest answer", "p99.9",
         "time to heal")


@dataclass
class Row:
    fault: object
    verdict: object = None
    scene: object = None
    left: str = ""
    problems: list = field(default_factory=list)

    def __post_init__(self):
        if self.scene is not None:
            self.problems = self.scene.problems

    @classmethod
    def left_out(cls, fault, why):
        return cls(fault, left=why)

    @property
    def failed(self):
        return bool(self.problems) or bool(self.left)

    def cells(self):
        v = self.verdict
        if v is None:
            return [self.fault.title, *["–"] * (len(HEADS) - 1)]
        healed = self.scene.healed
        lost = str(len(v.lost)) + (f" ({v.aside} set aside)" if v.aside else "")
        repeats = str(v.repeats) + (f" ({len(v.unmarked)} unmarked)" if v.unmarked else "")
        return [self.fault.title, str(v.events), str(v.acknowledged), lost, repeats, str(len(v.breaks)),
                seconds(v.longest), seconds(v.p999), seconds(healed)]

    def line(self):
        state = f"left out: {self.left}" if self.left else "FAILED" if self.problems else "passed"
        statuses = dict(sorted(self.verdict.statuses.items())) if self.verdict else {}
        return "\n".join([f"  {state}: " + " | ".join(self.cells()[1:]) + f"  {statuses}",
                          *(f"  ! {p}" for p in self.problems)])


def seconds(value):
    return "–" if value is None else f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def text(rows):
    lines = [HEADS, *(row.cells() for row in rows)]
    widths = [max(len(cells[i]) for cells in lines) for i in range(len(HEADS))]
    shown = ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths)))
             for cells in lines]
    failed = [row for row in rows if row.failed]
    notes = [f"{row.fault.name}: {p}" for row in failed for p in row.problems or [f"left out: {row.left}"]]
    return "\n".join([*shown, "", *notes, f"{len(rows) - len(failed)} passed, {len(failed)} failed"])


def markdown(cells):
    return "| " + " | ".join(cells) + " |"


def write_between(begin, end, head, rows):
    """Only the rows that were played are changed, so that a part can be played again."""
    page = PAGE.read_text()
    found = re.search(re.escape(begin) + "\n(.*)" + re.escape(end), page, re.S)
    lines = {line.strip("|").split("|")[0].strip(): line for line in found[1].splitlines()[2:]}
    lines |= {row.fault.title: markdown(row.cells()) for row in rows}
    PAGE.write_text(page[:found.start(1)] + "\n".join([*map(markdown, head), *lines.values()]) + "\n" + page[found.end(1):])


def write(rows):
    write_between(BEGIN, END, [HEADS, ["---"] + ["---:"] * (len(HEADS) - 1)], rows)
