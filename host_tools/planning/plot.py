"""Plots a fit: cost against time without data, and each plan's usage by period against its allowance."""

from __future__ import annotations

import html
import io
import re
import warnings
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import findSystemFonts, fontManager
from matplotlib.ticker import MaxNLocator

from host_tools.base.units import SIZE_UNITS
from host_tools.planning.fit import Fit, Total, comparable
from host_tools.planning.table import EXPLAINED, FIGURES, figures, money, price_warning, stops

MOST_PLANS = 12
"""The most plans that get axes of their own; the ranking has all."""
_MARKERS = {"cutoff": "o", "overage": "s", "overage, capped": "D", "throttle": "^", "none": "v"}
_MB = SIZE_UNITS["MB"]


_CJK = ("NotoSansCJK-Regular", "NotoSansSC", "NotoSerifCJK-Regular", "SourceHanSans", "wqy-zenhei", "PingFang",
        "Hiragino Sans GB", "msyh", "simhei")  # fmt: skip
"""How the files of fonts with Chinese glyphs are named, from the best on."""
_FIRST_CJK = "\u2e80"


def fonts(text: str) -> list[str]:
    """The families for a picture with this text: matplotlib's own, and for Chinese one that is installed.

    The files are looked for, as matplotlib's own list is as old as its cache.
    """
    families = ["DejaVu Sans"]
    if any(char >= _FIRST_CJK for char in text):
        files = findSystemFonts()
        for name in _CJK:
            for file in files:
                if Path(file).name.startswith(name):
                    fontManager.addfont(file)
                    return [*families, fontManager.ttflist[-1].name]
    return families


