"""Plots of the figures, as SVG: bars by contestant, and lines by rate."""

from collections.abc import Iterator, Mapping
from html import escape

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777")
WIDTH, LABELS, ROW = 760, 170, 26
"""Pixels: of a plot, of the names beside it, and of a line of it."""
HEIGHT = 240

Series = Mapping[str, Mapping[str, float]]
"""By name: values by part of a bar, or by rate."""


def bars(title: str, rows: Series) -> str:
    """Return a bar for each row, made of its parts from left to right."""
    longest = max(sum(parts.values()) for parts in rows.values())
    scale = (WIDTH - LABELS - 80) / longest
    names = list(dict.fromkeys(part for parts in rows.values() for part in parts))
    marks: list[str] = []
    for number, (row, parts) in enumerate(rows.items()):
        x, y = float(LABELS), 40 + number * ROW
        marks.append(_text(LABELS - 8, y + 14, row, "end"))
        for part, value in parts.items():
            colour = COLOURS[names.index(part) % len(COLOURS)]
            size = f'width="{value * scale:.1f}" height="{ROW - 8}"'
            marks.append(f'<rect x="{x:.1f}" y="{y}" {size} fill="{colour}"/>')
            x += value * scale
        marks.append(_text(x + 6, y + 14, _short(sum(parts.values()))))
    bottom = 40 + len(rows) * ROW
    legend = _legend(names, bottom + 10) if len(names) > 1 else []
    return _svg(title, [*marks, *legend], bottom + (ROW if legend else 0) + 10)


def lines(title: str, series: Series) -> str:
    """Return a line for each series over its rates."""
    rates = sorted({float(x) for points in series.values() for x in points})
    highest = max(y for points in series.values() for y in points.values())
    left, right, top, bottom = 60, WIDTH - 20, 40, 40 + HEIGHT

    def place(x: float, y: float) -> str:
        across = left + (right - left) * x / rates[-1]
        return f"{across:.1f},{bottom - HEIGHT * y / highest:.1f}"

    marks = [f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#777"/>']
    marks += [_text(left - 6, top + 4, _short(highest), "end")]
    for rate in rates:
        x = float(place(rate, 0).partition(",")[0])
        marks.append(_text(x, bottom + 16, f"{rate:g}", "middle"))
    for number, points in enumerate(series.values()):
        places = [place(float(x), y) for x, y in points.items()]
        colour = COLOURS[number % len(COLOURS)]
        drawn = f'fill="none" stroke="{colour}" stroke-width="2"'
        marks.append(f'<polyline points="{" ".join(places)}" {drawn}/>')
        for across, _, down in (each.partition(",") for each in places):
            marks.append(f'<circle cx="{across}" cy="{down}" r="4" fill="{colour}"/>')
    return _svg(title, [*marks, *_legend(list(series), bottom + 26)], bottom + 52)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _legend(names: list[str], y: float) -> Iterator[str]:
    x = 20.0
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        yield f'<rect x="{x:.0f}" y="{y}" width="12" height="12" fill="{colour}"/>'
        yield _text(x + 18, y + 11, name)
        x += 34 + 7 * len(name)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(text)}</text>"


def _svg(title: str, marks: list[str], height: float) -> str:
    size = f'width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}"'
    page = '<rect width="100%" height="100%" fill="white"/>'
    body = [f'{head} font-family="sans-serif" font-size="13">', page]
    return "\n".join([*body, _text(20, 22, title), *marks, "</svg>\n"])
