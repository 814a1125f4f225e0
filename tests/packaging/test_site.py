"""The documentation as a site: `make docs` builds what this builds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

pytest.importorskip("material", reason="mkdocs-material is not installed: pip install -e '.[docs]'")

pytestmark = pytest.mark.proof

ROOT = Path(__file__).parents[2]
PARTS = ("li", "ol", "pre", "tr", "h2", "h3", "img")


def build(folder):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    run = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def parts(html):
    return {name: len(re.findall(f"<{name}[ >]", html)) for name in PARTS}


def test_every_link_leads_somewhere_and_every_page_has_the_parts_that_github_shows(tmp_path):
    build(tmp_path)
    for page in [*ROOT.glob("*.md"), *ROOT.glob("firmware/*.md"), *(ROOT / "host_tools").rglob("*.md")]:
        place = page.relative_to(ROOT).with_suffix("") if page.name != "README.md" else page.relative_to(ROOT).parent
        html = (tmp_path / place / "index.html").read_text("utf-8")
        article = re.sub("<nav.*?</nav>", "", html[html.index("<article") : html.index("</article>")], flags=re.DOTALL)
        github = MarkdownIt("commonmark").enable("table").render(page.read_text("utf-8"))
        assert parts(article) == parts(github), page
    picture = tmp_path / "host_tools" / "pictures" / "month.svg"
    assert picture.read_bytes() == (ROOT / "host_tools" / "pictures" / "month.svg").read_bytes()
    assert "# The monthly fee" in (tmp_path / "host_tools/scenario/scenarios/index.html").read_text("utf-8")
