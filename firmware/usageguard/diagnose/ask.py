"""What a guard knows of its device, as Evidence; and one probe of a data session through which nothing may come."""

import sys

import usageguard
from usageguard.compat import const
from usageguard.core.ticks import ticks_add, ticks_diff
from usageguard.diagnose import causes
from usageguard.diagnose.causes import BEYOND, COLLECTOR, NAME_FOUND, Evidence
from usageguard.modem.base import BOOTING, SEARCHING
from usageguard.modem.connection import CLOSING, FREE, OPEN, OPENING

# A public name server: what it answers has passed the carrier's gateway, other than the answers of the carrier's own.
RESOLVER = "223.5.5.5"
_DNS_PORT = const(53)
_PING = b"\x40\x00UG"  # CoAP's: an empty confirmable message, which is answered with a reset (RFC 7252 4.3)
_ANSWER_MS = const(10_000)
_OPEN_MS = const(60_000)  # with a lookup
_GATHER_MS = const(15_000)
_FOLLOWS_MS = const(2_000)  # what is asked for after the signal
_POLL_MS = const(200)
_BOOT_RETRY_MS = const(30_000)  # the first one of modem.cellular


def diagnose(guard, ask):
    """As Guard.diagnose. On a device these modules are let go: the next call loads them again."""
    found = causes.diagnose(_asked(guard) if ask else known(guard))
    if sys.implementation.name == "micropython":
        for name in list(sys.modules):
            if name.startswith("usageguard.diagnose"):
                del sys.modules[name]
        if hasattr(usageguard, "diagnose"):
            del usageguard.diagnose
    return found


def known(guard):
    """The Evidence at hand; asks nobody."""
    modem, policy, ledger, account, path = guard.modem, guard.policy, guard.ledger, guard.account, guard.path
    now = guard.hal.ticks_ms()
    found = Evidence()
    found.state = modem.state
    found.silent = _silent(modem)
    for name in ("restarts", "sim_state", "sim_error", "registration", "reject_cause", "signal", "rsrp", "cme", "ceer"):
        setattr(found, name, getattr(modem, name))
    found.reasons = policy.reasons
    found.crashes = guard.outbox.app_restarts
    found.unanswered = path._failures
    found.alive = path.alive
    found.refused = guard.outbox.refused
    plan, standing, used = account.plan, account.standing, guard.admission.used
    if plan.allowance:
        found.used_permille = used.value() * 1000 // plan.allowance
    found.balance_fen = account.balance_fen(used, ledger.cycle_id)
    clock = guard.periods.clock
    day, second = clock.now(now) or clock.floor(now)
    found.uptime_s = clock._uptime
    today = plan.cycle.local_day(day, second)
    if clock.source != "none":
        found.day = today - plan.cycle.cycle_id(day, second) + 1
        found.period_s = plan.cycle.seconds_left(day, second)
    expiry = max(standing.expiry_day, plan.expiry_day)
    if expiry:
        found.expires_in = expiry - today
    if account.pool:
        found.pool_left = max(0, standing.granted - used.value())
    if modem.retry_due.armed:
        found.retry_s = modem.retry_due.left(now) // 1000
    if guard.outbox.reports_acked:
        found.report_octets = guard.outbox.octets_per_report()
    return found


def _asked(guard):
    """The Evidence after the radio was looked at, and where there is a data session, after one probe of it: 17 s, with
    a probe up to two and a half minutes."""
    modem = guard.modem
    modem.signal = -1
    modem._evidence_due.set(guard.hal.ticks_ms(), 0)
    modem.poked = True
    _pump(guard, _GATHER_MS, lambda: modem.signal < 0 and modem.state >= SEARCHING)
    if modem.signal >= 0:
        _pump(guard, _FOLLOWS_MS, lambda: True)
    found = known(guard)
    if modem.online:
        found.probed = _probe(guard)
    return found


def _silent(modem):
    """Whether it does not answer, although it was switched off and on."""
    return modem.state <= BOOTING and modem._boot_retry_ms > _BOOT_RETRY_MS


def _probe(guard):
    """What answers through the data session; None where none can be asked. Costs at most 3 datagrams each way, some
    400 octets with their answers."""
    upstream = guard.config.upstream
    connection = guard.modem.free_connection(1)
    if connection is None:
        return None
    answered = 0
    if upstream.host is None:
        answered = COLLECTOR  # there is none, so it cannot be the cause
    else:
        guard.modem.names.drop(upstream.host)
        opened, reply = _ask(guard, connection, upstream.host, upstream.port, _PING)
        if opened is None:
            return None
        answered = NAME_FOUND * opened | COLLECTOR * reply
        if reply:
            return answered
    opened, reply = _ask(guard, connection, RESOLVER, _DNS_PORT, _query(upstream.host or ""))
    return None if opened is None else answered | BEYOND * reply


def _query(host):
    """A DNS query for the address of `host` (RFC 1035 4.1)."""
    labels = b"".join([bytes([len(label)]) + bytes(label, "ascii") for label in host.split(".") if label])
    return b"UG\x01\x00\x00\x01" + bytes(6) + labels + b"\x00\x00\x01\x00\x01"


def _ask(guard, connection, host, port, question):
    """Sends one datagram; (whether a connection could be opened, None where the plan admits none; whether anything was
    answered)."""
    admission, modem = guard.admission, guard.modem
    reserve = admission.reserve
    if connection.state != FREE or not admission.open(reserve, False, modem.name_octets(host)):
        return None, False
    connection.traffic_class = reserve
    connection.open(False, host, port)
    _pump(guard, _OPEN_MS, lambda: connection.state == OPENING)
    opened = connection.state == OPEN
    if opened and admission.transfer(reserve, False, len(question)):
        connection.tx.write(question, 0, len(question))
        connection.flush(len(question))
        connection.wanted = True
        _pump(guard, _ANSWER_MS, lambda: connection.state == OPEN and not connection.rx.any())
    answered = connection.rx.any() > 0
    connection.close()
    _pump(guard, _ANSWER_MS, lambda: connection.state == CLOSING)
    return opened, answered


def _pump(guard, ms, goes_on):
    """Guards for `ms` at the most, as long as `goes_on()`."""
    hal = guard.hal
    until = ticks_add(hal.ticks_ms(), ms)
    while goes_on() and ticks_diff(until, hal.ticks_ms()) > 0:
        guard.pump(ticks_add(hal.ticks_ms(), _POLL_MS))
