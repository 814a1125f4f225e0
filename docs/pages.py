"""A hook of MkDocs: the pages are the repository's Markdown files, where they stand. Where one links to a source, or to
a folder of them, the site has a page with it, so that every link works on GitHub and here."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_PAGES = ("*.md", "firmware/*.md", "boards/**/*.md", "host_tools/**/*.md")
_PICTURES = ("host_tools/pictures/*.svg", "host_tools/pictures/*.png")
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)[^)\s#]+")
"""The target of a relative link, without its anchor."""
_FENCE = "````"
_LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json"}


def on_files(files: Files, config: Any) -> Files:
    root = Path(config.config_file_path).parent
    for pattern in (*_PAGES, *_PICTURES):
        for path in sorted(root.glob(pattern)):
            name = path.relative_to(root).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for page in [file for file in files if file.is_documentation_page()]:
        for target in _LINK.findall(page.content_string):
            name = posixpath.normpath(posixpath.join(posixpath.dirname(page.src_uri), target))
            is_there = any(map(files.get_file_from_path, (name, _page(name))))
            if not is_there and (root / name).exists():  # MkDocs reports what is not
                files.append(File.generated(config, _page(name), content=_shown(name, root / name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    def there(link: re.Match[str]) -> str:
        name = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), link[0]))
        shown = files.get_file_from_path(name) is None and files.get_file_from_path(_page(name))
        return _page(link[0]) if shown else link[0]

    return _LINK.sub(there, markdown)


def _page(name: str) -> str:
    return f"{name.rstrip('/')}.md"


def _shown(name: str, source: Path) -> str:
    """A page with a source, or with those in a folder."""
    if source.is_file():
        return f"# {source.name}\n\n{_code(source)}"
    parts = [f"# {name}"]
    for path in sorted(source.rglob("*")):
        if path.suffix in _LANGUAGES and not any(
            part.startswith((".", "__")) for part in path.relative_to(source).parts
        ):
            parts.append(f"## {path.relative_to(source).as_posix()}\n\n{_code(path)}")
    return "\n\n".join(parts)


def _code(source: Path) -> str:
    return f"{_FENCE}{_LANGUAGES.get(source.suffix, '')}\n{source.read_text('utf-8')}\n{_FENCE}\n"
