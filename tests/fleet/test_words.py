"""Both languages say everything, and the templates say nothing that is in neither."""

import re
import tomllib
from importlib import resources
from string import Formatter

from usageguard.core import policy

from host_tools.fleet.rules import RULES
from host_tools.fleet.standing import State
from host_tools.fleet.words import ELSEWHERE, LANGUAGES, preferred, words

WEB = resources.files("host_tools.fleet.web")
TABLE = tomllib.loads(WEB.joinpath("words.toml").read_text("utf-8"))
PLAIN = {name: each for name, each in TABLE.items() if isinstance(each, list)}
TEMPLATES = {each.name: each.read_text("utf-8") for each in WEB.joinpath("templates").iterdir()}
ENDINGS = ("none", "one", "some")


def blanks(text):
    return {name for _, name, *_ in Formatter().parse(text) if name}


def test_each_word_is_in_every_language_with_the_same_blanks():
    for name, texts in PLAIN.items():
        assert len(texts) == len(LANGUAGES), name
        assert all(texts), name
        assert blanks(texts[0]) - {"dark", "soon", "found"} == blanks(texts[1]) - {"dark", "soon", "found"}, name
    for table in ("verdict", "reason-of", "instruction", "alarm", "alert", "deed"):
        assert all(texts[1] for texts in TABLE[table].values()), table


def test_what_stands_elsewhere_is_translated():
    for table, known in ELSEWHERE.items():
        assert TABLE[table].keys() == known.keys(), table
    assert TABLE["verdict"].keys() == set(policy.VERDICTS)
    assert TABLE["reason-of"].keys() == {str(code) for code, *_ in policy.REASONS}
    assert TABLE["alert"].keys() == set(RULES)
    assert {f"state-{each.value}" for each in State} <= PLAIN.keys()


def test_the_templates_and_the_table_agree():
    """Words with a variable part are known by what is before it."""
    text = " ".join(TEMPLATES.values()) + WEB.joinpath("app.py").read_text("utf-8")
    text += resources.files("host_tools.fleet").joinpath("accounts.py").read_text("utf-8")
    text += resources.files("host_tools.fleet.outward").joinpath("message.py").read_text("utf-8")
    for name in ("render.py", "security.py", "bill_pages.py", "holding_pages.py"):
        text += WEB.joinpath(name).read_text("utf-8")
    said = set(re.findall(r"'([a-z0-9-]+)' \| t\b", text))
    said |= {f"{name}-{ending}" for name in re.findall(r"\| many\('([a-z-]+)'", text) for ending in ENDINGS}
    assert said - {"found-none", "billed-none", "pool-members-none"} <= PLAIN.keys()
    unsaid = {name for name in PLAIN if not re.search(rf"['\"]{name}['\"]", text)}
    variable = ("pool-members-", "dark-", "soon-", "found-", "billed-", "state-", "drift-", "told-")
    heads = {*re.findall(r"'([a-z-]+-)'\s*[+~]", text), *variable}
    assert {name for name in unsaid if not any(name.startswith(head) for head in heads)} == set()


def test_whatever_the_audit_has_is_in_the_table():
    folders = resources.files("host_tools.fleet"), WEB
    code = [each.read_text("utf-8") for folder in folders for each in folder.iterdir() if each.name.endswith(".py")]
    assert TABLE["deed"].keys() == set(re.findall(r'\bnote\([\w.]+, "([a-z-]+)"', " ".join(code)))


def test_names_that_are_not_known_stand_for_themselves():
    assert words("en").named("verdict", "later") == "Later"
    assert words("zh").named("verdict", "later") == "later"


def test_the_preferred_language():
    wanted = {"zh-CN,en": "zh", "en-US,zh": "en", "fr, zh;q=0.5": "zh", "fr": "en", "": "en"}
    assert {accepted: preferred(accepted) for accepted in wanted} == wanted
