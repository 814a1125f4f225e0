"""Makes the README's picture of a page that `usageguard demo` wrote.

python host_tools/pictures/picture.py usageguard-report.html

The page numbers its events and explains them below the picture; here those worth a caption have it beside them.
"""

import html
import re
import sys
from pathlib import Path
from typing import NamedTuple


class Caption(NamedTuple):
    """A caption's lines, where the first stands from the event's point (right, down), and how they are aligned."""

    lines: tuple[str, ...]
    right: float
    down: float
    anchor: str = "end"
    leader: bool = False  # a line leads down to it


# By how the event's text on the page begins.
CAPTIONS = {
    "Power fails without warning for 40 s": Caption(("8 March: power cut;", "the count survives"), -2, -24),
    "90 % used": Caption(
        ("19 March: an update is downloaded", "again and again; at 90 % of the plan", "the guard holds it back"),
        -14,
        70,
    ),
    "Only reports may pass": Caption(("27 March: limit reached,", "only reports pass"), 0, 33, "middle"),
    "A report is sent by SMS": Caption(("30 March: reserve used,", "reports go by SMS"), 10, 74, leader=True),
    "Data flows freely": Caption(("1 April: the new month begins,", "data flows again"), -12, -22),
}
_BUBBLE = re.compile(
    r'<g id="[^"]*text_\d+">\s*<g id="[^"]*patch_\d+">(?:(?!</g>).)*</g>\s*'
    r'<text style="font-size: 8px;[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>(\d+)</text>\s*</g>',
    re.DOTALL,
)


def captioned(figure: str, events: list[str]) -> str:
    """`figure` with a point and a caption for each event that CAPTIONS knows, the last of its kind, and no numbers."""
    last = {start: event for event in events for start in CAPTIONS if event.startswith(start)}
    missing = CAPTIONS.keys() - last.keys()
    assert not missing, f"the page has no event {missing}"
    numbers = {len(events) - events[::-1].index(event): start for start, event in last.items()}

    def caption(bubble: re.Match[str]) -> str:
        x, y, number = float(bubble[1]), float(bubble[2]) - 2.4, int(bubble[3])
        if number not in numbers:
            return ""
        lines, right, down, anchor, leader = CAPTIONS[numbers[number]]
        drawn = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" style="fill: var(--card); stroke: var(--ink)"/>']
        if leader:
            style = "stroke: var(--muted); stroke-width: 0.8"
            drawn.append(f'<path d="M {x:.1f} {y + 5:.1f} V {y + down - 11:.1f}" style="{style}"/>')
        for i, line in enumerate(lines):
            style = f"font-size: 9.5px; text-anchor: {anchor}; fill: var(--ink)"
            place = f'x="{x + right:.1f}" y="{y + down + 11 * i:.1f}"'
            drawn.append(f'<text style="{style}" {place}>{html.escape(line)}</text>')
        return "\n".join(drawn)

    return _BUBBLE.sub(caption, figure)


def main() -> None:
    page = Path(sys.argv[1]).read_text(encoding="utf-8")
    picture = re.search(r'<figure>(<svg .*?</svg>)\s*</figure><ol class="marks">(.*?)</ol>', page, re.DOTALL)
    light, dark = re.findall(r":root (\{.*?\})", page, re.DOTALL)
    assert picture, "no figure with events in this page"
    events = [html.unescape(event) for event in re.findall(r"</time> (.*?)</li>", picture[2])]
    themes = f"svg {light} @media (prefers-color-scheme: dark) {{ svg {dark} }}"
    style = f"<style>{themes} text {{ font-family: sans-serif }}</style>"
    svg = captioned(picture[1], events)
    svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(">", f">{style}", 1)
    Path(__file__).with_name("month.svg").write_text(svg + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
