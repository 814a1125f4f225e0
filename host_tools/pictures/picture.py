"""Takes the README's picture out of a report: `python host_tools/pictures/picture.py usageguard-report.html`."""

import re
import sys
from pathlib import Path

page = Path(sys.argv[1]).read_text(encoding="utf-8")
picture = re.search(r"<figure>(<svg .*?</svg>)", page, re.DOTALL)
light, dark = re.findall(r":root (\{.*?\})", page, re.DOTALL)
assert picture, "no figure in this page"
themes = f"svg {light} @media (prefers-color-scheme: dark) {{ svg {dark} }}"
style = f"<style>{themes} text {{ font-family: sans-serif }}</style>"
svg = picture[1].replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(">", f">{style}", 1)
Path(__file__).with_name("month.svg").write_text(svg + "\n", encoding="utf-8")
