"""Carries out what the policy decides: stores it, closes connections, throttles. Takes in what the modem reports."""

from hashlib import sha256

from usageguard.compat import const
from usageguard.core import policy as rules
from usageguard.core.account.account import Account
from usageguard.modem.connection import OPEN, OPENING
from usageguard.net.admission import Admission

_EDQUOT = const(122)
# CME errors, ESM causes + 100 but for the last: insufficient resources … not subscribed; operator determined barring
_STOP_CAUSES = (129, 130, 131, 133, 177)


class Enforcement:
    """Ledger, policy, account and admission of one device, and what follows from them. The modem's driver has it as its
    listener.

    `nap`: a guard.deep_sleep.Nap, if the device has slept.

    A subclass sets `modem`, `path` and `outbox`, then calls `_restore`. Its loop looks at `work` (the driver is to be
    stepped again at once), `_urgent` (reports and periods are to be stepped at once) and `_changed` (the status is to
    be published).
    """

    def __init__(self, hal, config, ledger, window, nap=None):
        self.hal = hal
        self.config = config
        self.ledger = ledger
        try:
            ledger.open()
            self._sound = not ledger.lost
        except (OSError, ValueError):
            self._sound = False
            ledger.begin_anew()
        self._nap = nap if nap and self._sound and nap.resume(ledger) else None
        make = rules.Policy
        if config.plan.daily:
            from usageguard.core.account.daily import DailyPolicy

            make = DailyPolicy
        if config.plan.apart:
            from usageguard.core.account.counters import with_free

            make = with_free(make)
        if config.plan.quotas:
            from usageguard.core.account.quotas import with_quotas

            make = with_quotas(make)
        self.policy = make(config.plan, config.classes, config.enforcement == "observe")
        self.account = Account(config.plan, self.policy, ledger.orders)
        make = Admission
        if config.by_class:
            from usageguard.net.by_class import AdmissionByClass

            make = AdmissionByClass
        if config.plan.quotas:
            from usageguard.net.by_quota import AdmissionByQuota

            make = AdmissionByQuota
        if config.plan.apart:
            from usageguard.net.by_counter import with_counters

            make = with_counters(make)
        self.admission = make(hal, config, ledger, self.policy, window, self._nap is not None)
        self.admission.meter.learn(self.account.standing.learned)
        self.work = self._changed = True
        self._urgent = False
        self._refusals = 0  # in a row
        self._reading = False  # one was asked for; the driver also takes one by itself
        self._abandoned = None  # the connection that was last

    def _restore(self):
        """Takes over the stops that stood. If they cannot be known, data is stopped."""
        ledger = self.ledger
        try:
            self.obey(self.account.restore(ledger.reasons, ledger.warned, self.admission.used, ledger.cycle_id))
        except ValueError:
            self._sound = False
        if not self._sound:
            self.obey(self.policy.apply(rules.LEDGER_FAILED))

    def accept_loss(self):
        """Clears LEDGER_FAULT: the counts are confirmed as they are, and data flows again."""
        self.obey(self.admission.accept_loss())

    def obey(self, actions):
        """Carries out the policy's actions."""
        if not actions:
            return
        policy, ledger, modem, admission = self.policy, self.ledger, self.modem, self.admission
        if actions & (rules.SAVE | rules.REPORT):
            self.hal.event("verdict-" + policy.verdict(), policy.reasons, policy.warned)
        if actions & rules.SAVE:
            ledger.reasons = policy.reasons
            ledger.warned = policy.warned
            self.account.standing.store()
            admission.commit()
        if actions & rules.CLOSE:
            for connection in modem.connections:
                if connection.state in (OPENING, OPEN) and not admission.admits(connection.traffic_class):
                    connection.fail(_EDQUOT)
        modem.data_wanted = policy.data_wanted()
        if admission.slow_down(None if policy.observe else self.account.throttle()):
            self.work = True
        self._changed = self._urgent = True

    def _enforce(self, now):
        """Lets the policy decide on what has happened since the last step. HOT while nothing has."""
        admission = self.admission
        if admission.broken:
            self.obey(self.policy.apply(rules.LEDGER_FAILED))
        if admission.crossed:
            self.obey(admission.judge())
        if admission.denied >= 0:
            # Where what is left of a class's quota carries no packet any more, that is a reason to stop.
            self.obey(self.policy.denied(admission.take_denied()))
            if self.policy.reasons & rules.GRANT_EXPIRED and self.outbox.ask(now):  # given back while it was not wanted
                self._urgent = True

    def _look_at_sim(self, iccid):
        """Stops data where another SIM is in the modem than the one that is counted, unless any may be."""
        account = self.account
        standing = account.standing
        account.sim = sim = int.from_bytes(sha256(iccid).digest()[:4], "big") or 1  # 0 is none
        if sim != standing.sim and standing.sim and not self.config.modem.any_sim:
            self.hal.event("sim-changed")
            self.obey(self.policy.apply(rules.SIM_EXCHANGED))
            return
        actions = self.policy.apply(rules.SIM_ACCEPTED)
        if sim != standing.sim:
            standing.sim = sim
            actions |= rules.SAVE
        self.obey(actions)

    # The modem's listener

    def received(self, connection, n):
        """Payload arrived. HOT."""
        if connection.owner is not None:
            self.path.alive = True
        spare = connection.spare if connection.continues else 0
        self.admission.received(connection.traffic_class, connection.tcp, n, spare)
        connection.spare = self.admission.meter.spare

    def opened(self, connection):
        self.admission.hold(connection.tcp, 1)
        if connection.tcp:
            self.admission.meter.connected()
        self._urgent = True

    def closed(self, connection):
        self.admission.hold(connection.tcp, -1, connection is self._abandoned)
        self._abandoned = None
        if connection.errno:
            self.admission.meter.left(True, True)
        if self.policy.level >= rules.RESTRICTED:
            self.admission.give_back()

    def abandoned(self, connection, octets):
        self.admission.abandoned(connection.tcp, octets)
        if not octets:
            self._abandoned = connection

    def looked_up(self, name_octets):
        self.admission.meter.looked_up(name_octets)

    def counter(self, tx, rx):
        self._reading = False
        admission = self.admission
        admission.counter(tx, rx, self.modem.counter_epoch, self.modem.found_on)
        if self.policy.level >= rules.RESTRICTED:
            admission.give_back()
        if admission.take_doubt():
            admission.commit()
            self.obey(self.account.doubted())
            self._urgent = True

    def refused(self, cause):
        """The data session was refused, with a CME error. One that does not mean a stop counts when it comes again."""
        self.hal.event("refused", cause)
        self._refusals += 1
        if self.account.standing.sim and self.modem.iccid:  # also before it is served
            self._look_at_sim(self.modem.iccid)
        if cause in _STOP_CAUSES or self._refusals > 1:
            self.obey(self.policy.apply(rules.CARRIER_REFUSED))

    def served(self):
        """A data session began: the first thing that a SIM could be charged for."""
        self._refusals = 0
        if self.modem.iccid:
            self._look_at_sim(self.modem.iccid)
        if not self.modem.kept or self.admission.meter.session_round:  # it may be another one all the same
            self.admission.session()
        self.obey(self.policy.apply(rules.CARRIER_SERVES))
