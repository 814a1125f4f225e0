"""Stock AT clients, unmodified, against the modem on a real pty in real time."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from host_tools.sim.modem import load
from host_tools.sim.modem.pty import NUMBER, PtyModem

# The clients' own time-outs run in real time: `make test` runs them beside nothing else.
pytestmark = pytest.mark.realtime
IMEI = "866425040123458"


@contextmanager
def serve(profile: str) -> Iterator[PtyModem]:
    """A modem that has been on for half a minute."""
    modem = PtyModem(load(profile), baud=921_600)
    modem.modem.port.nvm.store("+IPR", "921600")
    modem.modem.reset()
    modem.skip(30)
    thread = threading.Thread(target=modem.run)
    thread.start()
    yield modem
    modem.stop()
    thread.join(10)
    assert not thread.is_alive()
    modem.close()


@pytest.fixture
def server() -> Iterator[PtyModem]:
    with serve("quectel-ec200u") as modem:
        yield modem


def need(program: str, package: str) -> str:
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        pytest.skip(f"{program} is missing: apt-get install {package}")
    return path


def run(*command: str, stdin: int | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=stdin)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
class TestGsmmodem:
    """python-gsmmodem-new."""

    def test_identity_signal_and_coverage(self, server: PtyModem) -> None:
        from gsmmodem.modem import GsmModem

        modem = GsmModem(server.path, 921_600)
        modem.connect()
        try:
            assert modem.imei == IMEI
            assert modem.imsi == "460001234567890"
            assert modem.manufacturer == "Quectel"
            assert modem.networkName == "CHINA MOBILE"
            assert modem.waitForNetworkCoverage(5) == modem.signalStrength == 24
        finally:
            modem.close()

    def test_a_message_to_oneself_arrives(self, server: PtyModem) -> None:
        from gsmmodem.modem import GsmModem

        arrived = threading.Event()
        texts: list[str] = []

        def received(sms: object) -> None:
            texts.append(sms.text)  # type: ignore[attr-defined]
            arrived.set()

        modem = GsmModem(server.path, 921_600, smsReceivedCallbackFunc=received)
        modem.connect()
        try:
            modem.smsTextMode = False
            modem.sendSms(NUMBER, "Grüße {from} the modem")
            assert arrived.wait(15)
            modem.sendSms("+8613800000000", "流量")
        finally:
            modem.close()
        assert texts == ["Grüße {from} the modem"]
        assert [bytes(unit).endswith("流量".encode("utf-16-be")) for _, _, unit in server.carrier.sms] == [
            False,
            True,
        ]


class TestAtlib:
    """atlib."""

    def test_lte_device(self, server: PtyModem) -> None:
        from atlib import LTE_Device, Status

        device = LTE_Device(server.path, 921_600)
        assert device.get_sim_status() == Status.OK
        assert device.get_manufacturer() == "Quectel"
        assert device.get_imei() == IMEI
        assert device.get_imsi() == "460001234567890"
        assert device.get_signal() == (24, 99)
        quality = device.get_signal_quality()
        assert (quality.rsrq, quality.rsrp) == (22, 48)
        assert device.get_network_registration() == (0, 1)
        assert device.get_current_operator() == "CHINA MOBILE"
        device.set_context(1, '"IP"', '"cmiot"')
        assert device.get_contexts()[0].apn == "cmiot"
        assert device.activate_context(1) == Status.OK
        assert device.get_addresses()[0].ip == "10.0.0.1"

    def test_messages(self, server: PtyModem) -> None:
        from atlib import LTE_Device, Status

        device = LTE_Device(server.path, 921_600)
        assert device.send_sms(NUMBER, "75 % of the plan is used") == Status.OK
        assert device.await_urc("+CMTI", 15) == '+CMTI: "SM",1'
        ((sender, _, _, text),) = device.receive_sms()
        assert (sender, text) == (NUMBER, "75 % of the plan is used")
        assert device.delete_read_sms() == Status.OK
        assert device.receive_sms("ALL") == []


class TestGammu:
    """Debian's gammu."""

    @pytest.fixture
    def gammu(self, server: PtyModem, tmp_path: Path) -> list[str]:
        config = tmp_path / "gammurc"
        config.write_text(f"[gammu]\ndevice = {server.path}\nconnection = at115200\nuse_locking = no\n")
        return [need("gammu", "gammu"), "-c", str(config)]

    def test_identify(self, gammu: list[str]) -> None:
        text = run(*gammu, "--identify")
        assert "Manufacturer         : Quectel" in text
        assert IMEI in text
        assert "460001234567890" in text

    def test_network(self, gammu: list[str]) -> None:
        assert "home network" in run(*gammu, "--networkinfo")

    @pytest.mark.proof
    def test_a_long_message_goes_in_parts_and_one_is_read(self, gammu: list[str], server: PtyModem) -> None:
        run(*gammu, "sendsms", "TEXT", NUMBER, "-text", "hello from gammu")
        run(*gammu, "sendsms", "TEXT", "+8613800000000", "-len", "400", "-text", "x" * 300)
        assert len(server.carrier.sms) == 3
        assert "hello from gammu" in run(*gammu, "getallsms")


