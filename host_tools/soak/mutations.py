"""Mutations of the firmware, and of the collector, that a soak must detect. Each is a context in which one rule is
broken."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from host_tools.base import paths
from host_tools.collector import intake, order_book, store

paths.use_firmware()

from usageguard import clock, corroborated  # noqa: E402
from usageguard.core import endless, meter, policy  # noqa: E402
from usageguard.core.account import account, quotas, standing  # noqa: E402
from usageguard.core.account import counters as account_counters  # noqa: E402
from usageguard.core.account import orders as applied  # noqa: E402
from usageguard.guard import counters, enforcement, order_handler, replan, reserve_pace, waits, way_in  # noqa: E402
from usageguard.modem import cellular, cip_connection, messenger, quectel_connection  # noqa: E402
from usageguard.net import admission, by_counter, doubts  # noqa: E402
from usageguard.store import ledger  # noqa: E402
from usageguard.upstream import path, sms  # noqa: E402 - found only now

Context = Callable[[], contextlib.AbstractContextManager[Any]]


def no_headroom() -> contextlib.AbstractContextManager[Any]:
    """Nothing stays leased for octets that a connection may have received but not yet counted."""
    return mock.patch.object(admission.Admission, "hold", return_value=None)


def no_forfeit() -> contextlib.AbstractContextManager[Any]:
    """A charge made before a cycle boundary also covers octets after it."""
    return mock.patch.object(meter.Meter, "forfeit", return_value=None)


@contextlib.contextmanager
def lease_afterwards() -> Iterator[None]:
    """Usage is stored after it happened, from time to time, as most data loggers do."""

    def spend(self: Any, rated: int, carried: int) -> bool:
        self.rated.add(rated)
        self.carried.add(carried)
        return True

    with mock.patch.object(ledger.Ledger, "spend", spend):
        yield


def counter_forgotten() -> contextlib.AbstractContextManager[Any]:
    """The counter of the last order is not stored."""
    store = standing.Standing.store

    def forgetful(self: Any) -> None:
        counter, self.counter = self.counter, 0
        store(self)
        self.counter = counter

    return mock.patch.object(standing.Standing, "store", forgetful)


def lifted_by_the_calendar() -> contextlib.AbstractContextManager[Any]:
    """A new billing cycle lifts a stop by hand."""
    transition = policy.transition

    def lifting(reasons: int, event: int) -> int:
        after = transition(reasons, event)
        return after & ~0x10 if event == policy.NEW_CYCLE else after

    return mock.patch.object(policy, "transition", lifting)


def model_alone() -> contextlib.AbstractContextManager[Any]:
    """Octets on the modem's counter that the traffic model did not predict are ignored."""
    reading = meter.Meter.reading

    def deaf(self: Any, delta: int, *how: Any) -> None:
        reading(self, min(delta, self.excess()), *how)

    return mock.patch.object(meter.Meter, "reading", deaf)


def orders_ignored() -> contextlib.AbstractContextManager[Any]:
    """Orders arrive and are not carried out."""
    return mock.patch.object(order_handler.OrderHandler, "order", return_value=None)


def doubt_is_certain() -> contextlib.AbstractContextManager[Any]:
    """What the modem's counter shows beyond the device's traffic counts against every limit at once."""

    def certain(self: Any, octets: int) -> None:
        self.meter.slack += octets
        while octets:
            self._spend(min(octets, 1 << 28), min(octets, 1 << 28))
            octets -= min(octets, 1 << 28)

    return mock.patch.object(admission.Admission, "_doubt", certain)


def doubt_unstated() -> contextlib.AbstractContextManager[Any]:
    """It is charged without being part of the error bound."""
    charge = doubts.Doubts.charge

    def unstated(self: Any, octets: int, meter: Any, spend: Any) -> None:
        charge(self, octets, meter, spend)
        meter.slack -= octets

    return mock.patch.object(doubts.Doubts, "charge", unstated)


def surplus_of_an_outgrown_counter() -> contextlib.AbstractContextManager[Any]:
    """After a reset that the readings hide, what they do not show pays for later traffic."""
    return mock.patch.object(meter.Meter, "trim", return_value=None)


def session_never_ends() -> contextlib.AbstractContextManager[Any]:
    """A new data session goes on using the block of the one before."""
    return mock.patch.object(meter.Meter, "begin_session", return_value=None)


def found_on_is_proof() -> contextlib.AbstractContextManager[Any]:
    """A modem that answers at once is taken to have counted through the reset."""
    bring_up = cellular.Cellular._bring_up

    def believing(self: Any) -> Iterator[Any]:
        was = self.found_on
        yield from bring_up(self)
        self.found_on = was

    return mock.patch.object(cellular.Cellular, "_bring_up", believing)


def _nothing(self: Any) -> Iterator[Any]:
    return
    yield


def late_answers_lost() -> contextlib.AbstractContextManager[Any]:
    """What an answer had that was late or lost is not asked for again."""
    return mock.patch.object(quectel_connection.QuectelConnection, "count_unread", _nothing)


