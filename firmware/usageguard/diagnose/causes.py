"""Causes of a device without data, found in what is known of it. Pure, and the same on the device and on hosts.

The modem's way to a data session has stages: it answers, its SIM is ready, it is registered, it has a session, and
packets get through. The first stage that fails is the cause of those behind it, so each way has one verdict at the
most; what the guard itself stops, and faults of the device, are causes of their own beside it.

Nothing is concluded from +CREG: a SIM for data alone shows 0,3 there.
"""

from usageguard.compat import const
from usageguard.core.policy import BIT, REASONS, RESTRICT_ACCESS, RESTRICTION, SURVIVES_CYCLE, TERMINATE
from usageguard.core.policy import CODE as REASON

MODEM_DEAD = const(1)
MODEM_RESTARTS = const(2)
SIM_ABSENT = const(3)
SIM_PIN = const(4)
SIM_FAULT = const(5)
NO_SIGNAL = const(6)
DENIED = const(7)
WRONG_APN = const(8)
CONGESTION = const(9)
STOPPED_BY_US = const(10)
CARRIER_QUOTA = const(11)
CARRIER_ARREARS = const(12)
CARRIER_POOL = const(13)
CARRIER_EXPIRED = const(14)
CARRIER_BY_HAND = const(15)
SOFT_STOP = const(16)
NO_COVERAGE = const(17)
COLLECTOR_NAME = const(18)
COLLECTOR_PORT = const(19)
COLLECTOR_REFUSES = const(20)
DEVICE_FAULT = const(21)

# What a further attempt costs
_NOTHING = const(0)  # signalling alone
_REPORT = const(1)  # a report, once there is a session
_EXCHANGE = const(2)  # a lookup and a report, whether or not they get through

# One row per cause, in the order of the platform's own troubleshooting: signal; APN, device and SIM; quota, arrears and
# pool; coverage of this operator. The number in front is stored and reported: never reuse one.
# RETRY: whether the device's own attempts can succeed before somebody has done what REMEDY says.
CODE, LABEL, RETRY, COST, REMEDY = range(5)
CAUSES = (
    (MODEM_DEAD, "modem-dead", True, _NOTHING, "check the modem's supply, its wiring and baud rate, and the power key"),
    (MODEM_RESTARTS, "modem-restarts", True, _NOTHING, "check the supply: a modem needs up to 2 A for short times"),
    (SIM_ABSENT, "sim-absent", False, _NOTHING, "put the SIM in, and clean its contacts"),
    (SIM_PIN, "sim-pin", False, _NOTHING, "set modem.pin, or have the PIN removed; a PUK comes from the carrier"),
    (SIM_FAULT, "sim-fault", False, _NOTHING, "clean the SIM's contacts, try it in a phone, replace it"),
    (NO_SIGNAL, "no-signal", True, _NOTHING, "check the antenna and its plug, move the device, look at the bands"),
    (DENIED, "denied", False, _NOTHING, "ask the carrier: the SIM is not active, cancelled, or bound to another IMEI"),
    (WRONG_APN, "wrong-apn", False, _NOTHING, "set modem.apn to the APN of this SIM's contract"),
    (CONGESTION, "congestion", True, _REPORT, "wait: the network has no room now"),
    (STOPPED_BY_US, "stopped-by-us", False, _NOTHING, "lift the reason (POLICY.md), or wait for the period's end"),
    (CARRIER_QUOTA, "carrier-quota", True, _REPORT, "top the SIM up, or wait for the next period"),
    (CARRIER_ARREARS, "carrier-arrears", True, _REPORT, "recharge the account, then resume the SIM by hand"),
    (CARRIER_POOL, "carrier-pool", True, _REPORT, "top the pool up, or raise the SIM's cap in it"),
    (CARRIER_EXPIRED, "carrier-expired", True, _REPORT, "renew the package"),
    (CARRIER_BY_HAND, "carrier-by-hand", True, _REPORT, "resume the SIM's data on the platform"),
    (SOFT_STOP, "soft-stop", True, _EXCHANGE, "look at the SIM's state on the platform: no data passes in its session"),
    (NO_COVERAGE, "no-coverage", True, _NOTHING, "set modem.operator, or use another operator's SIM"),
    (COLLECTOR_NAME, "collector-name", True, _EXCHANGE, "set upstream.host: that name has no address"),
    (COLLECTOR_PORT, "collector-port", True, _EXCHANGE, "start the collector; check upstream.port and its firewall"),
    (COLLECTOR_REFUSES, "collector-refuses", True, _EXCHANGE, "give collector and device the same key"),
    (DEVICE_FAULT, "device-fault", False, _NOTHING, "see the device's console"),
)  # fmt: skip