class TestChat:
    """ppp's chat."""

    def test_script(self, server: PtyModem) -> None:
        chat = need("chat", "ppp")
        fd = os.open(server.path, os.O_RDWR | os.O_NOCTTY)
        try:
            script = ["ABORT", "ERROR", "TIMEOUT", "10", "", "AT", "OK", "ATE0V1", "OK", "AT+CEREG?", "0,1"]
            script += ["", "OK", 'AT+CGDCONT=1,"IP","cmiot"', "OK", "AT+CGACT=1,1", "OK"]
            done = subprocess.run([chat, "-v", "-s", *script], stdin=fd, stdout=fd, timeout=60, check=False)
        finally:
            os.close(fd)
        assert done.returncode == 0


class TestPpp:
    """ppp's chat dials; then slirp, which here is a client that has no address, has the line."""

    def test_a_call(self, server: PtyModem) -> None:
        chat, slirp = need("chat", "ppp"), need("slirp-fullbolt", "slirp")
        fd = os.open(server.path, os.O_RDWR | os.O_NOCTTY)
        try:
            script = ["ABORT", "NO CARRIER", "TIMEOUT", "10", "", "ATE0", "OK", "ATD*99#", "CONNECT"]
            subprocess.run([chat, "-v", "-s", *script], stdin=fd, stdout=fd, timeout=60, check=True)
            client = subprocess.Popen([slirp, "-P"], stdin=fd, stdout=fd, stderr=subprocess.DEVNULL)
            try:
                assert soon(lambda: server.modem.call.up)
                context = server.modem.data.contexts[1]
                assert server.modem.call.peer == context.ip
            finally:
                client.terminate()
                client.wait(10)
        finally:
            os.close(fd)

    def test_pppd(self, server: PtyModem) -> None:
        pppd = need("pppd", "ppp")
        if not os.path.exists("/dev/ppp"):
            pytest.skip("pppd wants /dev/ppp, which this kernel does not have")
        options = ["nodetach", "noauth", "local", "nodefaultroute", "usepeerdns", "maxfail", "1"]
        dial = f"{need('chat', 'ppp')} -v '' ATE0 OK ATD*99# CONNECT"
        client = subprocess.Popen([pppd, server.path, "115200", *options, "connect", dial], stdout=subprocess.DEVNULL)
        try:
            assert soon(lambda: server.modem.call.up)
            assert server.modem.call.peer == server.modem.data.contexts[1].ip
        finally:
            client.terminate()
            client.wait(20)


def soon(condition: Callable[[], bool]) -> bool:
    """Whether it holds within 20 s."""
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def python_env() -> dict[str, str]:
    import sys

    paths = os.pathsep.join(path for path in sys.path if path)
    return {**os.environ, "PYTHONPATH": paths, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
