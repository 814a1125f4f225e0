"""The file that says what people are told of, and where."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from host_tools.base import extras, files
from host_tools.base.errors import UsageError
from host_tools.base.units import Octets
from host_tools.fleet.outward.channels import BOTS, Bot, Channel, Mail, Webhook
from host_tools.fleet.rules import RULES, Rules
from host_tools.platforms import secret
from host_tools.platforms.secret import Secret

if TYPE_CHECKING:
    from host_tools.fleet.outward.publisher import Broker

_SHAPE = "see host_tools/fleet/README.md"
_LEAST_KEY, _MOST_KEY = 24, 64  # octets (Standard Webhooks 1.0.0)
_NONE = Secret("")

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class _RulesTable(msgspec.Struct, forbid_unknown_fields=True):
    silent_intervals: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3
    drift: str | int = 0
    drift_percent: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 10
    package_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 7
    pool_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 10
    off: list[str] = []


class _Channel(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind"):
    rules: list[str] = []
    language: Literal["en", "zh"] = "en"


class _Webhook(_Channel, tag="webhook", kw_only=True):
    url: Text
    secret_env: str = ""
    secret_file: str = ""

    def channel(self, where: str) -> Channel:
        if not self.url.startswith(("https://", "http://")):
            raise UsageError(where, "", "url is not an HTTP address", "begin it with https://")
        key = _secret(where, "secret", self.secret_env, self.secret_file)
        try:
            octets = len(base64.b64decode(key.reveal().removeprefix("whsec_"), validate=True))
        except binascii.Error:
            octets = 0
        if not _LEAST_KEY <= octets <= _MOST_KEY:
            hint = "make one: echo whsec_$(openssl rand -base64 32)"
            raise UsageError(where, "", f"its secret is not base64 of {_LEAST_KEY} to {_MOST_KEY} octets", hint)
        return Webhook(self.url, key)


class _BotTable(_Channel, kw_only=True):
    url_env: str = ""
    url_file: str = ""
    secret_env: str = ""
    secret_file: str = ""

    def channel(self, where: str) -> Channel:
        asks, most_octets = BOTS[self.__struct_config__.tag]  # type: ignore[index]
        url = _secret(where, "url", self.url_env, self.url_file)
        if not url.reveal().startswith("https://"):
            raise UsageError(where, "", "its URL is not an HTTPS address", "copy it from the bot's settings")
        is_signed = self.secret_env or self.secret_file
        key = _secret(where, "secret", self.secret_env, self.secret_file) if is_signed else _NONE
        return Bot(url, key, asks, most_octets, self.language)


class _DingTalk(_BotTable, tag="dingtalk"):
    pass


class _Feishu(_BotTable, tag="feishu"):
    pass


class _WeCom(_BotTable, tag="wecom"):
    pass


class _Mail(_Channel, tag="smtp", kw_only=True):
    host: Text
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    sender: Annotated[str, msgspec.Meta(pattern=r"^[^\r\n]+@[^\r\n]+$")]
    to: Annotated[list[Annotated[str, msgspec.Meta(pattern=r"^[^\r\n,]+@[^\r\n,]+$")]], msgspec.Meta(min_length=1)]
    user: str = ""
    password_env: str = ""
    password_file: str = ""

    def channel(self, where: str) -> Channel:
        if self.user and self.tls == "none":
            raise UsageError(where, "", "would send the password in the clear", "set tls")
        key = _secret(where, "password", self.password_env, self.password_file) if self.user else _NONE
        return Mail(self.host, self.port, self.tls, self.sender, self.to, self.user, key, self.language)


class _Mqtt(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["thingsboard", "homeassistant", "senml"]
    host: Text
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    tls: bool = True
    prefix: Annotated[str, msgspec.Meta(pattern=r"^[^+#/]+(/[^+#/]+)*$")] = "usageguard"
    user_env: str = ""
    user_file: str = ""
    password_env: str = ""
    password_file: str = ""

    def broker(self, where: str) -> Broker:
        extras.need(where, "mqtt")
        from host_tools.fleet.outward.publisher import Broker

        user, password = (
            _secret(where, what, variable, file) if variable or file else _NONE
            for what, variable, file in (
                ("user", self.user_env, self.user_file),
                ("password", self.password_env, self.password_file),
            )
        )
        port = self.port or (8883 if self.tls else 1883)
        return Broker(self.host, port, self.tls, self.prefix, self.format, user, password)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    rules: _RulesTable = msgspec.field(default_factory=_RulesTable)
    mqtt: _Mqtt | None = None
    channels: dict[Name, _Webhook | _DingTalk | _Feishu | _WeCom | _Mail] = {}


@dataclass(frozen=True)
class Outward:
    """`wants`: the rules of each channel; of all of them where it names none. `mqtt`: where figures go."""

    rules: Rules = field(default_factory=Rules)
    channels: dict[str, Channel] = field(default_factory=dict)
    wants: dict[str, Sequence[str]] = field(default_factory=dict)
    mqtt: Broker | None = None


def load(path: Path) -> Outward:
    """UsageError where it is wrong, or a secret is not there."""
    content: dict[str, Any] = files.table(path, _SHAPE)
    try:
        file = msgspec.convert(content, _File)
        drift = int(Octets.parse(file.rules.drift))
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError(str(path), "", str(error), _SHAPE) from None
    named = {f"channels.{name}.rules": each.rules for name, each in file.channels.items()}
    named["rules.off"] = file.rules.off
    for where, rules in named.items():
        if unknown := [each for each in rules if each not in RULES]:
            raise UsageError(str(path), where, f'"{unknown[0]}" is no rule', f"there are {', '.join(RULES)}")
    table = file.rules
    rules = Rules(
        silent_intervals=table.silent_intervals,
        drift_octets=drift,
        drift_percent=table.drift_percent,
        package_days=table.package_days,
        pool_permille=10 * table.pool_percent,
        off=tuple(table.off),
    )
    channels = {name: each.channel(f"{path}: channels.{name}") for name, each in file.channels.items()}
    wants: dict[str, Sequence[str]] = {name: each.rules for name, each in file.channels.items()}
    return Outward(rules, channels, wants, file.mqtt.broker(f"{path}: mqtt") if file.mqtt else None)


def _secret(where: str, what: str, variable: str, file: str) -> Secret:
    if not variable and not file:
        raise UsageError(where, "", f"has no {what}", f"give {what}_env or {what}_file")
    return secret.load(variable, Path(file) if file else None, where)
