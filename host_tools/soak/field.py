"""What random scenarios have from the field: modems, power, clocks, paths and applications that are not kind.

Each kind draws from a stream of its own, so that it changes nothing else in the scenario of a seed.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from host_tools.sim.modem import models

Table = dict[str, Any]

KB = 1024
WINDOW = 10 * KB
"""The receive buffer of a modem for which the plans are large enough: two power cuts charge a larger one."""
HOUR = 3_600
SHARE = 0.06
"""How often each kind comes up."""
REQUEST = {"class": "telemetry", "kind": "request", "host": "api", "tx": 100}


class Draw:
    """Changes `scenario`, whose faults are over after `active_s`, and whose period of the plan begins on `day`."""

    def __init__(self, rng: random.Random, scenario: Table, active_s: int, day: date) -> None:
        self.rng = rng
        self.scenario = scenario
        self.day = day
        self._active_s = active_s

    def at(self, least: int = 600, room: int = 0) -> str:
        """A moment from `least` on, `room` seconds or more before the faults are over."""
        return f"{self.rng.randrange(least, max(least + 1, self._active_s - room))}s"

    def fault(self, kind: str, at: str = "", **given: Any) -> None:
        faults = [*self.scenario.get("fault", []), {"at": at or self.at(), "kind": kind, **given}]
        self.scenario["fault"] = sorted(faults, key=lambda fault: int(fault["at"][:-1]))

    def order(self, at: str = "", **given: Any) -> None:
        self.scenario.setdefault("order", []).append({"at": at or self.at(), **given})

    def app(self, **given: str) -> None:
        self.scenario.setdefault("app", {}).update(given)

    def later(self, seconds: int) -> None:
        """Lets the scenario go on for longer after its faults."""
        self.scenario["duration"] = f"{int(self.scenario['duration'][:-1]) + seconds}s"

    def calm(self) -> None:
        """Nothing goes wrong, and nobody does anything."""
        self.scenario.update(fault=[], platform=[], order=[], owner={}, network={})
        self.round_sessions(0)

    def round_sessions(self, octets: int) -> None:
        """Sessions are rounded up to so many octets; no plan with counters of its own has that."""
        plan = self.scenario["plan"]
        if "hours" in plan or "roaming" in plan:
            octets = 0
        for rating in (plan["rating"], self.scenario["carrier"]):
            rating["session_round_octets"] = octets

    def traffic(self, period_s: int, rx: int, **given: str) -> None:
        self.scenario["traffic"] = [{**REQUEST, "period": f"{period_s}s", "rx": rx, **given}]

    def carrier_allows(self, octets: int) -> None:
        """The carrier's allowance is so much at least, whatever the device knows."""
        carrier = self.scenario["carrier"]
        carrier["allowance_octets"] = max(
            octets, self.scenario["plan"]["allowance_octets"], carrier.get("allowance_octets", 0)
        )

    @property
    def beyond_window(self) -> int:
        """By how much the modem's receive buffer is larger than WINDOW."""
        return max(0, models.load(self.scenario["modem"]).sockets.receive_octets - WINDOW)

    @property
    def end(self) -> str:
        return f"{self._active_s}s"


def _no_counter(draw: Draw) -> None:
    """The modem does not count, and answers that had payload come late or never."""
    draw.scenario["counter"] = False
    for _ in range(draw.rng.randrange(1, 5)):
        draw.fault("slow", command="read", ms=7_000)
        draw.fault("response_lost", command="read", count=1)


def _mains(draw: Draw) -> None:
    """Board and modem hang on the same mains, which fail; the board boots slowly, so that the modem answers at once."""
    ready = models.load(draw.scenario["modem"]).boot.uart_ready_ms
    boot_ms = draw.rng.choice((0, ready + 300, ready + 800, ready + 3_800))
    draw.scenario["supply"] = {"modem": "mains", "boot_ms": boot_ms}
    draw.traffic(41, 6_000)  # more than a check allows for crosses after the counter was saved
    draw.scenario["plan"]["allowance_octets"] += 3_000 * KB
    for _ in range(draw.rng.randrange(1, 4)):
        draw.fault("power_cut", off=f"{draw.rng.choice((1, 20, 600))}s")


