"""`usageguard plan new`: asks what the carrier sells and what the device needs, and writes it as a commented plan."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from host_tools.base import files, paths
from host_tools.base.errors import UsageError
from host_tools.base.units import Octets, Seconds, quote

Answers = dict[str, Any]
Ask = Callable[["Question", Any], str]
"""Asks a person a question, with what an empty answer stands for (None: nothing does), and returns the answer."""

NONE = "none"
HOURS, ROAMING, BOTH = "hours", "roaming", "both"
UNLIMITED = "unlimited"


@dataclass(frozen=True)
class Question:
    """`read` makes a value of an answer, ValueError with a sentence; `when` says whether it is asked; `default` is None
    where there must be an answer."""

    key: str
    text: str
    explains: str
    read: Callable[[Any], Any]
    default: Any = None
    when: Callable[[Answers], bool] = lambda _: True


def presets() -> dict[str, Answers]:
    """The answers for what carriers commonly sell, by name."""
    return tomllib.loads(Path(__file__).with_name("presets.toml").read_text("utf-8"))


def _choice(*words: str) -> Callable[[Any], str]:
    def read(answer: Any) -> str:
        if answer not in words:
            raise ValueError(f"{quote(answer)} is none of {', '.join(words)}")
        return str(answer)

    return read


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(answer: Any) -> int:
        try:
            number = int(str(answer))
        except ValueError:
            raise ValueError(f"{quote(answer)} is not a whole number") from None
        if not least <= number <= most:
            raise ValueError(f"{number} is not in {least} to {most}")
        return number

    return read


def _yes(answer: Any) -> bool:
    if isinstance(answer, bool):
        return answer
    words = {"yes": True, "y": True, "no": False, "n": False}
    if str(answer).lower() not in words:
        raise ValueError(f"{quote(answer)} is neither yes nor no")
    return words[str(answer).lower()]


def _size(answer: Any) -> str:
    Octets.parse(answer)
    return str(answer)


def _apart(answer: Any) -> str:
    """A size that the firmware can count apart."""
    paths.use_firmware()
    from usageguard.config.plan import MAX_QUOTA

    if Octets.parse(answer) > MAX_QUOTA:
        raise ValueError(f"{quote(answer)} is more than 2GB, the most that can be counted apart")
    return str(answer)


def _apart_or_unlimited(answer: Any) -> str:
    return UNLIMITED if answer == UNLIMITED else _apart(answer)


def _clock(answer: Any) -> str:
    if not re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]", str(answer)):
        raise ValueError(f'{quote(answer)} is not a time of day; write it as in "23:00"')
    return str(answer)


def _span(answer: Any) -> str:
    Seconds.parse(answer)
    return str(answer)


def _day(answer: Any) -> date:
    if isinstance(answer, date):
        return answer
    try:
        return date.fromisoformat(str(answer))
    except ValueError:
        raise ValueError(f"{quote(answer)} is not a date; write it as in 2026-03-15") from None


def _text(answer: Any) -> str:
    text = str(answer).strip()
    if not text or any(char in text for char in '"\\\n'):
        raise ValueError(f"{quote(answer)} is not a name")
    return text


def _family(answer: Any) -> str:
    paths.use_firmware()
    from usageguard.config.load import FAMILIES

    return _choice(*map(str, FAMILIES))(answer)


def _has_hours(answers: Answers) -> bool:
    return answers["apart"] in (HOURS, BOTH)


QUESTIONS = (
    Question(
        "family", "Which family is the modem of?",
        "It decides which AT commands are used; `usageguard boards` says which family a board's modem is of.",
        _family, "quectel",
    ),
    Question("apn", "Which APN does the carrier give?", "Without the right one there is no data session.", _text),
    Question(
        "allowance", "How much data does the SIM have for each period?",
        'As the contract says, such as "30MB"; of a pool: what this SIM may use at most. 1 MB is 1,048,576 bytes.',
        _size,
    ),
    Question(
        "used_up", "What happens when it is used up? (stop, bill, slow)",
        "The device stops before the carrier does, or before it costs more than you allow, or sends no faster.",
        _choice("stop", "bill", "slow"), "stop",
    ),
    Question("block", "Beyond it, data is billed in blocks of what size?", "Each started block costs its price.", _size,
             "1MB", lambda a: a["used_up"] == "bill"),
    Question("block_fen", "What does a block cost, in fen (1/100 yuan)?", "The device counts as the carrier does.",
             _whole(1, 1 << 30), None, lambda a: a["used_up"] == "bill"),
    Question("cost_cap_fen", "How much may that cost in a period, in fen?", "The device stops there.",
             _whole(1, 1 << 30), None, lambda a: a["used_up"] == "bill"),
    Question("rate", "To how many bytes a second is it slowed down?", "Faster sending only fills queues that drop.",
             _size, "16KB", lambda a: a["used_up"] == "slow"),
    Question("pool", "Does the SIM share its data with others?", "The device then uses only what it was granted.",
             _yes, False, lambda a: a["used_up"] == "stop"),
    Question(
        "period", "What is the data for? (month, days, package, life)",
        "A calendar month, a number of days, a package of months as a whole, or the life of the SIM.",
        _choice("month", "days", "package", "life"), "month",
    ),
    Question("billing_day", "On which day of the month does the bill begin?", "A new allowance begins on it.",
             _whole(1, 31), 1, lambda a: a["period"] == "month"),
    Question("days", "How many days has a period?", "A new allowance begins after so many.", _whole(1, 3660), None,
             lambda a: a["period"] == "days"),
    Question("months", "How many months has the package?",
             "It ends then, and the device warns 30, 7 and 1 days before.", _whole(1, 600), None,
             lambda a: a["period"] == "package"),
    Question("activated", "Since which day does it count?", "Periods and packages are counted from it.", _day, None,
             lambda a: a["period"] != "month"),
    Question(
        "apart", "Does the contract count some data apart? (none, hours, roaming, both)",
        "Hours of the day that are free, cheaper or have data of their own, such as a night pack; data for roaming. "
        "A SIM that is at home in no network, such as 1NCE's, roams everywhere: for it, none.",
        _choice(NONE, HOURS, ROAMING, BOTH), NONE, lambda a: not a["pool"],
    ),
    Question("hours_from", "When do these hours begin?", "The device takes them as begun 5 minutes later.", _clock,
             "23:00", _has_hours),
    Question("hours_to", "When do they end?", "The device takes them as over 5 minutes before.", _clock, "07:00",
             _has_hours),
    Question("hours_allowance", "How much data is for them alone in each period? (unlimited)",
             "What is beyond comes out of the other data.", _apart_or_unlimited, UNLIMITED, _has_hours),
    Question("hours_percent", "Which percentage of what is used in them comes out of the other data?",
             "0 where they are free or have data of their own, 50 where they cost half.", _whole(0, 99), 0, _has_hours),
    Question("roaming_allowance", "How much data is for roaming in each period?",
             "Then data stops there, reports too, until the SIM is at home. 0MB: it stops as soon as the SIM roams.",
             _apart, "0MB", lambda a: a["apart"] in (ROAMING, BOTH)),
    Question("zone", "In which zone do the carrier's days begin?", "A month begins at midnight there.", _text,
             "Asia/Shanghai"),
    Question("compared", "Have you compared a bill with what the device counted?",
             "Until then the device adds what carriers add at the most, so that it stops first.", _yes, False),
    Question("pace", "Shall a runaway program be held to a share for each day?",
             "Otherwise it may use the whole period up at once.", _yes, True, lambda a: a["period"] != "life"),
    Question("updates", "Does the application download updates?",
             "They then stop at 90 % of the plan, and what matters more goes on.", _yes, True),
    Question("collector", "Which host receives the device's reports? (none)",
             "They say what was used and why the device stopped; orders come with their answers.", _text, NONE),
    Question("interval", "How often does it report?", "Each report takes some 112 bytes.", _span, "6h",
             lambda a: a["collector"] != NONE),
    Question("ntp", "Which NTP server tells the time?", "Without a time that is certain the hours are never used.",
             _text, "pool.ntp.org", lambda a: _has_hours(a) and a["collector"] == NONE),
)  # fmt: skip


def answer(given: Mapping[str, Any], ask: Ask | None, where: str) -> Answers:
    """The answers to all questions that apply: those `given`, else asked for, else the defaults. UsageError."""
    known = {question.key for question in QUESTIONS} | {"title"}
    if unknown := sorted(given.keys() - known):
        raise UsageError(where, unknown[0], "is not a question's name", f"there are {', '.join(sorted(known))}")
    answers: Answers = {"title": given.get("title", "")}
    for question in QUESTIONS:
        if not question.when(answers):
            answers[question.key] = None
        elif question.key in given:
            answers[question.key] = _read(question, given[question.key], where)
        elif ask:
            answers[question.key] = _asked(question, ask)
        elif question.default is None:
            raise UsageError(where, question.key, f"is missing: {question.text}", question.explains)
        else:
            answers[question.key] = question.default
    return answers


def _read(question: Question, value: Any, where: str) -> Any:
    try:
        return question.read(value)
    except ValueError as error:
        raise UsageError(where, question.key, str(error)) from None


def _asked(question: Question, ask: Ask) -> Any:
    problem = ""
    while True:
        text = ask(question, problem)
        try:
            return question.read(text) if text else _default(question)
        except ValueError as error:
            problem = str(error)


def _default(question: Question) -> Any:
    if question.default is None:
        raise ValueError("there is no usual answer to this")
    return question.default


def write(answers: Answers) -> str:
    """The plan as TOML, each key with what it does. `usageguard plan`, `sim` and `deploy` take it as it is."""
    a = answers
    plan: list[tuple[str, str]] = [(f'allowance_octets = "{a["allowance"]}"', "what the SIM has for each period")]
    kind = {"stop": "cutoff", "bill": "overage", "slow": "throttle"}[a["used_up"]]
    plan.append((f'on_exhaustion = "{kind}"', "what the carrier does when it is used up"))
    if a["period"] == "month":
        plan.append((f"cycle_start_day = {a['billing_day']}", "the day on which a bill begins"))
    else:
        if a["period"] == "days":
            plan.append((f"cycle_days = {a['days']}", "days of a period"))
        if a["period"] == "life":
            plan.append(("endless = true", "no new allowance ever begins"))
        plan.append((f"activated = {a['activated'].isoformat()}", "the day from which it counts"))
    plan.append((f'utc_offset_min = "{a["zone"]}"', "the zone in which its days begin"))
    if a["pace"]:
        plan.append(("pace = true", "a share for each day: a runaway program does not use the period up"))
    lines = ["[modem]", f'family = "{a["family"]}"', f'apn = "{a["apn"]}"', "", "[plan]"]
    lines += _beside(plan)
    if not a["compared"]:
        lines += ["", "[plan.rating] # what carriers add at the most; adjust it to the first bill"]
        lines += ["per_packet_octets = 54", "margin_permille = 70"]
    if a["used_up"] == "bill":
        lines += ["", "[plan.overage]", f"cost_cap_fen = {a['cost_cap_fen']} # the device stops there"]
        lines.append(f'tiers = [{{ block_octets = "{a["block"]}", fen = {a["block_fen"]} }}] # each started block')
    if a["used_up"] == "slow":
        lines += ["", "[plan.throttle]", f'rate_octets_s = "{a["rate"]}" # the device sends no faster then']
    if a["pool"]:
        lines += ["", "[plan.pool] # the device uses what it was granted", 'on_silence = "retry_and_terminate"']
    if _has_hours(a):
        hours = [(f'from = "{a["hours_from"]}"', "the device takes them as begun 5 minutes later"),
                 (f'to = "{a["hours_to"]}"', "and as over 5 minutes before")]  # fmt: skip
        if a["hours_allowance"] != UNLIMITED:
            hours.append((f'allowance_octets = "{a["hours_allowance"]}"', "of each period; then the plan's"))
        if a["hours_percent"]:
            hours.append((f"charged_permille = {10 * a['hours_percent']}", "so much comes out of the plan"))
        lines += ["", "[plan.hours] # what is used in them is counted apart", *_beside(hours)]
    if a["apart"] in (ROAMING, BOTH):
        lines += ["", "[plan.roaming] # counted apart; data stops there when it is used up, reports too"]
        lines.append(f'allowance_octets = "{a["roaming_allowance"]}" # of each period')
    if a["period"] == "package":
        lines += ["", "[plan.package] # not renewed by itself", f"months = {a['months']}", 'slice = "whole"']
    if not a["updates"]:
        lines += ["", "[[classes]] # the first one is the default", 'name = "telemetry"']
        lines += ["", "[[classes]]", 'name = "report"', "reserve = true # a part of the plan is kept for reports"]
    if a["collector"] != NONE:
        lines += ["", "[upstream]", f'host = "{a["collector"]}"', f'interval_s = "{a["interval"]}"']
    if a["ntp"]:
        lines += ["", "[upstream]", f'ntp_host = "{a["ntp"]}" # confirms the time that the network tells']
    head = [f"# {a['title']}"] if a["title"] else []
    return "\n".join([*head, "# Made by `usageguard plan new`; `usageguard plan` explains it.", "", *lines, ""])


def _beside(pairs: list[tuple[str, str]]) -> list[str]:
    width = max(len(key) for key, _ in pairs)
    return [f"{key:{width}} # {comment}" for key, comment in pairs]


def read_answers(path: Path) -> Answers:
    """The answers in a file. UsageError."""
    return files.table(path, "name a TOML file with answers")
