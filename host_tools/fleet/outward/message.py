"""What an alert is called and said to be, in the reader's language."""

from __future__ import annotations

from collections.abc import Sequence

from host_tools.fleet.alerts import Alert
from host_tools.fleet.words import Words


def line(t: Words, alert: Alert) -> str:
    """The number tells an alert from others, also where a message comes twice."""
    return f"#{alert.id} {alert.subject}: {t.named('alert', alert.rule)} – {alert.detail}"


def title(t: Words, alerts: Sequence[Alert]) -> str:
    return t.many("told", len(alerts), told=f"{len(alerts):,}")


def text(t: Words, alerts: Sequence[Alert], most_octets: int) -> str:
    """A title and a line for each alert, as many as there is room for in UTF-8."""
    said = f"Usage Guard: {title(t, alerts)}"
    for number, alert in enumerate(alerts):
        more = len(alerts) - number - 1
        rest = f"\n{t('told-more', count=more)}" if more else ""
        longer = f"{said}\n{line(t, alert)}"
        if len((longer + rest).encode()) > most_octets:
            return f"{said}\n{t('told-more', count=more + 1)}"
        said = longer
    return said
