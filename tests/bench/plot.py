"""Grouped bars with whiskers as an SVG, written by hand: nothing to install. It brings its own background, so that it reads
the same on a light and on a dark page."""
import html
import statistics

WIDTH, HEIGHT = 960, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 66, 48
COLOURS = ["#0b6e4f", "#c8553d", "#3d6fb6", "#8a6fae", "#7a7a7a"]
STYLE = ("text{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:12px;fill:#24292f}"
         ".title{font-size:15px;font-weight:600}.value{font-size:9px;text-anchor:middle}.middle{text-anchor:middle}"
         ".end{text-anchor:end}.grid{stroke:#d8dee4}.axis{stroke:#57606a}.whisker{stroke:#24292f;stroke-width:1.3}")


def ticks(highest):
    """From 0 to at least `highest` in four to ten round steps."""
    step = 10.0 ** -3
    for factor in (2, 2.5, 2) * 12:
        if highest / step <= 8:
            break
        step *= factor
    return [step * n for n in range(int(-(-highest // step)) + 1)]


def short(value):
    return f"{value / 1000:.1f}k" if value >= 1000 else f"{value:.0f}"


def text(x, y, said, kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{html.escape(str(said))}</text>'


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def bar(x, width, values, y_of, colour):
    """The median as a bar, a whisker from the least to the most, and the median in figures over both."""
    middle, low, high = statistics.median(values), min(values), max(values)
    top, centre = y_of(middle), x + width / 2
    return [f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{y_of(0) - top:.1f}" fill="{colour}"/>',
            line(centre, y_of(low), centre, y_of(high), "whisker"),
            *(line(centre - 3, y_of(end), centre + 3, y_of(end), "whisker") for end in (low, high)),
            text(centre, y_of(high) - 4, short(middle), "value")]


def bars(title, below, groups, players):
    """`groups`: {label: {player: values}}, in order. Returns the SVG."""
    steps = ticks(max((value for group in groups.values() for values in group.values() for value in values), default=1))
    base, across = HEIGHT - BOTTOM, WIDTH - LEFT - RIGHT

    def y_of(value):
        return base - value / steps[-1] * (base - TOP)

    parts = ['<svg xmlns="http://www.w3.org/2000/svg" role="img" '
             f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
             f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
             f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8" fill="#ffffff" stroke="#d0d7de"/>',
             text(LEFT, 26, title, "title")]
    for number, player in enumerate(players):
        parts += [f'<rect x="{LEFT + number * 110}" y="37" width="12" height="12" fill="{COLOURS[number % len(COLOURS)]}"/>',
                  text(LEFT + number * 110 + 18, 47, player)]
    for step in steps:
        y = y_of(step)
        parts += [line(LEFT, y, WIDTH - RIGHT, y, "axis" if step == 0 else "grid"), text(LEFT - 8, y + 4, f"{step:,.10g}", "end")]
    room = across / max(1, len(groups))
    width = room * 0.84 / max(1, len(players))
    for place, (label, group) in enumerate(groups.items()):
        start = LEFT + place * room + room * 0.08
        for number, player in enumerate(players):
            if player in group:
                colour = COLOURS[number % len(COLOURS)]
                parts += bar(start + number * width + 1, width - 2, group[player], y_of, colour)
        parts.append(text(LEFT + place * room + room / 2, base + 18, label, "middle"))
    parts += [text(LEFT + across / 2, HEIGHT - 10, below, "middle"), "</svg>"]
    return "\n".join(parts) + "\n"
