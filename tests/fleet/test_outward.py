"""What receivers get: by their documents' own examples, and as clients that nobody here wrote check it."""

import base64
import hashlib
import hmac
import re
import socketserver
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from urllib.parse import parse_qs, urlsplit

import pytest
from standardwebhooks import Webhook as Receiver

from host_tools.base.errors import UsageError
from host_tools.collector.store import Store
from host_tools.fleet.alerts import Alert, AlertBook
from host_tools.fleet.outward import http, message
from host_tools.fleet.outward.channels import BOTS, Bot, Mail, Webhook, name_of, signed
from host_tools.fleet.outward.file import load
from host_tools.fleet.outward.http import SendError
from host_tools.fleet.outward.sender import Sender, step
from host_tools.fleet.rules import RULES, Cause
from host_tools.fleet.words import words
from host_tools.platforms.secret import Secret

AT = datetime(2026, 3, 20, 12, tzinfo=UTC)
ALERT = Alert(12, "runs-out", "tracker-001", "2026-03-01", AT, "on 2026-03-25, 25 MB of 30 MB used")
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BOT_URL = "https://bot.example/send?access_token=that-is-secret"
NONE = Secret("")


# --- webhook ---


def test_the_signature_of_the_standards_own_example():
    """Standard Webhooks 1.0.0, the reference vector of its libraries."""
    headers = signed(KEY, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receivers_library_takes_a_webhook_and_no_other():
    sent = []
    now = datetime.now(UTC).timestamp()
    Webhook("https://x", Secret(KEY), lambda *request: sent.append(request) or (204, b"")).send([ALERT], now)
    ((_, body, headers),) = sent
    told = Receiver(KEY).verify(body, headers)
    assert (told["type"], told["timestamp"]) == ("alert.runs-out", AT.isoformat())
    assert told["data"] == {
        "id": 12, "rule": "runs-out", "subject": "tracker-001", "period": "2026-03-01", "detail": ALERT.detail,
        "round": 1,
    }  # fmt: skip
    for wrong in (body.replace(b"tracker-001", b"tracker-002"), body + b" "):
        with pytest.raises(Exception, match="signature"):
            Receiver(KEY).verify(wrong, headers)


def test_the_id_is_the_same_when_it_is_sent_again_and_another_for_another_round():
    assert name_of(ALERT) == name_of(ALERT)
    assert name_of(ALERT) != name_of(replace(ALERT, round=2))


# --- bots ---


def dingtalk_sign(secret, stamp):
    """DingTalk, "custom robot: security settings, sign": timestamp, newline and secret under the secret."""
    return base64.b64encode(hmac.new(secret, stamp + b"\n" + secret, hashlib.sha256).digest()).decode()


def feishu_sign(secret, stamp):
    """Feishu, "custom bot: signature verification": nothing, under timestamp, newline and secret."""
    return base64.b64encode(hmac.new(stamp + b"\n" + secret, digestmod=hashlib.sha256).digest()).decode()


def asked(kind, secret="SEC-of-the-bot", now=1599360473.25):
    asks, _ = BOTS[kind]
    return asks(BOT_URL, secret, "said", now)


def test_dingtalk_takes_text_and_a_signature_in_the_url():
    """open.dingtalk.com/document/robots/custom-robot-access: milliseconds, and the signature in percent encoding."""
    url, body = asked("dingtalk")
    assert body == {"msgtype": "text", "text": {"content": "said"}}
    assert parse_qs(urlsplit(url).query) == {
        "access_token": ["that-is-secret"],
        "timestamp": ["1599360473250"],
        "sign": [dingtalk_sign(b"SEC-of-the-bot", b"1599360473250")],
    }
    assert asked("dingtalk", "") == (BOT_URL, body)


def test_feishu_takes_text_and_a_signature_in_the_body():
    """open.feishu.cn/document/client-docs/bot-v3/add-custom-bot: seconds, as a string."""
    sign = feishu_sign(b"SEC-of-the-bot", b"1599360473")
    text = {"msg_type": "text", "content": {"text": "said"}}
    assert asked("feishu") == (BOT_URL, {"timestamp": "1599360473", "sign": sign, **text})
    assert asked("feishu", "") == (BOT_URL, text)


def test_wecom_takes_text_alone():
    """developer.work.weixin.qq.com/document/path/91770: text of 2048 octets at the most."""
    assert asked("wecom") == (BOT_URL, {"msgtype": "text", "text": {"content": "said"}})
    assert BOTS["wecom"][1] == 2048


ANSWERS = [
    ("dingtalk", 200, b'{"errcode":0,"errmsg":"ok"}', None),
    ("dingtalk", 200, b'{"errcode":310000,"errmsg":"sign not match"}', "code 310000 sign not match"),
    ("feishu", 200, b'{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}', None),
    ("feishu", 200, b'{"code":19021,"data":{},"msg":"sign match fail"}', "code 19021 sign match fail"),
    ("wecom", 200, b'{"errcode":0,"errmsg":"ok"}', None),
    ("wecom", 200, b'{"errcode":45009,"errmsg":"api freq out of limit"}', "code 45009"),
    ("wecom", 502, b"<html>", "HTTP status 502"),
    ("wecom", 200, b"[]", "code None"),
]


@pytest.mark.parametrize(("kind", "status", "answer", "problem"), ANSWERS)
def test_a_bot_has_taken_a_message_only_where_it_says_so(kind, status, answer, problem):
    """Their status is 200 in any case; the code is in the body."""
    bot = Bot(Secret(BOT_URL), NONE, *BOTS[kind], post=lambda *_: (status, answer))
    if problem is None:
        bot.send([ALERT], 0)
    else:
        with pytest.raises(SendError, match=problem):
            bot.send([ALERT], 0)


def test_the_address_of_a_bot_is_in_no_problem():
    def fails(url, *_):
        raise SendError(f"no answer: {url}")

    with pytest.raises(SendError) as refused:
        Bot(Secret(BOT_URL), NONE, *BOTS["wecom"], post=fails).send([ALERT], 0)
    assert "that-is-secret" not in str(refused.value)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("most", [200, 2048])
def test_a_message_is_as_long_as_it_may_be_and_says_what_it_leaves_out(language, most):
    t = words(language)
    alerts = [Alert(number, "silent", f"设备-{number}", "2026-03-01", AT, "last heard of") for number in range(1, 61)]
    text = message.text(t, alerts, most)
    said = text.splitlines()
    assert len(text.encode()) <= most
    assert said[-1] == t("told-more", count=60 - (len(said) - 2))
    assert message.text(t, alerts[:1], most).splitlines()[1] == message.line(t, alerts[0])


# --- mail ---


class _Smtp(socketserver.StreamRequestHandler):
    """RFC 5321, as little as a client needs."""

    def handle(self):
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (line := self.rfile.readline()) != b".\r\n":
                    lines.append(line)
                self.server.mails.append(b"".join(lines).decode())
            if verb == b"RCPT" and b"nobody" in line:
                self.wfile.write(b"550 no such user\r\n")
                continue
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")


@contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def mail_to(server, *to):
    return Mail("127.0.0.1", server.server_address[1], "none", "guard@example.com", to, "", NONE)


def test_mail_is_sent_and_the_same_one_is_known_again():
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp)) as server:
        server.mails = []
        mail_to(server, "me@example.com").send([ALERT], 0)
        mail_to(server, "me@example.com").send([ALERT], 99)
        mail_to(server, "me@example.com").send([ALERT, ALERT], 0)
        mail_to(server, "me@example.com", "nobody@example.com").send([ALERT], 0)
        with pytest.raises(SendError, match="no such user"):
            mail_to(server, "nobody@example.com").send([ALERT], 0)
    one, again, both, _ = (message_from_string(each, policy=policy.default) for each in server.mails)
    assert " ".join(one["Subject"].split()) == f"Usage Guard: {message.line(words('en'), ALERT)}"
    assert (one["From"], one["To"]) == ("guard@example.com", "me@example.com")
    assert ALERT.detail in one.get_content()
    assert one["Message-ID"] == again["Message-ID"] != both["Message-ID"]
    assert both["Subject"] == "Usage Guard: 2 alerts"


