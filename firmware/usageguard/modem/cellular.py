"""The life of any 3GPP modem: power and boot, SIM, registration, data session, SMS, evidence."""

from usageguard.at.digest import OK, TIMEOUT
from usageguard.compat import const
from usageguard.core.cycle import days_from_civil
from usageguard.core.probe import Probe
from usageguard.modem.base import (
    BOOTING,
    NO_SIM,
    ONLINE,
    REGISTERED,
    SEARCHING,
    SILENT,
    SWITCHED_OFF,
    GoneError,
    Modem,
)
from usageguard.modem.connection import ECONNRESET, ENETDOWN, OPEN, Deadline

# A modem that outlived a reset of ours answers, and PWRKEY would switch it off: so ask before.
_PROBES = const(3)
_PROBE_MS = const(500)
# What answered may have been what we asked before our reset; then the answer to the probe follows within this.
_ANSWER_MS = const(300)
_OFF_MS = const(5_000)  # the slowest of the boards' modems takes 3 s
_BOOT_MS = const(30_000)
_BOOT_RETRY_MS = const(30_000)
_SIM_MS = const(30_000)
_REGISTRATION_MS = const(20_000)
# Without a SIM, a registration or a session for so long, which doubles with each attempt to change that. The first is
# the advised recovery of a SIM that was reactivated.
_STUCK_MS = const(180_000)
_RADIO_OFF_MS = const(10_000)
_REFUSED_MS = const(21_600_000)  # the same where the network refuses, perhaps a modem that it has long served again
_CAUSE = const(101)  # CME errors from here on are a network's causes
_OWN = const(500)  # and from here on the maker's own
_ENDING_MS = const(500)
_ENDINGS = const(120)  # connections that are slow to end hold a stop up for no longer than a minute
_REOPEN_MS = const(1_000)  # after the network ended the session: why shows only when we try again
_RETRY_MS = const(30_000)
_LONGEST_RETRY_MS = const(3_600_000)
_REFUSALS_A_DAY = const(32)  # as many as the back-off makes by itself: those of a SIM that comes and goes count too
_EVIDENCE_MS = const(900_000)
_SANE_YEARS = range(2024, 2064)  # unsynchronized clocks show 1980 or 2004, broken ones 2080
_DAY_S = const(86_400)
_FIRST_TIME_MS = const(60_000)

# Clauses of 3GPP TS 27.007 unless said otherwise.
# V.250 6.2.4 to 6.2.6: without echo, with result codes, and these in words, whatever another program has stored.
_AT = (b"ATE0Q0V1\r", _PROBE_MS, None, 0)
_CPIN = (b"AT+CPIN?\r", 5_000, None, 0)  # 8.3; the answer looks like the unsolicited code and is handled as such
_CEREG = (b"AT+CEREG?\r", 1_000, None, 0)  # 10.1.22; likewise
_CEREG_TOLD = (b"AT+CEREG?\r", 1_000, b"+CEREG:", 0)  # with <n>, which is lost in a restart
_CSQ = (b"AT+CSQ\r", 1_000, b"+CSQ:", 0)  # 8.5
_CESQ = (b"AT+CESQ\r", 1_000, b"+CESQ:", 0)  # 8.69
_CGSN = (b"AT+CGSN\r", 1_000, b"", 0)  # 5.4
_CIMI = (b"AT+CIMI\r", 1_000, b"", 0)  # 5.6
_CCLK = (b"AT+CCLK?\r", 1_000, b"+CCLK:", 0)  # 8.15
_RADIO_OFF = (b"AT+CFUN=0\r", 15_000, None, 0)  # 8.2
_RADIO_ON = (b"AT+CFUN=1\r", 15_000, None, 0)
_RESTART = (b"AT+CFUN=1,1\r", 15_000, None, 0)


def _longer(ms):
    return min(2 * ms, _LONGEST_RETRY_MS)


def _be_stuck(modem, ms=0):
    if not modem._stuck_due.armed:
        modem._stuck_due.set(modem.now, ms or min(_STUCK_MS << min(modem._attempts, 5), _LONGEST_RETRY_MS))


