"""Deep sleep: what the guard takes over it in retained memory, so that a wake goes on in the same books.

A record of small integers (SPEC.md, "Retained memory") lies behind the ledger's. It holds for one boot: that by which
the sleep ends, before anything else is stored. Loaded by what puts the device to sleep, and by its wake.
"""

import struct

from usageguard.clock import plus
from usageguard.compat import const
from usageguard.core.crc import crc32_into, crc32_ok
from usageguard.core.octets import WIDTH, Octets
from usageguard.core.ticks import Countdown, ticks_add, ticks_diff
from usageguard.modem.base import BOOTING, SWITCHED_OFF
from usageguard.modem.connection import FREE

_SETTLE_MS = const(60_000)  # the longest that a sleep waits for reports, closes and a reading
_POLL_MS = const(200)
_RTC = const(0x3FFFFFFF)
_MOST_S = const(500_000)  # of a sleep, as ticks: inside their horizon
_OFF_S = const(10)  # after which a modem is off for certain, and not on its way there
_BOOT_S = const(60)  # by which a boot may last longer than the clock tells
_ANSWER_MS = const(10_000)  # an exchange, or a report that waits for its path, has something to do within that time
_SLOT = const(24)  # octets of the ledger's
_LAYOUT = const(28)  # behind it, the CRC of what the values mean
_COUNTERS = const(32)  # behind that, the modem's, in 2 * 7 octets
_VALUES = const(46)
_MOST = const(2044)


def enter(guard, ms, modem_stays, way_in):
    """As Guard.deep_sleep; `way_in`: its WayIn, if it has one."""
    hal, ledger, meter, modem = guard.hal, guard.ledger, guard.admission.meter, guard.modem
    psm = modem_stays and _wants_psm(guard)
    session_stays = modem_stays and not psm  # in PSM the modem may forget what it counted, as one that is off
    called_at = hal.ticks_ms()
    orderly = _settle(guard, session_stays)
    guard.admission.settled = not session_stays and not meter.window
    if psm and orderly and modem.registered and not (modem.online or modem.channel.busy):
        from usageguard.modem.power_saving import rest

        rest(modem)
    if session_stays and guard.config.modem.saving and guard.config.modem.saving[3]:
        modem.doze()
    if not modem_stays:
        for wait_ms in hal.modem_power(False):
            until = ticks_add(hal.ticks_ms(), wait_ms)
            while ticks_diff(until, hal.ticks_ms()) > 0:
                hal.wait(until)
                hal.uart_readinto(guard.path.buffer, len(guard.path.buffer))
    now = hal.ticks_ms()
    if modem.state > BOOTING:
        guard.outbox.radio_on_s += ticks_diff(now, guard._published_at) // 1000
    if not session_stays:
        guard.outbox.radio_on_s = ~guard.outbox.radio_on_s  # it goes no further in the sleep
    if ms:
        ms = max(1, ms - ticks_diff(now, called_at))
    guard.periods.note_floor(now)
    guard.account.standing.store()
    try:
        ledger.close()
        if orderly and not guard.admission.broken:
            hal.retained_write(_record(guard, ms, now, way_in))
    except OSError:
        pass  # it wakes as from any other reset
    hal.deep_sleep(ms)


def _wants_psm(guard):
    saving = guard.config.modem.saving
    return saving is not None and saving[0] > 0


def _awaits(guard, now):
    """Whether a report is worth waiting for: not one that is held back, nor where it has no way."""
    outbox, sms = guard.outbox, guard.path.sms
    return (outbox.waiting and outbox.due_ms(now) <= _ANSWER_MS) or (sms is not None and sms.busy)


def _settle(guard, session_stays):
    """Closes the connections, once a report that is due has been acknowledged, and has the modem's counter read: at
    once, or where the session is to end when nothing can wait in the modem any more. Whether all are closed."""
    hal, modem, meter = guard.hal, guard.modem, guard.admission.meter
    for connection in modem.connections:
        if connection.owner:
            connection.owner.close()
    until = ticks_add(hal.ticks_ms(), _SETTLE_MS)
    asked = closed = False
    while ticks_diff(until, hal.ticks_ms()) > 0:
        now = hal.ticks_ms()
        guard.wake()  # else a step does nothing but what is due
        guard.step(now)
        if not _awaits(guard, now):
            guard.path.connection.close()
            closed = all(connection.state == FREE for connection in modem.connections)
            if closed and not asked and session_stays and meter.counted:
                asked = True
                modem.read_counter()
            elif closed and not (modem.counter_wanted or modem.channel.busy) and (session_stays or not meter.window):
                if session_stays or not (modem.online or modem._pause.armed):  # the session's end may take a while
                    break
                modem.data_wanted = False  # no peer sends to a session that has ended
        guard.pump(ticks_add(now, _POLL_MS))
    return closed and all(connection.state == FREE for connection in modem.connections)


def _kept(guard):
    """(object, name) for all small integers and countdowns that are kept, in an order that the program decides."""
    found = []
    for each in (guard.admission, guard.admission.meter, guard.outbox, guard.outbox._sms):
        if each is not None:
            state = each.__dict__
            # A bool of MicroPython's is no int.
            found += [(each, name) for name in sorted(state) if isinstance(state[name], (int, bool, Countdown))]
    return found


