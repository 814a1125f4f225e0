"""The report's charts: SVG made by matplotlib, coloured with the page's CSS variables so that they follow its theme."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from zlib import crc32

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, DateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from host_tools.base.units import SIZE_UNITS

MB = SIZE_UNITS["MB"]
KB = SIZE_UNITS["KB"]

# Placeholder colours for matplotlib. `_svg` replaces each with the page's CSS variable of the same name.
COLOURS = {
    "ink": "#010101",
    "muted": "#010102",
    "grid": "#010103",
    "card": "#010104",
    "device": "#010105",
    "carrier": "#010106",
    "unguarded": "#010107",
    "limit": "#010108",
    "open": "#010109",
    "warned": "#01010a",
    "shed": "#01010b",
    "restricted": "#01010c",
    "terminated": "#01010d",
    "throttled": "#01010e",
}

WIDE, NARROW = 10.4, 4.6
"""The width of a chart in inches: on a desk, and on a phone, which shows it about as large as it is."""

Point = tuple[datetime, float]
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Limit:
    """A horizontal line in the usage chart: a warning level, the device's limit or the allowance."""

    label: str
    octets: int
    strong: bool = False


@dataclass(frozen=True)
class Mark:
    """An event, drawn as a number on the device's curve."""

    at: datetime
    label: str


def usage(
    device: Sequence[Point],
    carrier: Sequence[Point],
    unguarded: Sequence[Point],
    limits: Sequence[Limit],
    marks: Sequence[Mark],
    span: Span,
    dark: Span | None,
    describe: str,
    width: float = WIDE,
) -> str:
    """The chart of usage against the plan, as SVG.

    `dark` is the span in which the run without the guard had no data. `describe` is the text for screen readers.
    """
    figure, axes = _frame(4.6, span, width)
    top = max((limit.octets for limit in limits), default=1)
    highest = max((octets for _, octets in (*device, *carrier, *unguarded)), default=0)
    axes.set_ylim(0, max(top * 1.12, highest * 1.06) / MB)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_ylabel("MB in the billing cycle")
    for limit in limits:
        colour = COLOURS["limit"] if limit.strong else COLOURS["muted"]
        axes.axhline(
            limit.octets / MB,
            color=colour,
            linewidth=1.4 if limit.strong else 0.8,
            linestyle="-" if limit.strong else (0, (4, 4)),
            zorder=1,
        )
        axes.annotate(
            limit.label,
            (0.004, limit.octets / MB),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=8.5,
            color=colour,
            va="bottom",
        )
    _line(axes, _by_cycle(unguarded), MB, "unguarded", "without the guard", linestyle=(0, (1, 1.2)), width=2)
    _line(axes, _by_cycle(carrier), MB, "carrier", "carrier bills", width=5)
    _line(axes, _by_cycle(device), MB, "device", "device counts", width=1.6)
    if dark:
        axes.axvspan(_x(dark[0]), _x(dark[1]), color=COLOURS["unguarded"], alpha=0.09, linewidth=0, zorder=0)
        axes.annotate(
            "without the guard:\nno data",
            (_x(dark[0] + (dark[1] - dark[0]) / 2), 0.35),
            xycoords=("data", "axes fraction"),
            ha="center",
            fontsize=9,
            color=COLOURS["unguarded"],
        )
    _bubbles(axes, device, marks)
    _legend(axes, -0.1)
    return _svg(figure, describe)


def error(
    carried: Sequence[Point],
    rated: Sequence[Point],
    bound: Sequence[Point],
    span: Span,
    describe: str,
    width: float = WIDE,
) -> str:
    """The chart of device minus carrier over time, as SVG: carried and rated bytes, and the device's stated bound."""
    figure, axes = _frame(2.7, span, width)
    axes.axhline(0, color=COLOURS["muted"], linewidth=1)
    axes.fill_between(
        [_x(at) for at, _ in bound],
        [octets / KB for _, octets in bound],
        step="post",
        color=COLOURS["device"],
        alpha=0.14,
        linewidth=0,
        label="the device's error bound",
    )
    _line(axes, rated, KB, "carrier", "rated − billed", width=1.2)
    _line(axes, carried, KB, "device", "counted − carried", width=1.5)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylabel("KB, device − carrier")
    _legend(axes, -0.16)
    return _svg(figure, describe)