class Cellular(Modem):
    """Adds the modem's main generator. A family provides the generators below, CONNECTION and SETTINGS."""

    WINDOW = 0  # octets that the modem takes for a connection before we read them: the window that it offers the peer
    COUNTER = True  # its modems count data
    SETTINGS = ()  # commands for a modem that has just booted; one that it does not know is no failure

    def _activate(self):
        """Brings the data session up; True, or False with `cme` (0: not known) and `ceer` set."""
        raise NotImplementedError

    def _deactivate(self):
        """Takes the data session down, with all connections; no failure if there is none."""
        raise NotImplementedError

    def _is_active(self):
        """Whether the modem says that the data session is up; True if it does not answer."""
        raise NotImplementedError

    def _identify(self):
        """Reads what identifies the SIM, and prepares what wants a ready SIM."""
        raise NotImplementedError

    def _start_counter(self):
        """Starts the command that reads the data counter; False where there is none.

        HOT: traffic makes readings due.
        """
        return False

    def _counter_read(self):
        """Takes its answer to listener.counter(). HOT."""
        raise NotImplementedError

    def _read_now(self):
        """Generator: a reading of the data counter, where there is one."""
        if self._start_counter():
            yield True
            self._answered()
            self._counter_read()

    def _read_time(self):
        """One call of _network_time(), if the network told the time. Here from a clock that shows the zone's time."""
        self._take_clock((yield from self._info(_CCLK)))

    def __init__(self, hal, channel, config, listener):
        self.tries = Probe(_RETRY_MS, _LONGEST_RETRY_MS, _REFUSALS_A_DAY)
        self._attempts = 0  # to revive it, in a row
        self._boot_retry_ms = _BOOT_RETRY_MS
        self._pin_tried = False
        self._notices = 0  # <n> of AT+CEREG, as it told; 0: it did not
        self._readings = 0  # of the counter, since the evidence was gathered; -1: that has asked for one
        super().__init__(hal, channel, config, listener)

    def _run(self):
        silent = False
        while True:
            self.state = BOOTING
            self._synced = self._settled = self._rebooted = False
            try:
                yield from self._boot(silent)
                yield from self._bring_up()
                yield from self._serve()
            except GoneError:
                silent = self.channel.timeouts >= SILENT
            self._gone()

    def _boot(self, silent):
        """Until the modem answers; switches it off first if it was silent."""
        if not silent:
            for _ in range(0 if self.rested == SWITCHED_OFF else _PROBES):
                if (yield from self._probe()):
                    yield from self._sleep(_ANSWER_MS)
                    self.found_on = self.restarts == 0
                    return
        deadline = Deadline()
        while True:
            if silent:
                self.power_cycles += 1
                yield from self._switch(False)
                yield from self._sleep(_OFF_MS)
            yield from self._switch(True)
            silent = True
            deadline.set(self.now, _BOOT_MS)
            while not deadline.due(self.now):
                if (yield from self._probe()):
                    self._boot_retry_ms = _BOOT_RETRY_MS
                    return
            from usageguard.modem.rate import mend

            if (yield from mend(self.hal, self.channel)) and (yield from self._probe()):
                return
            retry_ms = self._boot_retry_ms
            self._boot_retry_ms = _longer(retry_ms)
            yield from self._sleep(retry_ms)

    def _switch(self, on):
        """Switches the modem on or off; the guard goes on while the HAL's pulses last."""
        for ms in self.hal.modem_power(on):
            yield from self._sleep(ms)

    def _probe(self):
        """One AT; True if it was answered."""
        self.channel.start(_AT)
        yield True
        self._synced = self.channel.result == OK
        return self._synced

    def _bring_up(self):
        self.channel.echoes = 0
        self._notices = 0
        if self.config.saving:
            from usageguard.modem.power_saving import resume

            yield from resume(self)
        # One that starts with its supply answers as well, and shows what its counter had saved. Only a data session
        # that is still up proves that it has counted through our reset.
        if self.found_on and self.rested and self.data_wanted:
            self.kept = (yield from self._is_active()) and self.channel.result == OK
        if not self.kept:
            for n in (3, 2, 1):  # with the cause of a denied registration, with the cell, with neither: what it takes
                if (yield from self.ask((b"AT+CEREG=%d\r" % n, 1_000, None, 0))) == OK:
                    break
            for command in self.SETTINGS:
                yield from self.ask(command)
            self.imei = yield from self._info(_CGSN)
            if self.found_on:
                self.found_on = (yield from self._is_active()) and self.channel.result == OK
            if self.rested and not self.found_on:
                self.counter_epoch += 1
            yield from self._go_offline(ENETDOWN)  # what an earlier life of ours left open
        self.rested = False
        self.state = NO_SIM
        self._sim_due.set(self.now, 0)
        if self._attempts:  # a restart of ours is no reason to ask a network sooner that has refused
            self.retry_due.set(self.now, self.tries.due_ms(self.now))

    def _gone(self):
        """The modem's connections, its data session and its settings are no more."""
        self.restarts += 1
        self.counter_epoch += 1
        self.found_on = self.rested = self.kept = False
        self.registration = -1
        if self.older:
            self.older = False
        if self.messenger:
            self.messenger.gone()
        self._drop(ECONNRESET, True)
        self._pause.clear()
        for deadline in self._deadlines:
            deadline.clear()

    def _serve(self):
        """What is due, one thing at a time, the most urgent first."""
        while True:
            now = self.now
            if self._rebooted or self.channel.echoes:
                raise GoneError
            if self.retry_due.due(now):
                self.retry_due.clear()
            if self.channel.timeouts:
                yield from self.ask(_AT)
                for connection in self.connections:  # what the modem told in the meantime may have been lost
                    connection.readable_hint = connection.state == OPEN
            elif self._sim_due.due(now):
                yield from self._check_sim()
            elif self._registration_due.due(now):
                yield from self._check_registration()
            elif self._stuck_due.due(now):
                yield from self._revive()
            elif self._context_doubted:
                self._context_doubted = False
                if self.online and not (yield from self._is_active()):
                    self._lose_context()
            elif self._context_lost:
                yield from self._go_offline(ECONNRESET)
                self.retry_due.set(self.now, _REOPEN_MS)
            elif self.online and not self.data_wanted:
                if not self.config.counter:
                    yield from self._end_connections()
                yield from self._go_offline(ENETDOWN)
            elif self.counter_wanted:
                self.counter_wanted = False
                if self._start_counter():  # not by a generator of its own: that would be an allocation
                    yield True
                    self._answered()
                    self._counter_read()
                    if self.channel.result == OK:
                        self._readings += 1
            elif self.data_wanted and not self.online and self.registered and not self.retry_due.armed:
                yield from self._go_online()
            elif self.messenger and self.messenger.waiting and self.registered:
                yield from self.messenger.run()
            elif self._evidence_due.due(now):
                yield from self._gather()
            else:
                yield False

    def _check_sim(self):
        self._sim_due.set(self.now, _SIM_MS)
        self._registration_due.clear()
        self.state = NO_SIM
        self.sim_state = b""
        result = yield from self.ask(_CPIN)
        self.sim_error = 0 if result == OK else self.channel.error
        if self.sim_state == b"SIM PIN" and self.config.pin and not self._pin_tried:
            from usageguard.modem.pin import enter

            self._pin_tried = True
            yield from enter(self)
        elif self.sim_state == b"READY":
            self._sim_due.clear()
            self._stuck_due.clear()
            self._pin_tried = False  # it was right, and is asked for again
            self._settled = True
            self.state = SEARCHING
            self.imsi = yield from self._info(_CIMI)
            yield from self._identify()
            self.counter_wanted = True
            self._registration_due.set(self.now, 0)
        elif not self.sim_state.startswith(b"SIM "):  # else a person has to enter something
            _be_stuck(self)

    def _check_registration(self):
        """Asks until it is registered: the unsolicited code may have been lost."""
        self._registration_due.set(self.now, _REGISTRATION_MS)
        yield from self.ask(_CEREG)
        if not self.registered or self.older:
            from usageguard.modem.older import look

            yield from look(self)
        if self.registered:
            self._registration_due.clear()
            self._stuck_due.clear()
            if self.online or not self.data_wanted:
                self._attempts = 0
            if not self.time_reading:  # before the server's time comes, which it may contradict
                yield from self._read_time()
            if self.state != ONLINE:
                self._evidence_due.set(self.now, 0)
            self.state = ONLINE if self.online else REGISTERED
        else:
            self.state = SEARCHING
            if not self._stuck_due.armed:
                _be_stuck(self)
                self._evidence_due.set(self.now, 0)

    def _take_clock(self, text, local=True):
        """Takes yy/MM/dd,hh:mm:ss±zz, with a year of two or four digits, as the network's time: that of the zone of
        `zz` quarter hours (8.15), or without `local` UTC, whatever the zone. No effect where it is no time, or one that
        no network can have told."""
        at = text.find(b"/")
        try:
            year = int(text[:at]) + (2000 if at == 2 else 0)
            month, day, hour, minute, second = (int(text[i : i + 2]) for i in range(at + 1, at + 16, 3))
            quarters = int(text[at + 15 : at + 18]) if local else 0
            if year in _SANE_YEARS and hour < 24 and minute < 60 and second < 60:
                second += hour * 3600 + minute * 60 - quarters * 900
                self._network_time(days_from_civil(year, month, day) + second // _DAY_S, second % _DAY_S)
        except ValueError:  # no time, or no such time
            pass

    def _revive(self):
        """Switches the radio off and on, which also finds a SIM again whose contact was lost. Where that has not
        helped, what hangs is the modem: it is restarted, by a command and by its supply in turn."""
        self._stuck_due.clear()
        self._attempts += 1
        if self.online and not self.config.counter:  # an order has come over its session
            yield from self._end_connections()
        yield from self._go_offline(ENETDOWN)
        if self.config.operator:
            from usageguard.modem.operator import select

            if (yield from select(self)):
                return
        if self._attempts == 1:
            yield from self.ask(_RADIO_OFF)
            yield from self._sleep(_RADIO_OFF_MS)
            yield from self.ask(_RADIO_ON)
            return
        if self._attempts & 1:
            self.channel.timeouts = SILENT
        else:
            yield from self.ask(_RESTART)
        raise GoneError

    def _go_online(self):
        if self.kept or (yield from self._activate()):
            self.online = True
            self.state = ONLINE
            self.cme = 0
            self.tries.succeeded(self.now)
            self.listener.served()
            self.kept = False
            self._stuck_due.clear()
            self._attempts = 0
        else:
            _be_stuck(self, _REFUSED_MS if _CAUSE <= self.cme < _OWN else 0)
            self.tries.tried(self.now)
            self.retry_due.set(self.now, self.tries.due_ms(self.now))
            self._evidence_due.set(self.now, 0)
            self.listener.refused(self.cme)

    def _refused(self):
        """After a command that asked for a data session and failed: sets `cme` and `ceer`."""
        from usageguard.modem.refusal import explain

        yield from explain(self)

    def _end_connections(self):
        """Waits until the modem has ended each of them: what still arrives is seen, or charged, before that."""
        for connection in self.connections:
            connection.fail(ENETDOWN)
        for _ in range(_ENDINGS):
            if not any(connection._dirty for connection in self.connections):
                break
            yield from self._sleep(_ENDING_MS)

    def _go_offline(self, errno):
        self.online = False
        if self.state == ONLINE:
            self.state = REGISTERED
        for connection in self.connections:
            connection.fail(errno)
        yield from self._deactivate()
        if self.channel.result == TIMEOUT:  # it may still be up, and more come on its connections
            yield from self._deactivate()
        self._drop(errno)

    def _gather(self):
        """The radio's evidence, the network's time, the counter; between commands the connections may go."""
        channel = self.channel
        self._evidence_due.set(self.now, _EVIDENCE_MS)
        if (yield from self.ask(_CSQ)) == OK:
            self.signal = channel.number(0)
        yield False
        if (yield from self.ask(_CESQ)) == OK:
            self.rsrq = channel.number(4)
            self.rsrp = channel.number(5)
        yield False
        if (yield from self.ask(_CEREG_TOLD)) == OK and channel.info_length:
            self._on_registration(channel.info, channel.info_length)
            if channel.number(1) >= 0:  # the answer, and no unsolicited code
                notices = channel.number(0)
                if self._notices not in (0, notices):  # it has restarted, and no line said so
                    raise GoneError
                self._notices = notices
        if self.registration == 3 and not self.reject_cause:  # models that have no AT+CEREG=3 tell it here
            yield from self._refused()
        yield False
        yield from self._read_time()
        yield False
        # Where traffic has had the counter read since the last time, it would show only what has come unasked.
        if self._readings <= 0:
            self.counter_wanted = True
        self._readings = -1 if self.counter_wanted else 0
        self._context_doubted = True
        if not self.time_reading:
            self._evidence_due.set(self.now, _FIRST_TIME_MS)