def unread_uncounted() -> contextlib.AbstractContextManager[Any]:
    """What a link of a SIMCom modem still holds when it is closed is not counted."""
    return mock.patch.object(cip_connection.CipConnection, "count_unread", _nothing)


def every_clock_is_right() -> contextlib.AbstractContextManager[Any]:
    """No time of the collector's is doubted."""
    return mock.patch.object(clock.Clock, "_contradicts", return_value=False)


def waits_do_not_guard() -> contextlib.AbstractContextManager[Any]:
    """`time.sleep` is the system's own."""

    def sleep_ms(self: Any, ms: int) -> None:
        self._real.sleep_ms(ms)

    return mock.patch.object(waits.Waits, "sleep_ms", sleep_ms)


def reserve_not_spread() -> contextlib.AbstractContextManager[Any]:
    """A device that is stopped reports as often as others."""
    return mock.patch.object(reserve_pace.ReservePace, "step", return_value=None)


def no_way_in() -> contextlib.AbstractContextManager[Any]:
    """Nothing passes while the reserve is used up or the counts are lost."""
    return mock.patch.object(way_in.WayIn, "step", return_value=1 << 28)


def no_way_in_after_a_loss() -> contextlib.AbstractContextManager[Any]:
    """Nothing passes while the counts are lost."""
    deaf = policy.Policy.deaf

    def hearing(self: Any) -> bool:
        return deaf(self) and "LEDGER_FAULT" not in self.names()

    return mock.patch.object(policy.Policy, "deaf", hearing)


def short_message_sent_once() -> contextlib.AbstractContextManager[Any]:
    """A short message that the network refuses is not sent again."""
    ended = sms.ShortMessages._ended

    def done(self: Any, now: int) -> None:
        self._path.sms.state = messenger.SENT
        ended(self, now)

    return mock.patch.object(sms.ShortMessages, "_ended", done)


def refused_order_repeated() -> contextlib.AbstractContextManager[Any]:
    """The collector repeats an order that the device has refused, and holds the others back."""
    return mock.patch.object(order_book.OrderBook, "refusal", return_value="")


def stop_waits_its_turn() -> contextlib.AbstractContextManager[Any]:
    """A stop goes behind the orders that wait."""
    order = intake.Collector._order
    copy = store.Kept(store.Outcome.DUPLICATE)
    return mock.patch.object(intake.Collector, "_order", lambda self, received, kept: order(self, received, copy))


def path_never_renewed() -> contextlib.AbstractContextManager[Any]:
    """The connection to the collector is kept, whether answers come or not."""
    return mock.patch.object(path.ReportPath, "renew", return_value=None)


def top_up_ignored() -> contextlib.AbstractContextManager[Any]:
    """An order that changes the allowance has no effect."""
    return mock.patch.object(account.Account, "allow", return_value=0)


def top_up_kept() -> contextlib.AbstractContextManager[Any]:
    """What was bought for one period is granted again in the next."""
    close = account.Account.close_cycle

    def keeping(self: Any, *period: Any) -> None:
        self.standing.next_allowance = self.standing.allowance
        close(self, *period)

    return mock.patch.object(account.Account, "close_cycle", keeping)


def new_sim_ignored() -> contextlib.AbstractContextManager[Any]:
    """An order that accepts the SIM has no effect."""
    carry_out = applied.Ordered.carry_out

    def without(self: Any, counter: int, orders: dict[int, Any], *rest: Any) -> int:
        return carry_out(self, counter, {k: v for k, v in orders.items() if k != standing.NEW_SIM}, *rest)

    return mock.patch.object(applied.Ordered, "carry_out", without)


def another_sim_unnoticed() -> contextlib.AbstractContextManager[Any]:
    """Nobody looks which SIM is in the modem."""
    return mock.patch.object(enforcement.Enforcement, "_look_at_sim", return_value=None)


def another_plan_begins_anew() -> contextlib.AbstractContextManager[Any]:
    """A period of another plan inherits nothing."""
    return mock.patch.object(replan, "follow", return_value=None)


def ntp_alone() -> contextlib.AbstractContextManager[Any]:
    """An NTP server's time is believed without the network's."""

    def ntp(self: Any, day: int, second: int, now: int) -> None:
        self._carry(now)
        self._corroborated(clock.plus((day, second), -self._uptime), True)

    return mock.patch.object(corroborated.CorroboratedClock, "ntp", ntp)


def class_forgotten() -> contextlib.AbstractContextManager[Any]:
    """A boot begins the quota of a class anew."""
    init = quotas.Quota.__init__
    return mock.patch.object(quotas.Quota, "__init__", lambda self, octets, state: init(self, octets, bytearray(4)))


def _counters(**methods: Any) -> contextlib.AbstractContextManager[Any]:
    """An admission for counters beside the allowance that has these methods."""
    make = by_counter.with_counters
    return mock.patch.object(by_counter, "with_counters", lambda base: type("Broken", (make(base),), methods))


def paid_at_home() -> contextlib.AbstractContextManager[Any]:
    """What was charged at home, and has not crossed, pays for what crosses in another network."""
    return _counters(_waiting=lambda self: self.meter.worst(self.meter.window))