def timeline(
    rows: Sequence[tuple[str, Sequence[tuple[datetime, str, str]]]],
    span: Span,
    describe: str,
    width: float = WIDE,
) -> str:
    """Rows of coloured bars, as SVG.

    A row is (label, [(start, colour name, text)]); each bar ends where the next one starts.
    """
    figure, axes = _frame(0.55 + 0.42 * len(rows), span, width)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    axes.tick_params(axis="y", length=0, labelcolor=COLOURS["ink"])
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    days = _x(span[1]) - _x(span[0])
    shortest = 0.0085 * WIDE / width  # of a character, as a share of the chart
    for row, (_, parts) in enumerate(rows):
        ends = [at for at, _, _ in parts[1:]] + [span[1]]
        for (at, colour, text), end in zip(parts, ends, strict=True):
            length = _x(end) - _x(at)
            axes.barh(
                row,
                length,
                left=_x(at),
                height=0.62,
                color=COLOURS[colour],
                edgecolor=COLOURS["card"],
                linewidth=0.8,
            )
            if length > days * (shortest * len(text) + 0.008):
                axes.annotate(
                    text,
                    (_x(at) + length / 2, row),
                    ha="center",
                    va="center_baseline",
                    fontsize=8.5,
                    color=COLOURS["card"],
                )
    return _svg(figure, describe)


def fleet(billed: Sequence[int], stopped: Sequence[bool], allowance: int, describe: str) -> str:
    """The chart of what each device was billed, as SVG: sorted, those that were stopped in another colour."""
    figure, axes = _axes(3.6)
    order = sorted(range(len(billed)), key=lambda i: (billed[i], i))
    for was_stopped, colour, label in ((False, "device", "served to the end"), (True, "limit", "stopped")):
        chosen = [(x, billed[i] / MB) for x, i in enumerate(order) if stopped[i] is was_stopped]
        if chosen:
            axes.vlines(
                *zip(*((x, 0, y) for x, y in chosen), strict=True), color=COLOURS[colour], linewidth=1.6, label=label
            )
    axes.axhline(allowance / MB, color=COLOURS["limit"], linewidth=1.4)
    axes.set_ylim(0, max(allowance, *billed) * 1.1 / MB)
    axes.set_xlim(-1, len(billed))
    axes.set_xticks([])
    axes.set_xlabel("devices, by what they were billed", color=COLOURS["muted"], fontsize=9)
    axes.set_ylabel("MB billed in the cycle")
    _legend(axes, -0.1)
    return _svg(figure, describe)


def _legend(axes: Axes, below: float) -> None:
    if axes.get_legend_handles_labels()[0]:
        columns = 3 if axes.figure.bbox.width == WIDE * axes.figure.dpi else 1
        axes.legend(
            loc="upper left", bbox_to_anchor=(0, below), ncols=columns, frameon=False, labelcolor=COLOURS["ink"]
        )


def _bubbles(axes: Axes, curve: Sequence[Point], marks: Sequence[Mark]) -> None:
    """Draws the marks' numbers on the curve, side by side where they would overlap."""
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    places: list[tuple[float, float]] = []
    for number, mark in enumerate(marks, 1):
        x, y = _x(mark.at), _value_at(curve, mark.at) / MB
        near = [p for p in places if abs(p[0] - x) < (right - left) / 50 and abs(p[1] - y) < (high - low) / 20]
        places.append((x, y))
        axes.annotate(
            str(number),
            (x, y),
            xytext=(17 * len(near), 0),
            textcoords="offset points",
            ha="center",
            va="center_baseline",
            fontsize=8,
            color=COLOURS["ink"],
            annotation_clip=False,
            bbox={"boxstyle": "circle,pad=0.28", "fc": COLOURS["card"], "ec": COLOURS["ink"], "lw": 1},
            zorder=7,
        )