def _doubt(draw: Draw) -> None:
    """The modem's counter shows what nobody carried."""
    draw.scenario["plan"]["on_doubt"] = draw.rng.choice(("continue", "continue", "restrict"))
    for _ in range(draw.rng.randrange(1, 3)):
        draw.fault("counter_jump", rx=draw.rng.choice((200 * KB, 50_000_000, 3 << 30)))
    if draw.rng.random() < 0.5:
        draw.order(accept=True)


def _outgrown(draw: Draw) -> None:
    """The modem's counter is reset while it is low, so that it outgrows its last reading."""
    first = draw.rng.randrange(10, 60)
    draw.traffic(300, 12_000)
    for at in (first, first + draw.rng.randrange(2, 20)):
        draw.fault("counter_reset", at=f"{at}s")


def _rounding(draw: Draw) -> None:
    """The carrier rounds each session up, and ends sessions."""
    draw.round_sessions(draw.rng.choice((KB, 10 * KB)))
    for _ in range(draw.rng.randrange(2, 6)):
        draw.scenario.setdefault("platform", []).append({"at": draw.at(), "action": "deactivate"})


def _collector_clock(draw: Draw) -> None:
    """The collector's clock is wrong for some hours."""
    days = draw.rng.choice((-40, -2, 2, 40, 3_650))  # a day more is within what the network's time allows
    draw.fault("collector_clock", days=days, lasts=f"{draw.rng.randrange(HOUR, 2 * HOUR)}s")


def _dead_path(draw: Draw) -> None:
    """The path to the collector is dead until the device renews it."""
    draw.later(2 * draw.scenario["upstream"]["interval_s"])
    if draw.rng.random() < 0.5:
        draw.fault("host_moved", name="collector")
    else:
        draw.fault("dead_session")


def _deep_stop(draw: Draw) -> None:
    """The owner stops the device early and for long."""
    draw.order(at="600s", stop=True)
    draw.order(at=draw.end, stop=False)


def _greedy(draw: Draw) -> None:
    """The application tries again at once."""
    draw.app(manners="greedy")


def _crashing(draw: Draw) -> None:
    """The application ends with what a socket raises."""
    draw.app(manners="crashing")


def _native(draw: Draw) -> None:
    """The application pauses with `time.sleep`, whatever its manners."""
    draw.app(manners=draw.rng.choice(("polite", "greedy", "crashing")), pauses="time")


