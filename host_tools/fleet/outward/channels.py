"""The ways to tell people of alerts: a webhook, mail, and the bots of DingTalk, Feishu and WeCom.

Each `send` returns when the receiver has taken the message, and raises SendError else. It may have been taken all the
same, and is then sent again: a webhook's id, and the numbers in the text, are the same both times.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import smtplib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Protocol
from urllib.parse import urlencode

from host_tools.fleet.alerts import Alert
from host_tools.fleet.outward import message
from host_tools.fleet.outward.http import Post, SendError, post
from host_tools.fleet.words import Words, words
from host_tools.platforms.secret import Secret

_JSON = {"Content-Type": "application/json; charset=utf-8"}
_SECRET_PREFIX = "whsec_"
_SMTP_S = 10.0


class Channel(Protocol):
    """`most`: alerts in one message; `pause_s`: between two, as the receiver asks for."""

    most: int
    pause_s: float

    def send(self, alerts: Sequence[Alert], now: float) -> None: ...


@dataclass
class Webhook:
    """As Standard Webhooks 1.0.0 has it: an alert a request, signed with its id and the time."""

    url: str
    secret: Secret
    post: Post = post
    most: int = 1
    pause_s: float = 0.0

    def send(self, alerts: Sequence[Alert], now: float) -> None:
        for alert in alerts:
            body = json.dumps(_event(alert), ensure_ascii=False, separators=(",", ":")).encode()
            headers = {**_JSON, **signed(self.secret.reveal(), name_of(alert), int(now), body)}
            status, _ = self.post(self.url, body, headers)
            if not 200 <= status < 300:
                raise SendError(f"HTTP status {status}")


def name_of(alert: Alert) -> str:
    """What tells a notice from all others, and is the same when it is sent again."""
    return f"alert-{alert.id}-{alert.round}-{int(alert.raised_at.timestamp())}"


def signed(secret: str, name: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks 1.0.0, "Signature scheme", symmetric."""
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    mac = hmac.digest(key, b"%s.%d.%s" % (name.encode(), timestamp, body), "sha256")
    signature = f"v1,{base64.b64encode(mac).decode()}"
    return {"webhook-id": name, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def _event(alert: Alert) -> dict[str, Any]:
    data = {
        "id": alert.id, "rule": alert.rule, "subject": alert.subject, "period": alert.period, "detail": alert.detail,
        "round": alert.round,
    }  # fmt: skip
    return {"type": f"alert.{alert.rule}", "timestamp": alert.raised_at.isoformat(), "data": data}


@dataclass
class Bot:
    """A bot in a group's chat; `asks`: what a URL, a secret, a text and a time become. Its address is a secret."""

    url: Secret
    secret: Secret
    asks: Callable[[str, str, str, float], tuple[str, Any]]
    most_octets: int
    language: str = "en"
    post: Post = post
    most: int = 100
    pause_s: float = 3.0  # 20 messages a minute
    t: Words = field(init=False)

    def __post_init__(self) -> None:
        self.t = words(self.language)

    def send(self, alerts: Sequence[Alert], now: float) -> None:
        text = message.text(self.t, alerts, self.most_octets)
        url, body = self.asks(self.url.reveal(), self.secret.reveal(), text, now)
        try:
            status, answer = self.post(url, json.dumps(body, ensure_ascii=False).encode(), _JSON)
        except SendError as error:
            raise SendError(self.url.hidden_in(str(error))) from None
        try:
            told = json.loads(answer)
            code = told.get("errcode", told.get("code"))
            said = str(told.get("errmsg", told.get("msg", "")))[:200]
        except (ValueError, AttributeError):
            code, said = None, ""
        if status != 200 or code != 0:
            raise SendError(f"HTTP status {status}, code {code} {said}".strip())


def dingtalk(url: str, secret: str, text: str, now: float) -> tuple[str, Any]:
    """open.dingtalk.com/document/robots/custom-robot-access; signed as in "security settings", by the URL."""
    if secret:
        stamp = str(round(now * 1000))
        mac = hmac.digest(secret.encode(), f"{stamp}\n{secret}".encode(), "sha256")
        url += ("&" if "?" in url else "?") + urlencode({"timestamp": stamp, "sign": base64.b64encode(mac).decode()})
    return url, {"msgtype": "text", "text": {"content": text}}


def feishu(url: str, secret: str, text: str, now: float) -> tuple[str, Any]:
    """open.feishu.cn/document/client-docs/bot-v3/add-custom-bot; signed in the body, nothing with a key of both."""
    body: dict[str, Any] = {"msg_type": "text", "content": {"text": text}}
    if secret:
        stamp = str(int(now))
        mac = hmac.digest(f"{stamp}\n{secret}".encode(), b"", "sha256")
        body = {"timestamp": stamp, "sign": base64.b64encode(mac).decode(), **body}
    return url, body


def wecom(url: str, secret: str, text: str, now: float) -> tuple[str, Any]:
    """developer.work.weixin.qq.com/document/path/91770; its URL is all that is secret."""
    return url, {"msgtype": "text", "text": {"content": text}}


BOTS = {"dingtalk": (dingtalk, 18_000), "feishu": (feishu, 18_000), "wecom": (wecom, 2048)}
"""By kind: what makes the request, and how long the text may be in UTF-8. The first two take requests of 20 KB."""


@dataclass
class Mail:
    """Over SMTP; `tls`: "starttls", "tls" from the first octet on, or "none"."""

    host: str
    port: int
    tls: str
    sender: str
    to: Sequence[str]
    user: str
    password: Secret
    language: str = "en"
    most: int = 200
    pause_s: float = 10.0

    def send(self, alerts: Sequence[Alert], now: float) -> None:
        t = words(self.language)
        mail = EmailMessage()
        subject = message.line(t, alerts[0]) if len(alerts) == 1 else message.title(t, alerts)
        mail["Subject"] = f"Usage Guard: {subject}".replace("\n", " ").replace("\r", " ")[:200]
        mail["From"], mail["To"] = self.sender, ", ".join(self.to)
        mail["Date"] = format_datetime(max(each.raised_at for each in alerts))
        names = " ".join(map(name_of, alerts))
        domain = self.sender.rpartition("@")[2].rstrip(">")
        mail["Message-ID"] = f"<{hashlib.sha256(names.encode()).hexdigest()[:32]}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer from vacation programs
        mail.set_content("".join(f"{message.line(t, each)}\n" for each in alerts))
        try:
            self._deliver(mail)
        except (OSError, smtplib.SMTPException) as error:
            raise SendError(self.password.hidden_in(str(error))[:300] or type(error).__name__) from None

    def _deliver(self, mail: EmailMessage) -> None:
        context = ssl.create_default_context()
        if self.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=_SMTP_S, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=_SMTP_S)
        with server:
            if self.tls == "starttls":
                server.starttls(context=context)
            if self.user:
                server.login(self.user, self.password.reveal())
            server.send_message(mail)  # taken for one is taken: the others' copies would come again and again