# Details of DEVICE_FAULT
LEDGER = const(1)
APPLICATION = const(2)

# Bits of `probed`
NAME_FOUND = const(1)
BEYOND = const(2)  # a name server beyond the carrier's own
COLLECTOR = const(4)

# 3GPP TS 27.007 9.2: of +CPIN
_NOT_INSERTED = const(10)
_PIN_REQUIRED = const(11)
_PUK_REQUIRED = const(12)
# EMM causes, 3GPP TS 24.301 9.9.3.9
_NO_COVERAGE_CAUSES = (11, 12, 13, 15)  # PLMN, tracking area or roaming not allowed; no suitable cells
_CONGESTED = const(22)
# CME errors of a refused session: 100 + the ESM cause (TS 24.301 9.9.4.4) but for 177 and 179
_APN_CODES = (127, 128, 149, 179)
_BUSY_CODES = (122, 126, 134)
_AUTHENTICATION = const(129)
_UNKNOWN = const(255)  # of +CESQ
_NO_RSSI = const(99)  # of +CSQ
_WEAK_RSRP = const(20)  # -120 dBm
_WEAK_RSSI = const(3)  # -107 dBm
_CRASHES = const(3)
_RESTARTS = const(3)
# Permille of the plan: carriers count 5 to 7 % more, up to 28 % were seen
_USED_UP = const(930)
_NEARLY = const(700)
_FEE_DAYS = const(3)  # of a period, in which its fee is charged
_REPORT_OCTETS = const(161)  # with its acknowledgement, where no other figure is known
_LOOKUP_OCTETS = const(160)

_CARRIER_STOP = const(0x000004)
_LEDGER_FAULT = const(0x000008)

# `state`, as modem.base has it
_NO_SIM = const(2)
_SEARCHING = const(3)
_ONLINE = const(5)


class Evidence:
    """What is known of a device; None: not known. What the modem tells is as in modem.base.Modem."""

    def __init__(self):
        self.state = None
        self.silent = False  # it does not answer, and switching it off and on has not helped
        self.restarts = 0
        self.uptime_s = None
        self.sim_state = b""
        self.sim_error = 0
        self.registration = -1
        self.reject_cause = 0
        self.signal = self.rsrp = -1
        self.cme = 0
        self.ceer = b""
        self.reasons = 0  # to stop, of the guard
        self.crashes = 0  # of the application, since boot
        self.unanswered = 0  # exchanges with the collector in a row
        self.alive = False  # an application has received something meanwhile
        self.refused = 0  # the code octet with which the collector refused a report
        self.probed = None  # what answered a probe
        # The plan's state
        self.used_permille = None
        self.balance_fen = None
        self.pool_left = None  # octets of the SIM's share; None without a pool
        self.expires_in = None  # days
        self.day = None  # of the period, from 1
        self.period_s = None  # until it ends
        self.retry_s = None  # until the modem is asked for a data session again
        self.report_octets = 0


class Verdict:
    """One cause. `detail` is the number that goes with it (EMM cause, CME error, CoAP code, the reason's bit, ...);
    `others` are the causes that the evidence cannot tell from it, likeliest first; `evidence` is what it rests on."""

    def __init__(self, cause, detail=0, evidence="", others=()):
        self.cause = cause
        self.detail = detail
        self.evidence = evidence
        self.others = others
        self.retry_s = None  # until the device tries again by itself; None: not known, or it does not
        self.octets = 0  # that this costs

    @property
    def name(self):
        return _row(self.cause)[LABEL]

    @property
    def remedy(self):
        return _row(self.cause)[REMEDY]

    @property
    def retry(self):
        """Whether the device's own attempts can succeed before somebody has acted."""
        if self.cause == STOPPED_BY_US:
            return not _survives(self.detail)
        return _row(self.cause)[RETRY]

    @property
    def code(self):
        """Cause and detail as one number, as in a report."""
        return self.cause | min(self.detail, 0x7FF) << 5

    def __str__(self):
        said = "%s: %s" % (self.name, self.evidence)
        if self.others:
            said += ", or " + ", ".join([_row(each)[LABEL] for each in self.others])
        return said