def _sims(draw: Draw) -> None:
    """Another SIM is put in, and perhaps the first one, or a third, after it."""
    draw.scenario["any_sim"] = draw.rng.random() < 0.4
    draw.scenario.get("owner", {}).pop("push", None)  # the platform's figures are those of the first one
    at = 600
    for number in draw.rng.choice(((2,), (2,), (2, 1), (2, 3))):
        at = draw.rng.randrange(at, max(at + 1, int(draw.end[:-1]) * (2 if at == 600 else 3) // 4))
        draw.fault("sim_exchange", f"{at}s", sim=number, off=f"{draw.rng.choice((20, 60, 900))}s")
        if not draw.scenario["any_sim"] and draw.rng.random() < 0.7:
            at += draw.rng.randrange(HOUR // 4, HOUR)
            draw.order(f"{at}s", new_sim_octets=draw.rng.choice((0, 0, 8 * KB)))


def _sleeper(draw: Draw) -> None:
    """The application sleeps deeply between requests, perhaps with a modem that loses its supply then; and something
    else sends the board to sleep, or cuts its power."""
    draw.app(manners="polite", pauses="deep-sleep")
    draw.scenario["supply"] = {"asleep": draw.rng.random() < 0.6}
    draw.traffic(draw.rng.choice((300, 600, 900)), draw.rng.choice((400, 4_000)))
    for _ in range(draw.rng.randrange(0, 4)):
        draw.fault("deep_sleep", lasts=f"{draw.rng.choice((1, 30, 600))}s")
    for _ in range(draw.rng.randrange(0, 3)):
        draw.fault("power_cut", off=f"{draw.rng.choice((1, 20, 600))}s")
    for _ in range(draw.rng.randrange(0, 2)):
        draw.fault("counter_reset")


def _top_up(draw: Draw) -> None:
    """The owner buys more, for this period or from the next one on, and the carrier grants it all the time."""
    own = draw.scenario["plan"]["allowance_octets"]
    choices = (0, own - 16 * KB, own + 40 * KB, own + 200 * KB)
    bought = draw.rng.choices(choices, k=draw.rng.randrange(1, 4))
    for octets in bought:
        when: Table = draw.rng.choice(({}, {}, {"following": True}))
        draw.order(allowance_octets=octets, **when)
    draw.carrier_allows(max(bought))
    draw.traffic(draw.rng.choice((150, 300)), 6_000)


def _last_word(draw: Draw) -> None:
    """Data stops early in a period, with a reserve for a few reports, and nothing else happens."""
    draw.calm()
    midnight = datetime.combine(draw.day, time.min, draw.scenario["start"].tzinfo) - draw.scenario["start"]
    draw.traffic(60, 400, until=f"{int(midnight.total_seconds()) + 2 * HOUR}s")
    draw.scenario["plan"].update(reserve_octets=4 * KB, cycle_days=1, pace=False)
    draw.scenario["upstream"] = {"host": "collector", "interval_s": 1_800}
    draw.later(20 * HOUR)


def _deaf(draw: Draw) -> None:
    """Replies on their way when data stops take the reserve; then the owner orders something."""
    draw.scenario["plan"]["reserve_octets"] = draw.rng.choice((KB, 2 * KB))
    draw.round_sessions(draw.rng.choice((0, 0, KB, 10 * KB)))
    draw.traffic(400, 12_000)
    own = draw.scenario["plan"]["allowance_octets"]
    draw.carrier_allows(own + 300 * KB)
    for _ in range(draw.rng.randrange(1, 3)):
        what: Table = draw.rng.choice(({"allowance_octets": own + 300 * KB}, {"stop": True}, {"release": True}))
        draw.order(**what)
    draw.later(6 * HOUR)


def _lost_ledger(draw: Draw) -> None:
    """The flash holds nothing that makes sense, and the owner confirms the counts as they are then."""
    at = draw.rng.randrange(600, int(draw.end[:-1]) * 3 // 4)
    draw.fault("ledger_lost", f"{at}s")
    draw.order(f"{draw.rng.randrange(at, int(draw.end[:-1]))}s", accept=True)
    draw.later(6 * HOUR)


def _refused_sms(draw: Draw) -> None:
    """The carrier stops the SIM, and the network refuses the short message that says so."""
    draw.scenario["upstream"]["sms_number"] = "+8613800138000"
    at = int(draw.at(room=60)[:-1])
    draw.fault("answer", f"{at - 60}s", command="+CMGS=*", final="+CMS ERROR: 42", count=draw.rng.randrange(1, 4))
    draw.scenario["platform"] = [
        {"at": f"{at}s", "action": "stop"},
        {"at": f"{int(draw.end[:-1]) + 4 * HOUR}s", "action": "resume"},
    ]
    draw.later(4 * HOUR)


def _lossy_orders(draw: Draw) -> None:
    """Acknowledgements are lost with the orders in them, and behind those the owner orders a stop."""
    draw.scenario["network"] = {"loss_permille": 450}
    draw.scenario.update(traffic=[], order=[])
    for _ in range(draw.rng.randrange(3, 8)):
        what: Table = draw.rng.choice(({"release": True}, {"throttle_octets_s": 0}, {"limit_octets": 0}))
        draw.order(**what)
        draw.order(stop=draw.rng.random() < 0.7)
    draw.later(4 * HOUR)


def _redeploy(draw: Draw) -> None:
    """The plan on the device is another one for some time: its allowance, or its billing day, which is not that of the
    carrier. By this plan no period begins within the scenario."""
    scenario = draw.scenario
    right = scenario["plan"]
    wrong = copy.deepcopy(right)
    wrong["allowance_octets"] += draw.rng.choice((-16 * KB, 0, 0, 100 * KB))
    if draw.rng.random() < 0.8:
        wrong.pop("cycle_start_day", None)
        days = draw.rng.choice((1, 2))  # before and after
        wrong.update(cycle_days=2 * days + 1, activated=(draw.day - timedelta(days=days)).isoformat())
        upstream = scenario["upstream"]
        upstream["interval_s"] = max(2 * HOUR, upstream["interval_s"])  # a period's reports have to fit
        for key in ("cycle_days", "activated", "cycle_start_day"):
            if key in right:
                scenario["carrier"][key] = right[key]
    draw.carrier_allows(wrong["allowance_octets"])
    deploys = [{"at": draw.at(), "plan": right}]
    if draw.rng.random() < 0.5:
        scenario["plan"] = wrong
    else:
        first = draw.rng.randrange(600, int(draw.end[:-1]))
        deploys = [{"at": f"{first}s", "plan": wrong}]
        if draw.rng.random() < 0.7:
            deploys.append({"at": draw.at(first + 60), "plan": right})
    scenario["deploy"] = deploys


def _ntp(draw: Draw) -> None:
    """There is an NTP server, right or wrong, and perhaps no collector. It is never wrong as another clock is."""
    scenario = draw.scenario
    scenario["upstream"]["ntp_host"] = "ntp"
    scenario["host"].append({"name": "ntp", "kind": "ntp"})
    if draw.rng.random() < 0.6:
        for name in ("host", "sms_number"):
            scenario["upstream"].pop(name, None)
        scenario["order"] = []
        scenario.get("owner", {}).pop("push", None)
    what = draw.rng.choice(("right", "wrong", "wrong", "refusing"))
    if what == "wrong":
        lasts = f"{draw.rng.randrange(HOUR, 12 * HOUR)}s"
        at = draw.rng.choice(("0s", draw.at(0)))
        draw.fault("ntp_clock", at, days=draw.rng.choice((-41, -3, 3, 41)), lasts=lasts)
    elif what == "refusing":
        draw.fault("ntp_refusal", draw.rng.choice(("0s", draw.at(0))), lasts=f"{HOUR}s")
    elif draw.rng.random() < 0.7:
        scenario["fault"] = []


def _daily(draw: Draw) -> None:
    """The carrier counts by the day as well: a cap, octets at full speed, or both."""
    rng, plan = draw.rng, draw.scenario["plan"]
    kept = plan["margin_octets"] + plan["reserve_octets"]
    window = 2 * draw.beyond_window
    daily = {"margin_octets": plan["margin_octets"] + window, "reserve_octets": plan["reserve_octets"]}
    if rng.random() < 0.8:
        daily["cap_octets"] = kept + window + rng.randrange(12, 80) * KB  # more than a block of rounding
    if "cap_octets" not in daily or rng.random() < 0.3:
        daily["slow_octets"] = rng.randrange(4, 60) * KB
        plan.setdefault("throttle", {"rate_octets_s": rng.choice((500, 2 * KB))})
    plan["daily"] = daily
    draw.traffic(rng.choice((150, 300, 600)), rng.choice((1_400, 6_000)))


def _slow_end(draw: Draw) -> None:
    """The end of the plan is slow."""
    plan = draw.scenario["plan"]
    plan["throttle"] = {"rate_octets_s": draw.rng.choice((500, 2 * KB))}
    plan["throttle"]["from_octets"] = draw.rng.randrange(8 * KB, plan["allowance_octets"])
    draw.traffic(draw.rng.choice((150, 300, 600)), draw.rng.choice((1_400, 6_000)))


def _endless(draw: Draw) -> None:
    """One period for the life of the SIM, and a limit of the owner's that no midnight renews."""
    rng, plan = draw.rng, draw.scenario["plan"]
    for key in ("cycle_days", "cycle_start_day", "pace"):
        plan.pop(key, None)
    plan.update(endless=True, activated=(draw.day - timedelta(days=rng.choice((1, 40, 400)))).isoformat())
    plan["allowance_octets"] += 80_000 * KB  # ten years of reports have to fit
    draw.order(at=draw.at(0), limit_octets=rng.randrange(20, 90) * KB)
    draw.traffic(rng.choice((150, 300)), rng.choice((1_400, 6_000)))


def _hours(draw: Draw) -> None:
    """Hours of the day with octets of their own, or without an end, of which the plan counts a share or nothing."""
    rng, plan = draw.rng, draw.scenario["plan"]
    plan.pop("daily", None)
    begin = draw.scenario["start"] + timedelta(seconds=rng.randrange(-2 * HOUR, 5 * HOUR, 60))
    end = begin + timedelta(seconds=rng.randrange(HOUR // 2, 4 * HOUR, 60))
    plan["hours"] = {"from": f"{begin:%H:%M}", "to": f"{end:%H:%M}", "charged_permille": rng.choice((0, 0, 300))}
    if rng.random() < 0.7:
        plan["hours"]["allowance_octets"] = rng.randrange(8, 200) * KB
    draw.round_sessions(0)
    draw.traffic(rng.choice((60, 150, 300)), rng.choice((1_400, 6_000)))


def _roaming(draw: Draw) -> None:
    """The SIM's own network is off the air for some time, and another one serves it, for which the plan has octets of
    its own, or none. Of what the modem tells about that, something may be lost."""
    rng, plan = draw.rng, draw.scenario["plan"]
    plan.pop("daily", None)
    octets = rng.choice((0, 1, 1, 1)) * rng.randrange(4, 180) * KB
    margin = plan["margin_octets"] + 2 * draw.beyond_window
    plan["roaming"] = {"allowance_octets": octets and octets + margin, "margin_octets": octets and margin}
    draw.scenario["operator"] = "46001"
    for _ in range(rng.randrange(1, 4)):
        away_s = rng.randrange(600, HOUR)
        at = int(draw.at(room=away_s)[:-1])
        if rng.random() < 0.5:
            lost = rng.choice((at, at, at + away_s)) - rng.randrange(0, 5)
            draw.fault("urc_lost", f"{lost}s", prefix="+CEREG", count=rng.randrange(1, 5))
        handover = rng.random() < 0.5
        draw.fault("operator_gone", f"{at}s", roaming=["46001"], ms=away_s * 1_000, handover=handover)
    draw.round_sessions(0)
    draw.traffic(rng.choice((60, 150, 300)), rng.choice((1_400, 6_000)))


def _class_quota(draw: Draw) -> None:
    """The class that has all traffic has a quota of its own, far below the plan's; resets and power cuts in between."""
    rng = draw.rng
    draw.scenario["classes"] = [
        {"name": "telemetry", "quota_octets": rng.randrange(12, 60) * KB},
        {"name": "ota"},
        {"name": "report", "reserve": True},
    ]
    draw.scenario["plan"]["allowance_octets"] += 600 * KB
    draw.traffic(rng.choice((150, 300)), rng.choice((1_400, 6_000)))
    for _ in range(rng.randrange(2, 6)):
        kind, given = rng.choice(
            (("power_cut", {"off": "20s"}), ("reset", {"cause": "hard"}), ("reset", {"cause": "watchdog"}))
        )
        draw.fault(kind, **given)


def _hung_inside(draw: Draw) -> None:
    """The modem answers, and has no SIM, registration or session until its radio or all of it is switched off."""
    draw.scenario["platform"] = []
    for _ in range(draw.rng.randrange(1, 3)):
        kind, given = draw.rng.choice(
            (
                ("sim_out", {"ms": 20_000, "noticed": False}),
                ("stuck_session", {}),
                ("stuck_registration", {"restart": True}),
            )
        )
        at = int(draw.at(room=HOUR)[:-1])
        draw.fault(kind, f"{at}s", **given)
        if kind == "stuck_registration":
            draw.fault("no_coverage", f"{at + 1}s", ms=1_000)
    draw.later(HOUR)


def _lossy_line(draw: Draw) -> None:
    """The board is late to read its UART, so that octets are lost; not with a modem that hands payload over unasked and
    keeps no total of it, where nobody knows then."""
    if draw.scenario["modem"] == "air780e":
        return
    draw.traffic(draw.rng.choice((60, 150)), draw.rng.choice((1_400, 6_000)))
    draw.scenario["counter"] = draw.rng.random() < 0.5
    draw.scenario["plan"]["allowance_octets"] += 3_000 * KB  # each may cost a window
    for _ in range(draw.rng.randrange(3, 12)):
        draw.fault("octets_lost", after_octets=draw.rng.randrange(1, 8_000), octets=draw.rng.choice((1, 2, 8, 130)))


def _no_lte(draw: Draw) -> None:
    """Only GSM is on the air for a while."""
    for _ in range(draw.rng.randrange(1, 3)):
        away_s = draw.rng.randrange(300, HOUR)
        at = int(draw.at(room=away_s)[:-1])
        draw.fault("no_lte", f"{at}s")
        draw.fault("no_lte", f"{at + away_s}s", on=False)


FIELD: dict[str, Callable[[Draw], None]] = {
    "class-quota": _class_quota,
    "daily": _daily,
    "endless": _endless,
    "slow-end": _slow_end,
    "hours": _hours,
    "roaming": _roaming,
    "no-counter": _no_counter,
    "mains": _mains,
    "doubt": _doubt,
    "outgrown": _outgrown,
    "rounding": _rounding,
    "collector-clock": _collector_clock,
    "dead-path": _dead_path,
    "deep-stop": _deep_stop,
    "greedy": _greedy,
    "crashing": _crashing,
    "native": _native,
    "sims": _sims,
    "refused-sms": _refused_sms,
    "lossy-orders": _lossy_orders,
    "last-word": _last_word,
    "deaf": _deaf,
    "lost-ledger": _lost_ledger,
    "top-up": _top_up,
    "redeploy": _redeploy,
    "ntp": _ntp,
    "sleeper": _sleeper,
    "hung-inside": _hung_inside,
    "lossy-line": _lossy_line,
    "no-lte": _no_lte,
}
"""By the name that `usageguard soak --only` takes. Later ones change what earlier ones have drawn."""
_PERIODS = ("cutoff", "throttle", "none", "days", "month")
PLANS: dict[str, tuple[str, ...]] = {
    "slow-end": ("cutoff", "none", "days", "month", "overage"),
    "daily": (*_PERIODS, "overage", "account", "package", "whole", "test", "silent"),  # a pool has no such counter
    "hours": (*_PERIODS, "overage", "account", "package", "whole"),
    "roaming": (*_PERIODS, "overage", "account", "package", "whole"),
    "endless": ("throttle",),  # with which nothing else draws periods
    "sims": _PERIODS,
    "last-word": ("cutoff", "days"),
    "deaf": ("cutoff", "days", "month"),
    "lost-ledger": (*_PERIODS, "overage"),
    "top-up": ("cutoff", "throttle", "days", "month", "overage"),
    "redeploy": ("cutoff", "none", "days", "month"),
    "ntp": (*_PERIODS, "overage"),
}
"""The kinds of plans (plans.KINDS) to which a kind is confined: the others need the owner, or more than one figure."""


def draw(seed: int, kind: str, scenario: Table, active_s: int, day: date, only: str = "") -> None:
    """Adds what this seed has from the field to its scenario; `only` that kind, if given, and then always."""
    for name, change in FIELD.items():
        rng = random.Random(f"field/{name}/{seed}")
        if name == only or (not only and rng.random() < SHARE and kind in PLANS.get(name, (kind,))):
            change(Draw(rng, scenario, active_s, day))
