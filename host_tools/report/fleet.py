"""Writes the figures of many devices as one HTML page."""

from __future__ import annotations

import html
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from host_tools.base.units import size
from host_tools.report import page, plots
from host_tools.scenario.file import Scenario

_MOST_ROWS = 50


def write(path: str | Path, scenario: Scenario, result: Mapping[str, Any]) -> None:
    """Writes the page of a fleet's `result`, as `usageguard sim --devices --json` prints it.

    Raises UsageError when the file cannot be written.
    """
    page.save(path, page.filled(scenario.title, _article(scenario, result)))


def _article(scenario: Scenario, result: Mapping[str, Any]) -> str:
    totals, rows = result["totals"], result["rows"]
    state = ("pass", "All expectations held") if result["passed"] else ("fail", "Expectations failed")
    end = scenario.start + timedelta(seconds=result["simulated_s"])
    lead = (
        f"{result['devices']:,} devices were billed {size(totals['billed_octets'])}: from "
        f"{size(totals['least_billed_octets'])} to {size(totals['most_billed_octets'])}."
    )
    cards = (
        (f"{result['devices']:,}", "devices", f"seeds from {result['seed']} on"),
        (size(totals["billed_octets"]), "billed", f"{size(totals['denied_octets'])} denied"),
        (f"{totals['stopped_by_device']:,}", "stopped themselves", f"{totals['stopped_by_carrier']:,} by the carrier"),
        (f"{totals['reports_received']:,}", "reports received", f"{totals['reports_lost']:,} lost"),
    )
    items = "".join(
        f"<li><strong>{figure}</strong><span>{what}</span><small>{more}</small></li>" for figure, what, more in cards
    )
    picture = plots.fleet(
        [row["carrier"]["billed_octets"] for row in rows],
        [bool(row["device"]["stopped_at"] or row["carrier"]["stopped_at"]) for row in rows],
        rows[0]["carrier"]["allowance_octets"],
        f"Billed octets of each device. {lead}",
    )
    return (
        f'<article aria-labelledby="title-1"><header><p class="badge {state[0]}">{state[1]}</p>'
        f'<h1 id="title-1">{html.escape(scenario.title)}</h1><p class="lead">{lead}</p>'
        f'<p class="meta">{scenario.start:%-d %B %Y} to {end:%-d %B %Y} · {result["wall_s"]:.0f} s on '
        f'{html.escape(result["target"])}</p></header><ul class="cards" aria-label="Key figures">{items}</ul>'
        f"<section><h2>Billed, by device</h2><figure>{picture}</figure></section>{_table(rows)}</article>"
    )


def _table(rows: list[dict[str, Any]]) -> str:
    """The devices whose expectations failed, then those that were billed most."""
    chosen = sorted(rows, key=lambda row: (row["passed"], -row["carrier"]["billed_octets"], row["device_number"]))
    body = "".join(
        f'<tr><th scope="row">{row["device_number"]}</th><td>{size(row["carrier"]["billed_octets"])}</td>'
        f"<td>{html.escape(' '.join(row['device']['reasons'] or ()) or '–')}</td>"
        f"<td>{html.escape('; '.join(row['failures']) or '–')}</td></tr>"
        for row in chosen[:_MOST_ROWS]
    )
    note = f"<p>The other {len(rows) - _MOST_ROWS:,} are in the JSON results.</p>" if len(rows) > _MOST_ROWS else ""
    return (
        '<section><h2>Devices</h2><div class="scroll"><table class="compare"><thead><tr><th scope="col">Device</th>'
        '<th scope="col">Billed</th><th scope="col">Stopped by</th><th scope="col">Failed expectations</th>'
        f"</tr></thead><tbody>{body}</tbody></table></div>{note}</section>"
    )
