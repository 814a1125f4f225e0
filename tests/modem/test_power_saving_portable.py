"""The timers of PSM and the cycle of eDRX as 3GPP TS 24.008 encodes them, and when the driver asks for which."""

from usageguard.modem.ca import Ca
from usageguard.modem.power_saving import active_timer, edrx_cycle, periodic_timer, rest

from tests.modem.dialogue import Config, online

# TS 24.008 tables 10.5.163 and 10.5.163a: the unit for bits 8 7 6; what is not listed is no timer.
TIMER_2 = {"000": 2, "001": 60, "010": 6 * 60}
TIMER_3 = {
    "000": 10 * 60,
    "001": 3600,
    "010": 10 * 3600,
    "011": 2,
    "100": 30,
    "101": 60,
    "110": 320 * 3600,
}
# Table 10.5.5.32, S1 mode: seconds of the values that both radios have.
EDRX = {
    "0010": 20.48,
    "0011": 40.96,
    "0101": 81.92,
    "1001": 163.84,
    "1010": 327.68,
    "1011": 655.36,
    "1100": 1310.72,
    "1101": 2621.44,
}
ANSWERS = (
    (b"AT+CPIN?", b"\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    (b"AT+CEREG?", b'\r\n+CEREG: 2,1,"25F8","06B7C50A",7\r\n\r\nOK\r\n'),
    (b"AT+CNACT=0,1", b"\r\nOK\r\n\r\n+APP PDP: 0,ACTIVE\r\n"),
    (b"AT+CNACT?", b'\r\n+CNACT: 0,0,"0.0.0.0"\r\n\r\nOK\r\n'),
    (b"AT", b"\r\nOK\r\n"),
)


class Psm(Config):
    family = "ca"
    saving = (10, 12 * 3600, 0, False)


class Edrx(Config):
    family = "ca"
    saving = (0, 0, 82, False)


def meant(units):
    """All that a timer can say, as (seconds, digits)."""
    found = []
    for code in units:
        for n in range(1, 32):
            found.append((units[code] * n, code + bin(32 + n)[3:]))
    return sorted(found)


def closest(encode, units, asked):
    """Checks that each of `asked` gets the shortest that reaches it, and the longest of all beyond that."""
    values = meant(units)
    for seconds in asked:
        least = [value for value, _ in values if value >= seconds]
        value = min(least) if least else values[-1][0]
        digits = encode(seconds)
        assert (value, digits) in values, (seconds, digits, value)


def test_the_active_time_is_the_least_that_reaches():
    asked = list(range(1, 400))
    asked.extend((1859, 1860, 1861, 11_159, 11_160, 11_161, 1 << 29))
    closest(active_timer, TIMER_2, asked)


def test_the_period_is_the_least_that_reaches():
    asked = list(range(1, 70))
    asked.extend((930, 931, 1860, 1861, 18_600, 18_601, 111_600, 111_601, 1_116_000, 1_116_001, 35_712_000, 1 << 29))
    closest(periodic_timer, TIMER_3, asked)


def test_known_encodings():
    """Those that manuals give as examples."""
    assert active_timer(10) == "00000101"
    assert periodic_timer(4 * 3600) == "00011000", "ten minutes 24 times is as long as an hour four times, and finer"
    assert edrx_cycle(82) == "1001", "81.92 s would be too short"


def test_the_edrx_cycle_is_the_least_that_reaches():
    for seconds in range(1, 2622):
        least = [value for value in EDRX.values() if value >= seconds]
        assert EDRX[edrx_cycle(seconds)] == min(least), seconds
    assert edrx_cycle(1 << 20) == "1101"


REFUSED = [("psm-refused", 0)]


def rest_on(modem, port, events):
    """`rest` with a HAL that lets time pass."""

    def wait(until):
        port.now = port.now + 1 if port.readable() else until

    port.wait = wait
    port.event = lambda *event: events.append(event)
    rest(modem)


def test_psm_is_given_up_at_the_start_and_asked_for_before_a_sleep():
    modem, port, _ = online(Ca, ANSWERS, Psm, 20_000)
    assert modem.registered
    assert port.sent().count(b"AT+CPSMS=0\r") == 1
    assert not modem.channel.busy
    events = []
    for answer, said in ((b"\r\nOK\r\n", []), (b"\r\n+CME ERROR: 50\r\n", [("psm-refused", 50)]), (b"", REFUSED)):
        port.answers = ((b"AT+CPSMS=1,", answer),)
        del events[:]
        began = port.now
        rest_on(modem, port, events)
        assert port.sent() == b'AT+CPSMS=1,,,"00101100","00000101"\r'
        assert events == said
        assert port.now - began <= 12_000


def test_edrx_is_asked_for_of_both_radios():
    _, port, _ = online(Ca, ANSWERS, Edrx)
    sent = port.sent()
    assert b'AT+CEDRXS=1,4,"1001"\r' in sent, sent
    assert b'AT+CEDRXS=1,5,"1001"\r' in sent, sent
    assert b"CPSMS" not in sent


def test_a_device_without_either_asks_for_nothing():
    _, port, _ = online(Ca, ANSWERS)
    sent = port.sent()
    assert b"CPSMS" not in sent
    assert b"CEDRXS" not in sent
