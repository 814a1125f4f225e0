"""The columns of each portal's export, and which layout a file has.

A name is compared without case, blanks, signs and unit: "Usage (MB)" is the column `usage`, in MB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from host_tools.base.errors import UsageError

OCTETS, ASK = "B", ""
_SPELLED = {
    "b": "B", "byte": "B", "bytes": "B", "octets": "B", "字节": "B",
    "k": "KB", "kb": "KB", "kib": "KB", "m": "MB", "mb": "MB", "mib": "MB", "兆": "MB",
    "g": "GB", "gb": "GB", "gib": "GB",
}  # fmt: skip
_UNIT = re.compile(rf"[\s_(（\[]+({'|'.join(sorted(_SPELLED, key=len, reverse=True))})[)）\]]?$")


def unit_named(text: str) -> str | None:
    """The unit that a word names, or None."""
    return _SPELLED.get(text.strip().lower())


@dataclass(frozen=True)
class Layout:
    """A portal's columns, each by the names it may have, the preferred one first.

    `total`, `up` and `down` give the unit of each name; ASK for one whose header or owner has to say it. `end` may be
    left out. `month_day` is the day on which its months begin: 27 is that of the month before.
    """

    start: tuple[str, ...]
    total: Mapping[str, str]
    device: tuple[str, ...]
    end: tuple[str, ...] = ()
    up: Mapping[str, str] = field(default_factory=dict)
    down: Mapping[str, str] = field(default_factory=dict)
    month_day: int = 1


_CHINESE_DATES = ("日期", "统计日期", "使用日期", "账期", "月份", "统计月份", "时间")
_PLACES = ("mobilecountrycode", "mcc", "mccmnc", "visitedcountry", "country", "countrycode")
"""Columns with the country, or the network, in which the data was used."""
_CHINESE_SIMS = ("卡号", "物联卡号", "接入号", "接入号码", "号码", "msisdn", "iccid", "imsi")
_CHINESE_USE = dict.fromkeys(("用量", "流量", "使用量", "使用流量", "流量用量", "流量使用量", "已用流量"), ASK)
_ENGLISH_USE = dict.fromkeys(("usage", "datausage", "dataused", "data", "total", "totaldata", "volume"), ASK)
_SIMS = ("iccid", "simiccid", "imsi", "msisdn", "simid", "sim", "endpointid", "device", "deviceid", "name")

# The APIs' names where the portals' are not published; units as the APIs have them.
LAYOUTS = {
    "plain": Layout(("time", "date"), {"octets": OCTETS, "carried": OCTETS}, ("device",)),
    "twilio": Layout(
        ("periodstart",), {"datatotal": OCTETS}, ("simsid", "sid", "iccid"), ("periodend",),
        {"dataupload": OCTETS}, {"datadownload": OCTETS},
    ),
    "telnyx": Layout(
        ("starttime",), {}, ("simcardid", "imsi"), ("stoptime",), {"uplinkdata": OCTETS}, {"downlinkdata": OCTETS}
    ),
    "soracom": Layout(
        ("date", "unixtime", "timestamp", "time"), {}, ("imsi", "simid", "iccid"), (),
        {"uploadbytesizetotal": OCTETS, "uploadbytesize": OCTETS},
        {"downloadbytesizetotal": OCTETS, "downloadbytesize": OCTETS},
    ),
    "hologram": Layout(("sessionbegin",), {"bytes": OCTETS}, ("linkid", "deviceid", "simnumber"), ("sessionend",)),
    "emnify": Layout(
        ("starttimestamp",), {"volume": "MB", "totalvolume": "MB"}, ("iccid", "simid", "endpointid", "imsi"),
        ("endtimestamp",), {"volumetx": "MB"}, {"volumerx": "MB"},
    ),
    "1nce": Layout(
        ("date", "day"), {"volume": "MB", "datavolume": "MB"}, ("iccid", "sim", "imsi"), (),
        {"volumetx": "MB"}, {"volumerx": "MB"},
    ),
    "onelink": Layout(_CHINESE_DATES, {"dataamount": "KB", **_CHINESE_USE}, _CHINESE_SIMS),
    "unicom": Layout(
        _CHINESE_DATES, {"monthtodatedatausage": "MB", **_CHINESE_USE}, ("iccid", *_CHINESE_SIMS), month_day=27
    ),
    "telecom": Layout(
        (*_CHINESE_DATES, "month"), {"flowamount": "MB", **_CHINESE_USE}, ("accessnumber", *_CHINESE_SIMS)
    ),
    "other": Layout(
        ("time", "timestamp", "starttime", "start", "date", "day", "month", "billingmonth", "period"),
        {"octets": OCTETS, **_ENGLISH_USE},
        _SIMS, ("endtime", "end", "stoptime"),
    ),
}  # fmt: skip
"""By the name of `--format`; without one, the first that fits is taken."""


@dataclass(frozen=True)
class Amount:
    """A column with data, the name it has in the file, and its unit; ASK when neither header nor layout names one."""

    index: int
    name: str
    unit: str


@dataclass(frozen=True)
class Columns:
    """Where a file has what. The octets of a row are the sum of its `amounts`; `place` is where they were used."""

    start: int
    end: int | None
    amounts: tuple[Amount, ...]
    packets: int | None
    device: int | None
    place: int | None
    many: int
    layout: Layout


class _Header:
    def __init__(self, names: list[str], where: str) -> None:
        self.names = [name.strip() for name in names]
        self.where = where
        self.units: list[str] = []
        self.keys: list[str] = []
        for name in self.names:
            low = name.lower()
            unit = _UNIT.search(low)
            self.units.append(_SPELLED[unit[1]] if unit else ASK)
            self.keys.append(_key(low[: unit.start()] if unit else low))

    def there(self, wanted: tuple[str, ...] | Mapping[str, str]) -> list[int]:
        """The columns that have one of the names, in the order of the names. UsageError where two have the same."""
        found: list[int] = []
        for name in wanted:
            same = [index for index, key in enumerate(self.keys) if key == name]
            if len(same) > 1:
                problem = f'the column "{self.names[same[1]].lower()}" is not unique'
                raise UsageError(self.where, "line 1", problem, "keep one of them")
            found += same
        return found

    def one(self, wanted: tuple[str, ...]) -> int | None:
        return next(iter(self.there(wanted)), None)

    def amount(self, wanted: Mapping[str, str]) -> Amount | None:
        index = self.one(tuple(wanted))
        return None if index is None else self.at(index, wanted)

    def at(self, index: int, wanted: Mapping[str, str]) -> Amount:
        return Amount(index, self.names[index], self.units[index] or wanted[self.keys[index]])


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name)


def columns(names: list[str], where: str, wanted: str = "") -> Columns:
    """The columns by the first line of a file, in the layout `wanted` or the first that fits. UsageError for none."""
    header = _Header(names, where)
    header.there(("packets",))
    for name in [wanted] if wanted else LAYOUTS:
        if (found := _fitted(header, LAYOUTS[name])) is not None:
            return found
    raise _unfit(header, wanted or "plain")


def _fitted(header: _Header, layout: Layout) -> Columns | None:
    starts, totals = header.there(layout.start), header.there(layout.total)
    up, down = header.amount(layout.up), header.amount(layout.down)
    if not starts or not (totals or (up and down)):
        return None
    if layout is LAYOUTS["plain"]:  # a format of ours has no spare columns
        for found in (starts, totals):
            if len(found) > 1:
                both = " and ".join(f'"{header.names[index].lower()}"' for index in found)
                raise UsageError(header.where, "line 1", f"there are both columns {both}", "keep one of them")
    amounts = (header.at(totals[0], layout.total),) if totals else (up, down)
    device = header.one((*layout.device, *_SIMS))
    return Columns(
        starts[0], header.one(layout.end), tuple(filter(None, amounts)), header.one(("packets",)), device,
        header.one(_PLACES), len(header.names), layout,
    )  # fmt: skip


def _unfit(header: _Header, name: str) -> UsageError:
    layout = LAYOUTS[name]
    amounts = layout.total or layout.up
    lacking = layout.start if not header.there(layout.start) else tuple(amounts)
    words = " or ".join(f'"{each}"' for each in lacking).replace('"carried"', '"carried_octets"')
    hint = "name one of them in the first line"
    if name == "plain":
        hint += f", or say whose export it is with --format ({', '.join(list(LAYOUTS)[1:-1])})"
    return UsageError(header.where, "line 1", f"there is no column {words}", hint)
