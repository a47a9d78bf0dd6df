"""The table of ./dev faults workers, as text and in docs/reliability.md between two markers."""
from dataclasses import dataclass, field

from faults.table import seconds, write_between

BEGIN = "<!-- worker faults: made by ./dev faults workers --write -->"
END = "<!-- worker faults: end -->"
HEADS = ("fault", "effects expected", "missing", "repeated", "order breaks in a lane", "dead letters (byte-identical)",
         "p99 of untouched keys", "remarks")


@dataclass
class Row:
    fault: object
    verdict: object = None
    problems: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def cells(self):
        v = self.verdict
        if v is None:
            return [self.fault.title, *["–"] * (len(HEADS) - 1)]
        dead = f"{v.dead} ({v.dead - len(v.altered)})" if v.dead else "0"
        return [self.fault.title, str(v.effects), str(len(v.missing)), str(v.repeated), str(len(v.breaks)), dead,
                seconds(v.p99) if self.fault.p99_limit else "–", "; ".join(self.notes)]

    def line(self):
        return "\n".join([f"  {'FAILED' if self.problems else 'passed'}: " + " | ".join(self.cells()[1:]),
                          *(f"  ! {p}" for p in self.problems)])


def text(rows):
    lines = [HEADS, *(row.cells() for row in rows)]
    widths = [max(len(cells[i]) for cells in lines) for i in range(len(HEADS))]
    shown = ["  ".join(c.ljust(w) if i in (0, 7) else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths))).rstrip()
             for cells in lines]
    notes = [f"{row.fault.name}: {p}" for row in rows for p in row.problems]
    failed = sum(bool(row.problems) for row in rows)
    return "\n".join([*shown, "", *notes, f"{len(rows) - failed} passed, {failed} failed"])


def write(rows):
    write_between(BEGIN, END, [HEADS, ["---"] + ["---:"] * (len(HEADS) - 2) + ["---"]], rows)
