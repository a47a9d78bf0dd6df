"""The documentation as material for tests: the fenced blocks, links and anchors of a Markdown page.

What stands behind a block's language says what it is for; people who read the page see none of it:

    ```yaml ferry.yaml          a file of that name: any word with a dot in it
    ```sh run                   commands, carried out as they stand
    ```text output              what the last of them printed
    ```text slack               an effect: what the stand-in of that name is sent

In what is expected, … stands for any text.
"""
import functools
import pathlib
import re
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)(`{3,})(.*)$")


@dataclass
class Block:
    page: pathlib.Path
    line: int
    language: str
    role: str
    text: str

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_file(self):
        return "." in self.role


@dataclass
class Page:
    path: pathlib.Path
    blocks: list
    prose: str  # what is outside of blocks; as many lines as the page has

    def block(self, role):
        """The only block of that role."""
        found = [b for b in self.blocks if b.role == role]
        assert len(found) == 1, f"{self.path.name}: {len(found)} blocks `{role}`"
        return found[0]

    def has(self, role):
        return any(b.role == role for b in self.blocks)


@functools.cache
def read(path):
    blocks, prose, block, fence = [], [], None, None
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        found = FENCE.match(line)
        if block is None and found:
            fence, words = found, found[3].split()
            block = Block(path, number, words[0] if words else "", " ".join(words[1:]), "")
        elif block is not None and found and found[2] == fence[2] and not found[3]:
            blocks.append(block)
            block = None
        elif block is not None:
            block.text += line.removeprefix(fence[1]) + "\n"
        prose.append("" if block is not None or found else line)
    assert block is None, f"{path}: the block of line {block.line} does not end"
    return Page(path, blocks, "\n".join(prose))


def all_pages():
    """Every page of the project, the README first."""
    return [ROOT / "README.md", *sorted(p for p in ROOT.glob("*.md") if p.name != "README.md"),
            *sorted((ROOT / "docs").rglob("*.md"))]


def links(page):
    """(line, target) of each link and picture in the prose."""
    for number, line in enumerate(page.prose.split("\n"), 1):
        bare = re.sub(r"`[^`]*`", lambda m: " " * len(m[0]), line)
        for found in re.finditer(r"\]\(<?([^)\s>]+)>?(?: +\"[^\"]*\")?\)", bare):
            yield number, found[1]


def anchors(page):
    """The anchors of the headings, as GitHub makes them."""
    seen, result = {}, set()
    for line in page.prose.split("\n"):
        found = re.match(r"#{1,6} +(.*?) *#*$", line)
        if found:
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", found[1]).replace("`", "")
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            count = seen[slug] = seen.get(slug, -1) + 1
            result.add(slug if count == 0 else f"{slug}-{count}")
    return result


def matches(expected, actual):
    """Whether the text is the expected one, in which … stands for anything; blanks at the ends of lines do not count."""
    tidy = [re.sub(r"[ \t\r]+$", "", text.strip(), flags=re.M) for text in (expected, actual)]
    return re.fullmatch(".*?".join(map(re.escape, tidy[0].split("…"))), tidy[1], re.S) is not None
