"""AT command lines (ITU-T V.250 clause 5): a line of text in, commands out. Pure; never raises."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

EXEC, READ, TEST, WRITE = range(4)
FORMS = ("AT{}", "AT{}?", "AT{}=?", "AT{}=")

_EXTENDED = frozenset("+^$#*%")  # V.250 5.4.1 has "+"; vendors took the others


class Command(NamedTuple):
    """One command of a line. A malformed one has the empty name, which no table holds."""

    name: str  # canonical: upper case, "+CSQ", "E", "&F", "S3", "D"
    form: int
    args: tuple[str, ...]  # quotes removed, an omitted one is ""
    text: str  # as typed after "AT", for matching and for logs


@lru_cache(maxsize=512)
def parse(body: str) -> tuple[Command, ...]:
    """Splits what follows the "AT" prefix; a month's polling sends the same few lines again and again."""
    commands: list[Command] = []
    at, end = 0, len(body)
    while at < end:
        char = body[at]
        if char in " ;":
            at += 1
        elif char in _EXTENDED:
            stop = _unquoted(body, ";", at)
            commands.append(_extended(body[at:stop]))
            at = stop
        else:
            command, at = _basic(body, at)
            commands.append(command)
    return tuple(commands)


def split_args(text: str) -> tuple[str, ...]:
    """Splits at commas outside quotes and removes the quotes."""
    args: list[str] = []
    start = 0
    while True:
        stop = _unquoted(text, ",", start)
        arg = text[start:stop].strip(" ")
        if len(arg) >= 2 and arg[0] == arg[-1] == '"':
            arg = arg[1:-1]
        args.append(arg)
        if stop == len(text):
            return tuple(args)
        start = stop + 1


def _extended(text: str) -> Command:
    """`+NAME`, `+NAME?`, `+NAME=?` or `+NAME=args` (V.250 5.4.3 and 5.4.4)."""
    at = 1
    while at < len(text) and (text[at].isalnum() or text[at] in "_-./:%!"):
        at += 1
    name, rest = text[:at].upper(), text[at:].strip(" ")
    if not name[1:] or not name.isascii():
        return Command("", EXEC, (), text)
    if not rest:
        return Command(name, EXEC, (), text)
    if rest == "?":
        return Command(name, READ, (), text)
    if rest == "=?":
        return Command(name, TEST, (), text)
    if rest[0] == "=":
        return Command(name, WRITE, split_args(rest[1:]), text)
    return Command("", EXEC, (), text)


def _basic(body: str, at: int) -> tuple[Command, int]:
    """`E0`, `&F`, `S3=13`, `S3?`, `D*99#` (V.250 5.3): a letter, a number, and the next follows at once."""
    start = at
    name = body[at].upper()
    at += 1
    if name == "&" and at < len(body):
        name += body[at].upper()
        at += 1
    if not name.isascii() or not name[-1].isalpha():
        return Command("", EXEC, (), body[start:]), len(body)
    if name == "D":  # the dial string takes the rest of the line, with the ";" that makes it a voice call
        return Command(name, EXEC, (body[at:].strip(" "),), body[start:]), len(body)
    number, at = _digits(body, at)
    if name != "S":
        return Command(name, EXEC, (number,), body[start:at]), at
    name += number
    if body[at : at + 1] == "?":
        return Command(name, READ, (), body[start : at + 1]), at + 1
    if body[at : at + 1] == "=":
        if body[at + 1 : at + 2] == "?":
            return Command(name, TEST, (), body[start : at + 2]), at + 2
        value, at = _digits(body, at + 1)
        return Command(name, WRITE, (value,), body[start:at]), at
    return Command(name, EXEC, (), body[start:at]), at


def _digits(body: str, at: int) -> tuple[str, int]:
    start = at
    while at < len(body) and body[at] in "0123456789":
        at += 1
    return body[start:at], at


def _unquoted(text: str, char: str, at: int) -> int:
    """Where `char` next stands outside quotes, or the end."""
    quoted = False
    for i in range(at, len(text)):
        if text[i] == '"':
            quoted = not quoted
        elif text[i] == char and not quoted:
            return i
    return len(text)