def draw(found: Fit, narrow: bool = False) -> Figure:
    """The figure: a colour for each plan, a marker for each behaviour, filled if guarded; `narrow` for a phone."""
    titles = list(dict.fromkeys(total.option.source.title for total in found.totals))
    shown = titles[:MOST_PLANS]
    columns = 1 if narrow else 2
    rows = 2 + -(-len(shown) // columns)
    figure = Figure(figsize=(4.6 if narrow else 10.5, 2.4 * rows), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(rows, columns)
    colours = {title: f"C{index % 10}" for index, title in enumerate(titles)}
    _scatter(figure.add_subplot(grid[:2, :]), found, colours, columns)
    for index, title in enumerate(shown):
        total = next(each for each in found.totals if each.option.source.title == title)
        _usage(figure.add_subplot(grid[2 + index // columns, index % columns]), total, colours[title])
    return figure


def _scatter(axes: Axes, found: Fit, colours: dict[str, str], columns: int) -> None:
    for total in comparable(found.totals):
        option = total.option
        axes.plot(
            total.stopped_s / 86_400 / total.devices,
            total.cost_per_month_fen / 100,
            _MARKERS[option.behaviour],
            color=colours[option.source.title],
            fillstyle="full" if option.guarded else "none",
            markersize=8,
            label=option.name,
        )
    axes.set_xlabel("days without data, per device")
    axes.set_ylabel("yuan a month, per device")
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.grid(linewidth=0.4)
    best = found.trade_off
    axes.annotate(
        "best trade-off",
        (best.stopped_s / 86_400 / best.devices, best.cost_per_month_fen / 100),
        xytext=(12, 12),
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "lw": 0.7},
        fontsize=9,
    )
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2 * columns - 1, frameon=False, fontsize=8)


def _usage(axes: Axes, total: Total, colour: str) -> None:
    """Usage by period: a bar for the mean of the devices, a line up to the greatest."""
    days = sorted(total.by_period)
    means = [sum(total.by_period[day]) / len(total.by_period[day]) / _MB for day in days]
    most = [max(total.by_period[day]) / _MB for day in days]
    places = range(len(days))
    axes.bar(places, means, color=colour, alpha=0.75)
    if total.devices > 1:
        axes.vlines(places, means, most, color=colour, linewidth=1)
    quota, pool = total.option.plan.allowance, total.option.pool_octets
    if pool:
        quota = min(quota, pool // total.devices)
    axes.axhline(quota / _MB, color="#b3261e", linewidth=1.2)
    axes.set_title(total.option.source.title, fontsize=9, loc="left")
    axes.set_ylabel("MB")
    step = max(1, -(-len(days) // 5))
    axes.set_xticks(list(places)[::step], days[::step], fontsize=7)
    axes.yaxis.set_major_locator(MaxNLocator(4))


def write(path: Path, found: Fit) -> None:
    """Writes a .png, .svg or .html file, by its suffix. Raises OSError."""
    titles = "".join(total.option.source.title for total in found.totals)
    with mpl.rc_context({"font.family": fonts(titles)}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # where no font has it, a box stands for it
        suffix = path.suffix.lower()
        if suffix == ".png":
            picture = io.BytesIO()
            FigureCanvasAgg(draw(found)).print_png(picture)
            path.write_bytes(picture.getvalue())
        elif suffix == ".svg":
            path.write_text(_svg(draw(found)), encoding="utf-8")
        else:
            path.write_text(_page(found), encoding="utf-8")


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    # Equal input gives equal output.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"usage-guard {figure.get_figwidth()}"}):
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})
    return out.getvalue()


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Usage Guard</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1b2420; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem; }}
th, td {{ text-align: right; padding: .3rem .6rem; border-bottom: 1px solid #dde2de; white-space: nowrap; }}
td {{ font-variant-numeric: tabular-nums; }}
th:first-child, td:first-child {{ text-align: left; white-space: normal; }}
tr.best {{ background: #e6f3ea; }}
svg {{ width: 100%; height: auto; }}
.price {{ background: #fdf0d5; padding: .5rem .8rem; border-radius: .4rem; }}
.narrow {{ display: none; }}
@media (max-width: 56rem) {{
  .wide, thead {{ display: none; }}
  .narrow {{ display: block; }}
  table, tbody {{ display: block; }}
  tr {{ display: grid; grid-template-columns: 1fr 1fr; column-gap: 1.2rem; padding: .6rem; }}
  tr + tr {{ border-top: 1px solid #dde2de; }}
  td {{ display: flex; justify-content: space-between; padding: 0; border: 0; }}
  td:first-child {{ grid-column: 1 / -1; font-weight: 600; }}
  td:empty {{ display: none; }}
  td:not(:first-child)::before {{ content: attr(data-label); color: #56635c; }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
{price}<p>{best}</p>
<div class="wide">{wide}</div>
<div class="narrow">{narrow}</div>
<table>
<thead><tr><th>Plan</th>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p>{explained}</p>
<ul>{notes}</ul>
</body>
</html>
"""


def _page(found: Fit) -> str:
    best = found.trade_off

    def element(narrow: bool) -> str:
        svg = _svg(draw(found, narrow))
        prefix = "phone" if narrow else "desk"  # ids are unique in a page
        return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}-", svg[svg.index("<svg") :])

    def row(total: Total) -> str:
        cells = "".join(
            f'<td data-label="{name}">{html.escape(cell)}</td>'
            for name, cell in zip(FIGURES, figures(total), strict=True)
        )
        mark = ' class="best"' if total is best else ""
        return f"<tr{mark}><td>{html.escape(total.option.name)}</td>{cells}</tr>"

    return _PAGE.format(
        title=html.escape(f"Plans for {found.history.where}"),
        best=html.escape(f"Best trade-off: {best.option.name}, {money(best)}, {stops(best)}."),
        price="".join(f'<p class="price">{html.escape(words)}</p>' for words in (price_warning(found),) if words),
        wide=element(False),
        narrow=element(True),
        head="".join(f"<th>{name}</th>" for name in FIGURES),
        rows="\n".join(row(total) for total in found.totals),
        explained=html.escape(EXPLAINED),
        notes="".join(f"<li>{html.escape(note)}</li>" for note in found.notes),
    )
