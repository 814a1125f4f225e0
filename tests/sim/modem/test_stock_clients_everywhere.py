"""Three stock clients with every model that ships: they identify it, find the network, send and receive a message. A
fourth with a model of each way to hand payload over."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from host_tools.sim.modem import load, models
from host_tools.sim.modem.served.modem import NUMBER
from tests.sim.modem.test_stock_clients import need, run

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.proof,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning"),
]
PROFILES = models.names()
OF_SMSTOOLS = ("quectel-ec200u", "ml307r", "gm02s", "sara-r5")
SMSD = """
devices = modem
outgoing = {0}/outgoing
checked = {0}/checked
incoming = {0}/incoming
sent = {0}/sent
failed = {0}/failed
logfile = {0}/log
infofile = {0}/info
delaytime = 1
[modem]
device = {1}
incoming = yes
baudrate = 115200
"""


@pytest.fixture
def lent(simulated_modem: Any, name: str) -> Any:
    """A modem that has booted and registered."""
    modem = simulated_modem(name)
    modem.do("skip 30s")
    return modem


@pytest.mark.parametrize("name", PROFILES)
def test_gsmmodem(lent: Any, name: str) -> None:
    """python-gsmmodem-new."""
    from gsmmodem.modem import GsmModem

    arrived, texts = threading.Event(), []

    def received(sms: Any) -> None:
        texts.append(sms.text)
        arrived.set()

    profile = load(name)
    modem = GsmModem(lent.path, 921_600, smsReceivedCallbackFunc=received)
    modem.connect()
    try:
        assert modem.imei == profile.imei
        assert profile.model in modem.model
        assert modem.networkName == "CHINA MOBILE"
        assert modem.waitForNetworkCoverage(10) > 0
        modem.smsTextMode = False
        modem.sendSms(NUMBER, "Grüße an das Modem")
        assert arrived.wait(20)
        for _ in range(100):  # a thread of the client's deletes it then
            if "AT+CMGD" in lent.dialogue:
                break
            threading.Event().wait(0.05)
    finally:
        modem.close()
    assert texts == ["Grüße an das Modem"]


@pytest.mark.parametrize("name", PROFILES)
def test_atlib(lent: Any, name: str) -> None:
    """atlib."""
    from atlib import LTE_Device, Status

    device = LTE_Device(lent.path, 921_600)
    assert device.get_sim_status() == Status.OK
    assert device.get_imei() == load(name).imei
    assert device.get_imsi() == "460001234567890"
    assert device.get_network_registration()[1] == 1
    assert device.get_current_operator() == "CHINA MOBILE"
    assert device.send_sms(NUMBER, "hello") == Status.OK
    assert device.await_urc("+CMTI", 20)
    ((sender, _, _, text),) = device.receive_sms()
    assert (sender, text) == (NUMBER, "hello")


@pytest.mark.parametrize("name", PROFILES)
def test_gammu(lent: Any, name: str, tmp_path: Path) -> None:
    """Debian's gammu."""
    config = tmp_path / "gammurc"
    config.write_text(f"[gammu]\ndevice = {lent.path}\nconnection = at115200\nuse_locking = no\n")
    gammu = [need("gammu", "gammu"), "-c", str(config)]
    profile = load(name)
    told = run(*gammu, "--identify")
    assert profile.imei in told
    assert "460001234567890" in told
    assert "home network" in run(*gammu, "--networkinfo")
    run(*gammu, "sendsms", "TEXT", NUMBER, "-text", "hello from gammu")
    lent.do("skip 5s")
    assert "hello from gammu" in run(*gammu, "getallsms")


@pytest.mark.parametrize("name", OF_SMSTOOLS)
def test_smstools(lent: Any, name: str, tmp_path: Path) -> None:
    """Debian's smsd: a message to the modem's own number comes back."""
    smsd = need("smsd", "smstools")
    for folder in ("outgoing", "checked", "incoming", "sent", "failed"):
        (tmp_path / folder).mkdir()
    (tmp_path / "smsd.conf").write_text(SMSD.format(tmp_path, lent.path))
    (tmp_path / "outgoing" / "one").write_text(f"To: {NUMBER.lstrip('+')}\n\nhello from smsd\n")
    command = [smsd, f"-c{tmp_path}/smsd.conf", f"-p{tmp_path}/pid", "-t"]
    daemon = subprocess.Popen(command, start_new_session=True)  # it has processes of its own
    try:
        until = time.monotonic() + 40
        while not [*(tmp_path / "incoming").glob("modem.*")] and time.monotonic() < until:
            time.sleep(0.1)
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait(20)
    (got,) = (tmp_path / "incoming").glob("modem.*")
    assert got.read_text().endswith("hello from smsd")
    assert f"IMEI: {load(name).imei}\n" in got.read_text()
    assert "IMSI: 460001234567890\n" in (tmp_path / "sent" / "one").read_text()