def border_unheard() -> contextlib.AbstractContextManager[Any]:
    """The modem is not asked where the SIM is: what it tells unasked is enough."""

    def tracker(base: Any, plan: Any) -> Any:
        return type("Broken", (make(base, plan),), {"_ask": lambda self: None})

    make = counters.with_counters
    return mock.patch.object(counters, "with_counters", tracker)


def hours_unbounded() -> contextlib.AbstractContextManager[Any]:
    """The hours' own octets have no end."""
    init = account_counters.OwnCounter.__init__

    def endless(self: Any, quota: Any, share: int, stops: bool = False) -> None:
        init(self, quota if stops else None, share, stops)

    return mock.patch.object(account_counters.OwnCounter, "__init__", endless)


def hours_too_long() -> contextlib.AbstractContextManager[Any]:
    """The hours last for an hour more than the plan says."""
    init = account_counters.HourTerms.__init__

    def longer(self: Any, start_s: int, length_s: int, octets: int, share: int) -> None:
        init(self, start_s, length_s + 3_600, octets, share)

    return mock.patch.object(account_counters.HourTerms, "__init__", longer)


@contextlib.contextmanager
def endless_renewed() -> Iterator[None]:
    """An allowance without an end is new each day."""
    cycle = endless.EndlessCycle
    with (
        mock.patch.object(cycle, "start_on", lambda self, day: day),
        mock.patch.object(cycle, "start_after", lambda self, day: day + 1),
    ):
        yield


MUTATIONS: dict[str, Context] = {
    "endless-renewed": endless_renewed,
    "class-forgotten": class_forgotten,
    "hours-too-long": hours_too_long,
    "hours-unbounded": hours_unbounded,
    "paid-at-home": paid_at_home,
    "border-unheard": border_unheard,
    "no-headroom": no_headroom,
    "no-forfeit": no_forfeit,
    "lease-afterwards": lease_afterwards,
    "counter-forgotten": counter_forgotten,
    "lifted-by-the-calendar": lifted_by_the_calendar,
    "model-alone": model_alone,
    "orders-ignored": orders_ignored,
    "doubt-is-certain": doubt_is_certain,
    "doubt-unstated": doubt_unstated,
    "surplus-of-an-outgrown-counter": surplus_of_an_outgrown_counter,
    "session-never-ends": session_never_ends,
    "found-on-is-proof": found_on_is_proof,
    "late-answers-lost": late_answers_lost,
    "unread-uncounted": unread_uncounted,
    "every-clock-is-right": every_clock_is_right,
    "waits-do-not-guard": waits_do_not_guard,
    "reserve-not-spread": reserve_not_spread,
    "no-way-in": no_way_in,
    "no-way-in-after-a-loss": no_way_in_after_a_loss,
    "short-message-sent-once": short_message_sent_once,
    "refused-order-repeated": refused_order_repeated,
    "stop-waits-its-turn": stop_waits_its_turn,
    "path-never-renewed": path_never_renewed,
    "top-up-ignored": top_up_ignored,
    "top-up-kept": top_up_kept,
    "new-sim-ignored": new_sim_ignored,
    "another-sim-unnoticed": another_sim_unnoticed,
    "another-plan-begins-anew": another_plan_begins_anew,
    "ntp-alone": ntp_alone,
}
ONLY = {
    "endless-renewed": "endless",
    "class-forgotten": "class-quota",
    "hours-too-long": "hours",
    "hours-unbounded": "hours",
    "paid-at-home": "roaming",
    "border-unheard": "roaming",
    "doubt-is-certain": "doubt",
    "doubt-unstated": "doubt",
    "surplus-of-an-outgrown-counter": "outgrown",
    "session-never-ends": "rounding",
    "found-on-is-proof": "mains",
    "late-answers-lost": "no-counter",
    "unread-uncounted": "no-counter",
    "every-clock-is-right": "collector-clock",
    "waits-do-not-guard": "native",
    "reserve-not-spread": "last-word",
    "no-way-in": "deaf",
    "no-way-in-after-a-loss": "lost-ledger",
    "short-message-sent-once": "refused-sms",
    "stop-waits-its-turn": "lossy-orders",
    "path-never-renewed": "dead-path",
    "top-up-ignored": "top-up",
    "top-up-kept": "top-up",
    "new-sim-ignored": "sims",
    "another-sim-unnoticed": "sims",
    "another-plan-begins-anew": "redeploy",
    "ntp-alone": "ntp",
}
"""The kind from the field (field.FIELD) in which a mutation shows."""
USUAL = "quectel-ec200u"
"""The modem in whose lives a mutation shows; of another one's driver:"""
MODEM = {"unread-uncounted": "a7670e"}
NAMED = {
    "refused-order-repeated":
        "tests/run/targets/test_ways_in.py::test_an_order_that_the_device_refuses_holds_nothing_up[62m-cpython]",
}  # fmt: skip
"""The test that fails with a mutation which no life shows: it takes a collector that is newer than the device."""