def of_code(code):
    """The Verdict that a report's number stands for; None for 0, and for a cause that is not known here."""
    cause, detail = code & 31, code >> 5
    return Verdict(cause, detail, _said(cause, detail)) if 0 < cause <= len(CAUSES) else None


def diagnose(known):
    """The verdicts on the Evidence `known`, the first cause in front; empty where nothing is wrong."""
    found = []
    stage = _stage(known)
    if stage:
        found.append(stage)
    if known.restarts >= _RESTARTS and (known.uptime_s is None or known.restarts * 3600 > known.uptime_s):
        found.append(Verdict(MODEM_RESTARTS, known.restarts, "%d restarts of the modem" % known.restarts))
    for bit, row in _stopping(known.reasons):
        found.append(Verdict(STOPPED_BY_US, bit, row[REASON]))
    fault = LEDGER if known.reasons & _LEDGER_FAULT else APPLICATION if known.crashes >= _CRASHES else 0
    if fault:
        found.append(Verdict(DEVICE_FAULT, fault, _said(DEVICE_FAULT, fault)))
    if known.refused and not (stage and stage.cause != COLLECTOR_PORT):
        found = [each for each in found if each is not stage]
        found.append(Verdict(COLLECTOR_REFUSES, known.refused, _said(COLLECTOR_REFUSES, known.refused)))
    report = known.report_octets or _REPORT_OCTETS
    for each in found:
        each.octets = (0, report, _LOOKUP_OCTETS + report)[_row(each.cause)[COST]]
        if each.retry:
            each.retry_s = known.period_s if each.cause == STOPPED_BY_US else known.retry_s
    # The rows stand in the order of their codes; several of one cause, which only reasons are, in that of the policy.
    return sorted(found, key=lambda each: each.cause << 8 | found.index(each))


def _stage(known):
    """The verdict on the first stage that fails, on the way from the modem's supply to the collector."""
    state = known.state
    if known.silent:
        return Verdict(MODEM_DEAD, 0, "no answer, also after power off and on")
    if state == _NO_SIM:
        return _of_sim(known)
    if known.registration not in (1, 5) and (state is None or state >= _SEARCHING) and known.registration >= 0:
        return _of_registration(known)
    if (known.cme or known.reasons & _CARRIER_STOP) and state != _ONLINE:
        return _of_refusal(known)
    if state == _ONLINE or (state is None and known.unanswered):
        return _of_path(known)
    return None


def _of_sim(known):
    said, error = known.sim_state, known.sim_error
    text = "+CPIN: " + str(said, "ascii") if said else "+CME ERROR: %d" % error
    if not said and not error:
        return None  # not asked yet
    if error == _NOT_INSERTED or said == b"NOT INSERTED":
        return Verdict(SIM_ABSENT, error, text)
    if error in (_PIN_REQUIRED, _PUK_REQUIRED) or said[:7] in (b"SIM PIN", b"SIM PUK"):
        return Verdict(SIM_PIN, error, text)
    return None if said == b"READY" else Verdict(SIM_FAULT, error, text)


def _of_registration(known):
    stat, cause = known.registration, known.reject_cause
    if stat == 3 and not cause and 100 < known.cme < 123:
        cause = known.cme - 100
    text = "+CEREG stat %d" % stat
    if cause:
        text += ", EMM cause %d" % cause
    if cause == _CONGESTED:
        return Verdict(CONGESTION, cause, text)
    if cause in _NO_COVERAGE_CAUSES:
        return Verdict(NO_COVERAGE, cause, text)
    if cause:
        return Verdict(DENIED, cause, text)
    if stat == 3:  # not every modem tells the cause
        return Verdict(DENIED, 0, text + ", cause not known", (CONGESTION, NO_COVERAGE))
    rssi, rsrp = known.signal, known.rsrp
    if rsrp >= 0 and rsrp != _UNKNOWN:
        weak = rsrp <= _WEAK_RSRP
        text += ", RSRP %d dBm" % (rsrp - 140)
    elif rssi >= 0 and rssi != _NO_RSSI:
        weak = rssi <= _WEAK_RSSI
        text += ", RSSI %d dBm" % (2 * rssi - 113)
    elif rssi == _NO_RSSI or rsrp == _UNKNOWN:
        return Verdict(NO_SIGNAL, 0, text + ", no signal")
    else:
        return Verdict(NO_SIGNAL, 0, text + ", signal not known", (NO_COVERAGE,))
    return Verdict(NO_SIGNAL if weak else NO_COVERAGE, 0, text)


