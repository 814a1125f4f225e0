"""Power saving that is agreed on with the network: PSM and eDRX (3GPP TS 27.007 clauses 7.38 and 7.40, TS 24.008)."""

from __future__ import annotations

from collections.abc import Callable

from host_tools.sim.clock import MS, S
from host_tools.sim.modem.command import Part, Writer, command, split_values
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import TEST, WRITE
from host_tools.sim.modem.port import Port, Reply
from host_tools.sim.modem.radio import IDLE_MS, Radio

# Seconds by the three bits of a timer's unit; 7, and what is not listed, is a timer that is not used.
_GPRS_TIMER_2 = {0: 2, 1: 60, 2: 360}
_GPRS_TIMER_3 = {0: 600, 1: 3_600, 2: 36_000, 3: 2, 4: 30, 5: 60, 6: 1_152_000}
# Cycles in hundredths of a second by <Requested_eDRX_value>; 14 and 15 are NB-IoT's alone.
_CYCLES = (512, 1024, 2048, 4096, 6144, 8192, 10240, 12288, 14336, 16384, 32768, 65536, 131072, 262144, 524288, 1048576)
_NB_IOT = 5  # <AcT-type>
_DEFAULT_T3412_S = 3_240  # 54 minutes, TS 24.301 table 10.2.2


def seconds(digits: str, units: dict[int, int]) -> int:
    """What a timer in eight binary digits stands for; 0: it is not used."""
    value = int(digits or "11100000", 2)
    return units.get(value >> 5, 0) * (value & 31)


class PowerSaving(Part):
    """`on_sleep(s)` is called when the modem enters PSM, out of which it wakes by itself in `s` seconds.

    Only a model whose profile says so gets it from the network, which grants what is asked for.
    """

    settings = (
        Setting("+CEDRXS", "(0-3),(4,5),(any),(any)", "0,4", "TS 27.007 7.40", "auto"),
        Setting("+CPSMS", "(0-2),(any),(any),(any),(any)", '0,,,"01011111","00000001"', "TS 27.007 7.38", "auto"),
    )

    def __init__(self, port: Port, radio: Radio) -> None:
        super().__init__(port)
        self._radio = radio
        self.on_sleep: Callable[[int], None] = _ignore
        self._granted = self.profile.power.psm
        self._active_s = self._periodic_s = 0
        self._agreed_us = 0  # when the network was last asked
        self._watch = 0
        edrx, psm = self.settings
        self._store_edrx, self._store_psm, self._psm_default = Writer(port, edrx), Writer(port, psm), psm.default

    def registered(self) -> None:
        """The modem has registered, and agrees with the network on what is stored."""
        self._agree_psm()
        self._agree_edrx()

    def _agree_psm(self) -> None:
        mode, _, _, periodic, active = self._stored("+CPSMS", 5)
        wanted = self._granted and mode == "1"
        self._active_s = seconds(active, _GPRS_TIMER_2) if wanted else 0
        self._periodic_s = seconds(periodic, _GPRS_TIMER_3) or _DEFAULT_T3412_S
        self._radio.active_time, self._radio.periodic_tau = (active, periodic) if self._active_s else ("", "")
        self._agreed_us = self.clock.now_us
        self._watch += 1
        if self._active_s:
            self._look(self._watch)

    def _look(self, watch: int) -> None:
        """Enters PSM when T3324 is over, which begins when the network has released the connection."""
        if watch != self._watch or not self._radio.registered:
            return
        since = max(self._agreed_us, self._radio.used_us)
        left = since + IDLE_MS * MS + self._active_s * S - self.clock.now_us
        if left > 0:
            self.port.after(-(-left // MS), self._look, watch)
        else:
            self.on_sleep(self._periodic_s)

    def _agree_edrx(self) -> None:
        mode, kind, value = self._stored("+CEDRXS", 3)
        at = int(value or "0", 2)
        wanted = self._granted and mode in ("1", "2") and value and (at < 14 or kind == str(_NB_IOT))
        self._radio.edrx_us = _CYCLES[at] * S // 100 if wanted else 0

    def _stored(self, name: str, count: int) -> list[str]:
        """The first parameters of a setting, without quotes."""
        values = [value.strip('"') for value in split_values(self.port.nvm.values[name])]
        return (values + [""] * count)[:count]

    @command("+CPSMS", TEST)
    def _timers(self, args: tuple[str, ...]) -> Reply:
        timers = '("00000000"-"11111111")'
        return f"+CPSMS: (0-2),,,{timers},{timers}"

    @command("+CPSMS", WRITE)
    def _save_psm(self, args: tuple[str, ...]) -> Reply:
        if not all(is_binary(text, 8) for text in args[3:5] if text):
            raise self.port.bad_parameter()
        if args[0] == "2":
            self.port.nvm.store("+CPSMS", self._psm_default)
        else:
            self._store_psm(args)
        if self._radio.registered:
            self._agree_psm()
        return None

    @command("+CEDRXS", WRITE)
    def save_edrx(self, args: tuple[str, ...]) -> Reply:
        """AT+CEDRXS=: stores the setting, and agrees on it with the network."""
        if len(args) > 2 and not is_binary(args[2], 4):
            raise self.port.bad_parameter()
        self._store_edrx(args)
        if self._radio.registered:
            self._agree_edrx()
        return None


def is_binary(text: str, length: int) -> bool:
    """Whether the text is so many binary digits."""
    return len(text) == length and not text.strip("01")


def _ignore(s: int) -> None:
    pass
