"""Sizes and durations as people write them."""

from __future__ import annotations

import re

# Mobile carriers bill with 1 KB = 1024 octets.
SIZE_UNITS = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
TIME_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
MAX_OCTETS = 1 << 53  # exact in every JSON reader
MAX_SECONDS = 3_660 * 86_400  # ten years

_SIZE = re.compile(r"(\d+)(?:\.(\d+))?\s*([A-Za-z]+)")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class Octets(int):
    """An amount of data: 0 or more octets; `Octets.parse("30MB")`."""

    @classmethod
    def parse(cls, value: object) -> Octets:
        """Accepts octets, or text with a unit (rounded down). Raises ValueError with a sentence for people."""
        if isinstance(value, int) and not isinstance(value, bool):
            if value < 0:
                raise ValueError(f"{value} is negative; a size is 0 octets or more")
            octets = value
        elif isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
            whole, fraction, unit = match.groups()
            if unit not in SIZE_UNITS:
                raise ValueError(
                    f'"{value}" has an unknown unit "{unit}"; use B, KB, MB or GB (1 KB = 1024 octets)'
                )
            scale = 10 ** len(fraction or "")
            octets = (int(whole) * scale + int(fraction or 0)) * SIZE_UNITS[unit] // scale
        else:
            raise ValueError(
                f'{quote(value)} is not a size; write octets, or a number and a unit as in "30MB"'
            )
        if octets > MAX_OCTETS:
            raise ValueError(f"{quote(value)} is more than 2^53 octets; give a smaller size")
        return cls(octets)


class Seconds(int):
    """A span of time: whole seconds, 0 or more; `Seconds.parse("35d")`."""

    @classmethod
    def parse(cls, value: object) -> Seconds:
        """Accepts text with units, such as "1d12h". Raises ValueError with a sentence for people."""
        text = value.strip() if isinstance(value, str) else ""
        match = _DURATION.fullmatch(text)
        if not text or match is None:
            reason = "has no unit" if isinstance(value, int | float) else "is not a duration"
            raise ValueError(f'{quote(value)} {reason}; write it as in "90s", "10m", "6h", "35d" or "1d12h"')
        seconds = sum(
            int(count or 0) * unit for count, unit in zip(match.groups(), TIME_UNITS.values(), strict=True)
        )
        if seconds > MAX_SECONDS:
            raise ValueError(f"{quote(value)} is longer than ten years; give a shorter time")
        return cls(seconds)


def quote(value: object) -> str:
    """A value as TOML has it, at most 40 characters."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, dict):
        return "a table"
    elif isinstance(value, list):
        return "a list"
    else:
        text = str(value)
    return text if len(text) <= 40 else text[:37] + "…" + text[-1]


def size(octets: int) -> str:
    """Octets for people: "29.41 MB", "812 KB", "96 B"."""
    if octets >= 1024**3:
        return f"{octets / 1024**3:.2f} GB"
    if octets >= 1024**2:
        return f"{octets / 1024**2:.2f} MB"
    if octets >= 1024:
        return f"{octets / 1024:.0f} KB"
    return f"{octets} B"