def _value_at(points: Sequence[Point], at: datetime) -> float:
    value = 0.0
    for when, octets in points:
        if when > at:
            break
        value = octets
    return value


def _x(at: datetime) -> float:
    """Matplotlib's day number for the local time of `at`."""
    return float(date2num(at.replace(tzinfo=None)))


def _line(
    axes: Axes,
    points: Sequence[Point],
    scale: int,
    colour: str,
    label: str,
    *,
    width: float,
    linestyle: str | tuple[float, tuple[float, ...]] = "-",
) -> None:
    if not points:
        return  # nor a line in the legend
    x = [_x(at) for at, _ in points]
    y = [octets / scale for _, octets in points]
    style = {"color": COLOURS[colour], "linewidth": width, "linestyle": linestyle, "label": label}
    axes.plot(x, y, solid_capstyle="round", zorder=3, **style)


def _by_cycle(points: Sequence[Point]) -> list[Point]:
    """`points` with a gap (NaN) where the value falls, because a new cycle begins there."""
    parts: list[Point] = list(points[:1])
    for (_, before), (at, octets) in pairwise(points):
        if octets < before:
            parts.append((at, float("nan")))
        parts.append((at, octets))
    return parts


def _frame(height: float, span: Span, width: float) -> tuple[Figure, Axes]:
    figure, axes = _axes(height, width)
    axes.set_xlim(_x(span[0]), _x(span[1]))
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=12 if width == WIDE else 5))
    axes.xaxis.set_major_formatter(DateFormatter("%-d %b" if span[1] - span[0] > timedelta(days=4) else "%H:%M"))
    return figure, axes


def _axes(height: float, width: float = WIDE) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(COLOURS["grid"])
    axes.tick_params(color=COLOURS["grid"], labelcolor=COLOURS["muted"], labelsize=9)
    axes.yaxis.label.set_color(COLOURS["muted"])
    axes.yaxis.label.set_fontsize(9)
    axes.grid(axis="y", color=COLOURS["grid"], linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure, describe: str) -> str:
    """The figure as an SVG element for a page: scales, uses the page's font and colours, has an accessible label."""
    out = io.StringIO()
    # Text is not converted to paths, and equal input gives equal output.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": describe, "path.simplify_threshold": 0.3}):
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    prefix = f"p{crc32(f'{describe}{figure.get_figwidth()}'.encode()):08x}"
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)  # unique ids in a page with several charts
    for name, placeholder in COLOURS.items():
        svg = svg.replace(placeholder, f"var(--{name})")
    svg = re.sub(r'font: ([\d.]+)px [^;"]*', r"font-size: \1px", svg)
    svg = re.sub(
        r'<svg[^>]*?viewBox="([^"]*)"[^>]*>',
        r'<svg viewBox="\1" role="img" xmlns:xlink="http://www.w3.org/1999/xlink">',
        svg,
        count=1,
    )
    head, _, rest = svg.partition(">")
    return f'{head} aria-label="{html.escape(describe)}">{rest}'


def in_zone(series: Sequence[tuple[str, float]], zone: tzinfo | None) -> list[Point]:
    """A series of (ISO time, bytes) as points in `zone`."""
    return [(datetime.fromisoformat(at).astimezone(zone), octets) for at, octets in series]


def thin(points: Sequence[Point], keep: int = 1500) -> list[Point]:
    """About `keep` of the points at most, including the first and last of each cycle."""
    if len(points) <= keep:
        return list(points)
    step = len(points) / keep
    chosen = {int(i * step) for i in range(keep)} | {0, len(points) - 1}
    for i, ((_, a), (_, b)) in enumerate(pairwise(points)):
        if b < a:
            chosen |= {i, i + 1}
    return [points[i] for i in sorted(chosen)]
