"""What the pages say in each language."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from host_tools.collector.instructions import INSTRUCTIONS
from host_tools.report.labels import REASONS, VERDICTS

LANGUAGES = {"en": "English", "zh": "中文"}
ELSEWHERE = {
    "verdict": {name: each.label for name, each in VERDICTS.items()},
    "reason-of": REASONS,
    "instruction": {name: each.help for name, each in INSTRUCTIONS.items()},
}
"""English that stands in other modules, by table."""


class Words:
    """The words of one language. A word that is not there is a KeyError; names of `ELSEWHERE` and alarms that are not
    known, as from a later device, stand for themselves."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._place = [*LANGUAGES].index(language)
        self._words = _table()

    def __call__(self, word: str, **values: Any) -> str:
        return self._words[word][self._place].format(**values)

    def named(self, table: str, name: str) -> str:
        if self.language == "en" and table in ELSEWHERE:
            text = ELSEWHERE[table].get(name, name)
            return text[:1].upper() + text[1:]
        found = self._words[table].get(name)
        return found[self._place] if found else name

    def many(self, word: str, count: int, **values: Any) -> str:
        """The word for none, one or some."""
        ending = "none" if count == 0 and f"{word}-none" in self._words else "one" if count == 1 else "some"
        return self(f"{word}-{ending}", **values)


@cache
def words(language: str) -> Words:
    return Words(language)


def preferred(accepted: str) -> str:
    """The language for an Accept-Language header."""
    for each in accepted.split(","):
        code = each.split(";")[0].strip().lower().partition("-")[0]
        if code in LANGUAGES:
            return code
    return "en"


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads(resources.files(f"{__package__}.web").joinpath("words.toml").read_text("utf-8"))
