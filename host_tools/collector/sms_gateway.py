"""Short messages with orders, for an SMS gateway that takes them by HTTP.

A TOML file says where it is and how it wants them, and has the devices' numbers (firmware/DEVICE.md has one).
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import aiohttp
import msgspec

from host_tools.base import files
from host_tools.base.errors import UsageError
from host_tools.collector.order import Order
from host_tools.collector.order_book import Given

BY_SMS = " by SMS"
"""Ends what is written down of an order that went so."""
TIMELY = ("grant", "set_used", "new_sim")
"""Keys that depend on the time at which they are carried out: a short message may come days late."""
_MOST_OCTETS, _MOST_CHARACTERS = 140, 160  # 3GPP TS 23.040 9.2.3.24
_TIMEOUT_S = 30
_SHAPE = "see firmware/DEVICE.md"


class Outgoing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `outgoing`. `number`, `message` and `fields` name what is in a request, and the rest of it."""

    url: str
    number: Annotated[str, msgspec.Meta(min_length=1)]
    message: Annotated[str, msgspec.Meta(min_length=1)]
    coding: Literal["hex", "base64", "text"] = "hex"
    body: Literal["json", "form"] = "json"
    fields: dict[str, str] = {}
    authorization_env: str = ""
    most_per_day: Annotated[int, msgspec.Meta(ge=1)] = 10

    def coded(self, octets: bytes) -> str:
        """`text`: base64 as the text of the message, for gateways that take no other."""
        return octets.hex() if self.coding == "hex" else base64.b64encode(octets).decode()

    def check(self, device: str, octets: bytes, given: Sequence[Given], now: datetime) -> None:
        """UsageError where the order is too long for one message, or the device has had its day's."""
        size, most = len(octets), _MOST_OCTETS
        if self.coding == "text":
            size, most = len(self.coded(octets)), _MOST_CHARACTERS
        if size > most:
            raise UsageError("--sms", device, f"the order takes {size} of {most} characters", "order less at once")
        day = [each for each in given if each.what.endswith(BY_SMS) and now - each.given_at < timedelta(days=1)]
        if len(day) >= self.most_per_day:
            problem = f"has had {len(day)} short messages within a day, which is the most"
            raise UsageError("--sms", device, problem, "wait, or raise outgoing.most_per_day")


def check_timeless(device: str, order: Order) -> None:
    """UsageError for an order that must not come late."""
    if late := [name for name in order.names() if name in TIMELY]:
        problem = f"{', '.join(late)} would be wrong when it comes late, as a short message may"
        raise UsageError("--sms", device, problem, "leave it to the next report")


def load(file: Path) -> tuple[Outgoing, dict[str, str]]:
    """How messages go out, and the devices' numbers. UsageError where the file does not say it."""
    table = files.table(file, _SHAPE)
    try:
        outgoing = msgspec.convert(table.get("outgoing", {}), Outgoing)
        numbers = msgspec.convert(table.get("numbers", {}), dict[str, str])
    except msgspec.ValidationError as error:
        raise UsageError(str(file), "outgoing", str(error), _SHAPE) from None
    if not outgoing.url.startswith(("https://", "http://")):
        raise UsageError(str(file), "outgoing.url", "is not a URL", _SHAPE)
    name = outgoing.authorization_env
    if name and not os.environ.get(name):
        raise UsageError(str(file), "outgoing.authorization_env", f"{name} is not set", "set it")
    return outgoing, numbers


def send(outgoing: Outgoing, messages: Mapping[str, tuple[str, bytes]]) -> dict[str, str]:
    """Hands the gateway (number, octets) of each device; returns what was wrong, by device, where it took one not."""
    return asyncio.run(_send(outgoing, messages))


async def _send(outgoing: Outgoing, messages: Mapping[str, tuple[str, bytes]]) -> dict[str, str]:
    headers = {"Authorization": os.environ[outgoing.authorization_env]} if outgoing.authorization_env else {}
    wrong: dict[str, str] = {}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(_TIMEOUT_S)) as session:
        for device, (number, octets) in messages.items():
            body = outgoing.fields | {outgoing.number: number, outgoing.message: outgoing.coded(octets)}
            try:
                if outgoing.body == "json":
                    sent = session.post(outgoing.url, json=body)
                else:
                    sent = session.post(outgoing.url, data=body)
                async with sent as answer:
                    if answer.status >= 300:
                        wrong[device] = f"HTTP status {answer.status}"
            except (aiohttp.ClientError, TimeoutError) as error:
                wrong[device] = type(error).__name__  # its text may have the URL, and what is secret in it
    return wrong