def test_a_mail_server_that_is_away_is_a_problem_without_the_password():
    mail = Mail("127.0.0.1", 1, "tls", "a@b.example", ["c@d.example"], "me", Secret("hush"))
    with pytest.raises(SendError) as refused:
        mail.send([ALERT], 0)
    assert "hush" not in str(refused.value)


# --- over HTTP ---


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.answers.pop(0) if self.server.answers else 204
        self.server.taken.append((status, self.headers["webhook-id"], Receiver(KEY).verify(body, dict(self.headers))))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hook():
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), _Hook)) as server:
        server.answers, server.taken = [], []
        server.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        yield server


def test_what_a_receiver_refuses_is_sent_again_with_the_same_id(hook, tmp_path):
    hook.answers = [500, 302, 204]
    with closing(Store(tmp_path / "reports.sqlite")) as store:
        book, channel = AlertBook(store.database), Webhook(hook.url, Secret(KEY))
        book.register({"hook": ()})
        book.settle([Cause("stopped", "a", "2026-03-01", "why")], (), AT)
        for _ in range(3):
            assert step(book, "hook", channel)
            with store.database.transaction():  # instead of waiting
                store.database.execute("UPDATE alert_notice SET due_at = ? WHERE sent_at IS NULL", (AT.isoformat(),))
        assert not step(book, "hook", channel)
        assert book.waiting() == []
    assert [status for status, *_ in hook.taken] == [500, 302, 204]
    assert len({name for _, name, _ in hook.taken}) == 1