def _layout(kept, record, at):
    """Stores at record[at:] the CRC of what the values mean: another program's wake is to notice."""
    names = ",".join([name for _, name in kept]).encode()
    crc32_into(names, len(names), record, at)


def _record(guard, ms, now, way_in):
    admission, modem, clock = guard.admission, guard.modem, guard.periods.clock
    guard.outbox._requeue()
    values = [guard.ledger.boot_id, guard.hal.rtc_s(), (ms + 999) // 1000, clock.slack, int(clock.sure)]
    values += clock.floor(now)
    values += (modem.counter_epoch, guard.path.octets, modem.retry_due.left(now) if modem.retry_due.armed else 0)
    values += (modem.tries.due_ms(now), modem.tries.next_ms)
    values += (way_in.tries.due_ms(now), way_in.tries.next_ms) if way_in else (0, 0)
    kept = _kept(guard)
    for each, name in kept:
        value = getattr(each, name)
        values.append(value.left_ms(now) if isinstance(value, Countdown) else int(value))
    end = _VALUES + 8 * len(values)
    record = bytearray(end + 4)
    guard.hal.retained_read(record)  # the ledger's
    struct.pack_into("<HH", record, _SLOT, end, len(values))
    _layout(kept, record, _LAYOUT)
    for i in (0, 1):
        admission.reading[i].pack_into(record, _COUNTERS + i * WIDTH)
    struct.pack_into("<%dq" % len(values), record, _VALUES, *values)
    crc32_into(record, end, record, end)
    return record


def recall(hal):
    """The Nap that ends with this boot; None if retained memory has none. To be called before the ledger is opened."""
    record = bytearray(_VALUES)
    hal.retained_read(record)
    end, n = struct.unpack_from("<HH", record, _SLOT)
    if end != _VALUES + 8 * n or end > _MOST:
        return None
    record = bytearray(end + 4)
    hal.retained_read(record)
    return Nap(hal, record, n) if crc32_ok(record, end, end) else None


class Nap:
    """A deep sleep that was entered in order, as `record` with its `n` values says."""

    def __init__(self, hal, record, n):
        self._record = record
        self._values = list(struct.unpack_from("<%dq" % n, record, _VALUES))
        self._boot_id, rtc_s, longest_s = self._take(3)
        slept_s = (hal.rtc_s() - rtc_s) & _RTC
        if longest_s:
            slept_s = min(slept_s, longest_s + (longest_s >> 3) + _BOOT_S)
        elif slept_s > _RTC >> 1:  # the clock was set
            slept_s = 0
        self._slept_s = slept_s

    def _take(self, n):
        taken, self._values = self._values[:n], self._values[n:]
        return taken

    def resume(self, ledger):
        """Goes on with the boot of before in `ledger`, which has just been opened; False if it has another one."""
        if ledger.boot_id != self._boot_id + 1:
            return False
        ledger.boot_id = self._boot_id
        return True

    def restore(self, guard, now):
        """Takes everything else over into a `guard` that has just been made; returns its WayIn, None if it had none."""
        admission, ledger, modem, outbox = guard.admission, guard.ledger, guard.modem, guard.outbox
        slept_s = self._slept_s
        slept_ms = min(slept_s, _MOST_S) * 1000
        slack, sure, day, second = self._take(4)
        # By a clock of the ESP32's, which may be off by 5 %; a boot may take longer than it tells.
        instant = plus((day, second), slept_s - (slept_s >> 4))
        guard.periods.clock.woke(instant, slack + (slept_s >> 4) + (slept_s >> 3) + _BOOT_S, sure > 0, now)
        modem.counter_epoch, guard.path.octets, retry_ms = self._take(3)
        if retry_ms > slept_ms:
            modem.retry_due.set(now, retry_ms - slept_ms)
        modem.tries.woke(now, slept_ms, *self._take(2))
        due_ms, next_ms = self._take(2)
        self._restore_kept(guard, now, slept_ms)
        on_s = outbox.radio_on_s
        outbox.radio_on_s = on_s + slept_s if on_s >= 0 else ~on_s
        off = admission.settled and slept_s >= _OFF_S and not _wants_psm(guard)
        modem.rested = SWITCHED_OFF if off else 1
        admission.woke(now, slept_ms)
        for i in (0, 1):
            admission.reading[i].unpack_from(self._record, _COUNTERS + i * WIDTH)
        if admission.meter.counted:
            ledger.lost_carried = ledger.lost_rated = 0
        for unsure in (ledger.carried_unsure, ledger.rated_unsure):  # where the ledger's record has put it
            unsure.sub(Octets(min(ledger.bound(), unsure.value())))
        if not next_ms:
            return None
        from usageguard.guard.way_in import WayIn

        way_in = WayIn(guard.hal, guard.policy, admission, outbox, guard.obey, now)
        way_in.tries.woke(now, slept_ms, due_ms, next_ms)
        return way_in

    def _restore_kept(self, guard, now, slept_ms):
        kept = _kept(guard)
        layout = bytearray(4)
        _layout(kept, layout, 0)
        if layout != self._record[_LAYOUT : _LAYOUT + 4]:
            guard.hal.event("sleep-forgotten")
            guard.hal.reset()  # the next boot makes no use of the record
        for each, name in kept:
            (value,) = self._take(1)
            old = getattr(each, name)
            if isinstance(old, Countdown):
                old.start(now, max(0, value - slept_ms))
            else:
                setattr(each, name, value > 0 if isinstance(old, bool) else value)