def _of_refusal(known):
    cme = known.cme
    text = "no data session, +CME ERROR: %d" % cme if cme else "no data session"
    if known.ceer:
        text += ", " + str(known.ceer[:40], "ascii")
    if cme in _APN_CODES:
        return Verdict(WRONG_APN, cme, text)
    if cme in _BUSY_CODES:
        return Verdict(CONGESTION, cme, text)
    if 100 < cme < 123:  # of the registration: 100 + the EMM cause
        return Verdict(DENIED, cme - 100, text)
    first, *others = carrier_stops(known)
    return Verdict(first, cme, text, others + [WRONG_APN] if cme == _AUTHENTICATION else others)


def carrier_stops(known):
    """The causes for which a carrier may have stopped the SIM, likeliest first. The network gives the same answer for
    all of them; so the plan's state decides, then the day in the period, then how often each happens."""
    used, day = known.used_permille, known.day
    quota = 1 if used is None else 4 if used >= _USED_UP else 3 if used >= _NEARLY else 0
    if known.balance_fen is not None:
        arrears = 4 if known.balance_fen <= 0 else 0
    else:
        arrears = 2 if day is not None and day <= _FEE_DAYS else 1
    pool = 0 if known.pool_left is None else 4 if known.pool_left <= 0 else 2
    if known.pool_left is not None and quota == 1:
        quota = 0
    expired = 1 if known.expires_in is None else 4 if known.expires_in <= 0 else 0
    ranked = (CARRIER_QUOTA, quota), (CARRIER_ARREARS, arrears), (CARRIER_POOL, pool), (CARRIER_EXPIRED, expired)
    ranked = [(-weight, cause) for cause, weight in ranked if weight] + [(-1, CARRIER_BY_HAND)]
    return [cause for _, cause in sorted(ranked)]


def _of_path(known):
    probed = known.probed
    if probed is None:
        if not known.unanswered or known.refused:
            return None
        text = "%d exchanges unanswered" % known.unanswered
        return Verdict(COLLECTOR_PORT, 0, text) if known.alive else Verdict(SOFT_STOP, 0, text, (COLLECTOR_PORT,))
    if probed & COLLECTOR:
        return None
    if not (probed & BEYOND or known.alive):
        text = "a data session, a name found, nothing else" if probed & NAME_FOUND else "a data session, and no answer"
        return Verdict(SOFT_STOP, 0, text)
    if probed & NAME_FOUND:
        return Verdict(COLLECTOR_PORT, 0, "others answer")
    return Verdict(COLLECTOR_NAME, 0, "others answer")


def _row(cause):
    return CAUSES[cause - 1]


def _stopping(reasons):
    """(number of the bit, row) of each reason by which the guard holds data back altogether."""
    for row in REASONS:
        bit = row[BIT]
        if reasons & bit & ~(_CARRIER_STOP | _LEDGER_FAULT) and row[RESTRICTION] in (RESTRICT_ACCESS, TERMINATE):
            number = 0
            while bit >> number != 1:
                number += 1
            yield number, row


def _survives(number):
    """Whether the reason with that bit stays when the period ends."""
    return any(row[BIT] >> number == 1 and row[SURVIVES_CYCLE] for row in REASONS)


def _said(cause, detail):
    """What a cause and its detail say without the evidence itself."""
    if cause == STOPPED_BY_US:
        return "".join([row[REASON] for row in REASONS if row[BIT] >> detail == 1]) or "bit %d" % detail
    if cause == DEVICE_FAULT:
        return ("", "LEDGER_FAULT", "the application crashes")[detail if detail < 3 else 0]
    if cause in (DENIED, NO_COVERAGE):
        return "EMM cause %d" % detail if detail else ""
    if cause == MODEM_RESTARTS:
        return "%d restarts of the modem" % detail
    if cause == COLLECTOR_REFUSES:
        return "code %d.%02d" % (detail >> 5, detail & 31)
    return "+CME ERROR: %d" % detail if detail else ""