def test_a_thread_for_each_channel_sends_what_the_book_has(hook, tmp_path):
    class Deaf:
        most, pause_s = 1, 0.0

        def send(self, alerts, now):
            raise SendError("deaf") if alerts[0].subject == "0" else ValueError("of a kind that nobody thought of")

    with closing(Store(tmp_path / "reports.sqlite")) as store:
        book = AlertBook(store.database)
        book.register({"hook": (), "deaf": ()})
        book.settle([Cause("stopped", str(number), "2026-03-01", "why") for number in range(3)], (), AT)
        with closing(Sender(tmp_path / "reports.sqlite", {"hook": Webhook(hook.url, Secret(KEY)), "deaf": Deaf()})):
            while store.database.execute("SELECT 1 FROM alert_notice WHERE sent_at IS NULL AND problem = ''"):
                pass
        assert [(each.channel, each.notices, each.problem) for each in book.waiting()] == [("deaf", 3, "deaf")]
        problems = store.database.execute("SELECT problem FROM alert_notice WHERE channel = 'deaf' ORDER BY alert")
        assert problems == [("deaf",), ("ValueError",), ("ValueError",)]
    assert sorted(told["data"]["subject"] for *_, told in hook.taken) == ["0", "1", "2"]


def test_no_answer_is_a_problem():
    with pytest.raises(SendError, match="no answer"):
        http.post("http://127.0.0.1:1/", b"", {})
    assert timedelta(seconds=http._TIMEOUT_S) < timedelta(minutes=2)


# --- the file ---

WHOLE = """
[rules]
silent_intervals = 4
drift = "64KB"
off = ["sim-moved"]

[channels.night-shift]
kind = "webhook"
url = "https://alerts.example/hook"
secret_env = "HOOK"
rules = ["stopped", "silent"]

[channels.group]
kind = "dingtalk"
url_env = "BOT"
secret_env = "SIGN"
language = "zh"

[mqtt]
format = "thingsboard"
host = "tb.example"
user_env = "SIGN"

[channels.mail]
kind = "smtp"
host = "mail.example"
sender = "guard@example.com"
to = ["me@example.com"]
user = "guard"
password_env = "PASSWORD"
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    for name, value in {"HOOK": KEY, "BOT": BOT_URL, "SIGN": "SEC", "PASSWORD": "hush", "SHORT": "whsec_AAAA"}.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "alerts.toml"

    def written(text):
        path.write_text(text, "utf-8")
        return path

    return written


def test_a_file_says_what_people_are_told_of_and_where(file):
    outward = load(file(WHOLE))
    assert (outward.rules.silent_intervals, outward.rules.drift_octets) == (4, 65_536)
    assert outward.rules.off == ("sim-moved",)
    assert {name: type(each) for name, each in outward.channels.items()} == {
        "night-shift": Webhook, "group": Bot, "mail": Mail,
    }  # fmt: skip
    assert outward.wants == {"night-shift": ["stopped", "silent"], "group": [], "mail": []}
    assert (outward.mqtt.port, outward.mqtt.prefix, outward.mqtt.user.reveal()) == (8883, "usageguard", "SEC")
    assert "hush" not in repr(outward)
    assert "SEC" not in repr(outward)


def test_the_readme_has_every_rule_and_a_file_that_can_be_read(file, monkeypatch):
    text = resources.files("host_tools.fleet").joinpath("README.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[a-z`, -]+) \|", text, re.M)
    assert sorted(re.findall(r"`([a-z-]+)`", " ".join(rows))) == sorted(RULES)
    (shown,) = re.findall(r"```toml\n(\[rules\].*?)```", text, re.S)
    for name, value in {"HOOK_SECRET": KEY, "BOT_URL": BOT_URL, "BOT_SECRET": "SEC", "MAIL_PASSWORD": "x"}.items():
        monkeypatch.setenv(name, value)
    for name in ("MQTT_USER", "MQTT_PASSWORD"):
        monkeypatch.setenv(name, "x")
    assert set(load(file(shown)).channels) == {"night-shift", "group", "mail"}


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('off = ["sim-moved"]', 'off = ["sim"]', '"sim" is no rule'),
        ('rules = ["stopped", "silent"]', 'rules = ["loud"]', '"loud" is no rule'),
        ('drift = "64KB"', 'drift = "lots"', "is not a size"),
        ("silent_intervals = 4", "silent_intervals = 0", "silent_intervals"),
        ('secret_env = "HOOK"', 'secret_env = "SHORT"', "24 to 64 octets"),
        ('secret_env = "HOOK"', 'secret_env = "NOT_SET"', "has no secret"),
        ('secret_env = "HOOK"', "", "has no secret"),
        ('url = "https://alerts', 'url = "ftp://alerts', "not an HTTP address"),
        ('kind = "dingtalk"', 'kind = "pigeon"', "pigeon"),
        ('url_env = "BOT"', 'url_env = "SIGN"', "not an HTTPS address"),
        ('host = "mail.example"', 'host = "mail.example"\ntls = "none"', "in the clear"),
        ('to = ["me@example.com"]', "to = []", "to"),
        ('sender = "guard@example.com"', 'sender = "a@b\\nBcc: c@d"', "sender"),
        ('user = "guard"', 'user = "guard"\ncolor = "red"', "color"),
        ('format = "thingsboard"', 'format = "smoke"', "format"),
        ('host = "tb.example"', 'host = "tb.example"\nprefix = "a/#"', "prefix"),
        ("[channels.mail]", '[channels."a mail"]', "channels"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_what_would_be_right(file, was, becomes, said):
    with pytest.raises(UsageError) as refused:
        load(file(WHOLE.replace(was, becomes)))
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)
