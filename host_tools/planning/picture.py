"""Draws the limits of a plan on a line of text, to scale except that each mark has a column of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.text import Text

from host_tools.base.units import size
from host_tools.planning.explain import yuan

WIDTH = 72
_SIGNS = "123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Mark:
    """An event at a number of octets; `colour` is that of the line from here on, "" for no change."""

    octets: int
    label: str
    colour: str = ""


def marks(facts: dict[str, Any]) -> list[Mark]:
    """The marks from zero to the ceiling, in order."""
    limits = facts["limits"]
    found = []
    for warning in facts["warnings"]:
        at = warning["at_octets"]
        if at is None or not warning["fires"]:
            continue
        if warning["at_fen"] is not None:
            label = f"warning: it has cost {yuan(warning['at_fen'])}"
        else:
            label = f"warning: {int(warning['code'].split('-')[1]) / 10:g} % used"
        found.append(Mark(at, label, "yellow"))
    for each in facts["classes"]:
        sheds = not each["reserve"] and each["stops_at_octets"] is not None
        if sheds and each["stops_at_octets"] != limits["local_limit_octets"]:
            found.append(Mark(each["stops_at_octets"], f"{each['name']} stops", "dark_orange"))
    if facts["throttle"] and limits["slow_limit_octets"] is not None:
        rate = size(facts["throttle"]["rate_octets_s"])
        found.append(Mark(limits["slow_limit_octets"], f"slowed to {rate} a second", "magenta"))
    elif limits["allowance_octets"] != limits["ceiling_octets"]:
        found.append(Mark(limits["allowance_octets"], "the allowance ends", "cyan"))
    if limits["ceiling_octets"] is not None:
        found.append(Mark(limits["local_limit_octets"], "local limit: only reports may pass", "red"))
        found.append(Mark(limits["report_limit_octets"], "report limit: the device is silent", "bright_black"))
        last = "ceiling: the carrier stops the SIM" if facts["kind"] == "cutoff" else "ceiling: the cap"
        found.append(Mark(limits["ceiling_octets"], last))
    return sorted(found, key=lambda mark: mark.octets)


def columns(octets: list[int], width: int) -> list[int]:
    """Columns 1..width for these rising amounts, as near to scale as possible with a column of its own for each.

    ValueError for more amounts than columns.
    """
    if len(octets) > width:
        raise ValueError("more marks than columns")
    scale = max(octets, default=1) or 1
    places = [max(1, round(each * width / scale)) for each in octets]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + 1)
    for i in range(len(places) - 1, -1, -1):
        places[i] = min(places[i], width - (len(places) - 1 - i))
    return places


def draw(facts: dict[str, Any], width: int = WIDTH) -> Text:
    """The line, the marks under it, and a legend. The line ends with an arrow if there is no ceiling.

    `width` is increased if it is too small for all marks.
    """
    rows = marks(facts)[: len(_SIGNS)]
    width = max(width, len(rows) + 8)
    ends = facts["limits"]["ceiling_octets"] is not None
    places = columns([mark.octets for mark in rows], width - (0 if ends else 6))
    line, signs = Text("├"), Text(" ")
    colour, at = "green", 0
    for mark, place, sign in zip(rows, places, _SIGNS, strict=False):
        line.append("─" * (place - at - 1), colour)
        signs.append(" " * (place - at - 1))
        last = ends and mark is rows[-1]
        colour = mark.colour or colour
        line.append("┤" if last else "┼", "bold" if last else colour)
        signs.append(sign, "bold")
        at = place
    if not ends:
        line.append("─" * (width - at - 1) + "→", colour)
    legend = Text()
    pad = max((len(size(mark.octets)) for mark in rows), default=0)
    for mark, sign in zip(rows, _SIGNS, strict=False):
        legend.append(f"\n{sign} ", "bold")
        legend.append(f"{size(mark.octets):>{pad}}  {mark.label}")
    return Text.assemble(line, "\n", signs, legend)
