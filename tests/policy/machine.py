"""The guard and the carrier through the same random life; what must hold between them after every step.

Delays that are stated here, and no others, may pass between what the carrier's policy denies and the device's stop:

    exhausted, day_capped, test_exhausted, manual, expired, cancelled
                     none: the device's own count, its days and periods, or no bearer
    arrears          300 s from a period's beginning, when its fee is taken; else, for the cost of a closed period that
                     the platform learns late, its lag and the next news
    pool_exhausted   the platform's lag, and the next news
    capped           the same, and half a grant's validity: a cap that is little below the grant comes with the next
"""

import sys
from datetime import date, datetime, timedelta

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from usageguard.core import policy as p
from usageguard.core.account.daily import DAY, DAY_RESERVE, DAY_SLOW
from usageguard.core.octets import MAX

from host_tools.base.days import day_number
from host_tools.sim.carrier.cycles import add_months
from host_tools.sim.carrier.plan import Tier, cost
from host_tools.sim.clock import S
from tests.policy.device import OTA, REPORT, TELEMETRY
from tests.policy.plans import DAY_MARGIN, DAY_S, MARGIN, RESERVE, sold
from tests.policy.plans import DAY_RESERVE as RESERVED
from tests.policy.world import APPLICATIONS, IMSI, PACKET, REPORT_OCTETS, REPORT_S, VALID_S, World

CODES = {row[p.CODE]: row[p.BIT] for row in p.REASONS}
# The reasons by what they do, of the contract and not of the firmware's table.
TERMINATE = {"LEDGER_FAULT", "SILENT_PERIOD", "ROAMING_EXHAUSTED", "CARRIER_STOP", "RESERVE_EXHAUSTED"}
SLOW = {"THROTTLED", "THROTTLED_BY_HAND"}
HOLD = {"HELD_BY_HAND", "BURST", "PACED", "CLASS_EXHAUSTED"}
RESTRICT = set(CODES) - TERMINATE - SLOW - HOLD
OF_LOCAL = {"QUOTA_EXHAUSTED", "COST_CAP", "TEST_EXHAUSTED"}
OF_OCTETS = OF_LOCAL | {"RESERVE_EXHAUSTED", "DAY_EXHAUSTED", "THROTTLED", "ARREARS", "POOL_EXHAUSTED", "PACED"}
# Key of an order -> reasons that it may lift. What limits have raised is judged anew where octets are told.
MAY_LIFT = {
    1: {"STOPPED_BY_HAND"},
    2: OF_LOCAL | {"RESERVE_EXHAUSTED", "THROTTLED"},
    3: {"THROTTLED_BY_HAND"},
    4: {"EXPIRED", "CANCELLED"},
    5: {"ARREARS"},
    6: set(),
    7: {"POOL_EXHAUSTED", "GRANT_EXPIRED"},
    8: OF_OCTETS | {"CLASS_EXHAUSTED"},
    13: OF_OCTETS,
    9: {"LEDGER_FAULT"},
    10: {"BURST", "CLASS_EXHAUSTED"},
    11: {"SILENT_PERIOD"} | OF_OCTETS,  # a period begins, if it has not
    14: {"HELD_BY_HAND"},
}
DELAY_S = 300


class Machine(RuleBasedStateMachine):
    """One family of plans. `steps` counts the rules that were carried out, of all runs."""

    family = "quota"
    steps = 0
    runs = 0

    @initialize(data=st.data())
    def begin(self, data):
        type(self).runs += 1
        self.sold = data.draw(sold(self.family))
        note(f"{self.sold}")
        self.plan = self.sold.plan
        self.world = World(self.sold)
        self.world.on_order = self.lifted_by_order
        self.paid_us = -1  # when money last came
        self.renewed = {}  # by the carrier's period and class, octets before the owner gave its quota again
        self.renewed_us = -1  # when the package was last renewed, and perhaps a fee taken
        self.first_use = None
        self.reported = 0, 0  # virtual us of the last step, reports until then

    # What happens

    @rule(index=st.sampled_from(APPLICATIONS), packets=st.integers(1, 12), last=st.integers(28, PACKET))
    def use(self, index, packets, last):
        self.spend(index, packets, last)

    @rule(index=st.sampled_from(APPLICATIONS), last=st.integers(28, PACKET))
    def use_much(self, index, last):
        self.spend(index, 60, last)

    def spend(self, index, packets, last):
        for octets in [PACKET] * (packets - 1) + [last]:
            before = self.held_back()
            if not self.world.send(index, octets):
                break
            assert not before, f"an application's data went out although {before}"
        self.world.settle()

    @rule(seconds=st.sampled_from([1, 299, 3_600, 21_600, 80_000]))
    def wait(self, seconds):
        self.world.run(seconds)

    @rule(seconds=st.sampled_from([60, 20_000, DAY_S, 9 * DAY_S, 40 * DAY_S]))
    def sleep(self, seconds):
        self.world.sleep(seconds)

    @rule(
        short=st.sampled_from([1, 60, 400, 700]), on=st.sampled_from([0, 1, 299, 301, 900]), packets=st.integers(0, 9)
    )
    def cross_the_boundary(self, short, on, packets):
        """Sleeps until just before the period's end, uses data, and stays awake over it."""
        self.to_the_end(short)
        if packets:
            self.spend(TELEMETRY, packets, PACKET)
        self.world.run(short + on)

    def to_the_end(self, short):
        device = self.world.device
        end_day, end_second = device.config.plan.cycle.bounds(device.ledger.cycle_id)[1]
        day, second = self.world.utc()
        left = (end_day - day) * DAY_S + end_second - second - short
        if 0 < left <= 400 * DAY_S:
            self.world.sleep(left)

    @rule(clean=st.booleans())
    def reboot(self, clean):
        """The same verdict and the same admissions, before anything else is known."""
        world = self.world
        world.settle()
        before = self.standing(world.device)
        # A limit that was called reached with less than a packet left is judged by what is left.
        weak = self.nearly_reached(world.device)
        if clean:
            world.device.close()
        if world.device.bearer is not None:
            world.device.bearer.close()
        world.boot(world.device.ledger.stored)
        if self.plan["pace"]:  # the day's share is known with the first look at the time
            world.device.trust()
            world.device.step()
        after = self.standing(world.device)
        if self.sold.quotas and (not clean or weak & CODES["CLASS_EXHAUSTED"]):
            before["admits"] = after["admits"] = None  # a reset that is not clean charges a class its lease
            weak |= CODES["CLASS_EXHAUSTED"]
        if weak:
            before["level"] = after["level"] = None
            before["reasons"] |= weak
            after["reasons"] |= weak
        differ = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
        assert not differ, f"a reboot made it another one: {differ}"
        world.device.trust()
        world.settle()

    def standing(self, device):
        """What the device makes of its state."""
        policy = device.policy
        return {
            "reasons": policy.reasons,
            "warned": policy.warned & ~(1 << device.config.plan.forecast_bit),  # of days that are to be seen again
            "level": p.OPEN if policy.level == p.WARNED else policy.level,
            "admits": [policy.admits(i, device.admission.used, PACKET) for i in range(3)],
            "throttle": device.account.throttle(),
            "limits": [policy.limit(kind) for kind in (p.LOCAL, p.BALANCE, p.GRANT, p.SLOW, *self.of_the_day())],
            "used": device.admission.used.value(),
            "cost": device.account.cost_fen(device.admission.used),
            "balance": device.account.balance_fen(device.admission.used, device.ledger.cycle_id),
        }

    def of_the_day(self):
        """The limits that a plan has which counts by the day."""
        return (DAY, DAY_RESERVE, DAY_SLOW) if "daily" in self.plan else ()

    def nearly_reached(self, device):
        """Bits of reasons, and of nothing else, that stand with octets left."""
        weak = 0
        used = device.admission.used.value()
        kinds = [(p.LOCAL, OF_LOCAL), (p.BALANCE, {"ARREARS"}), (p.GRANT, {"POOL_EXHAUSTED"}), (p.PACE, {"PACED"})]
        kinds += [(p.RESERVE, {"RESERVE_EXHAUSTED"})]
        if self.of_the_day():
            kinds += [(DAY, {"DAY_EXHAUSTED"}), (DAY_RESERVE, {"RESERVE_EXHAUSTED"})]
        for kind, codes in kinds:
            limit = device.policy.limit(kind)
            if limit is not None and used < limit <= used + PACKET:
                weak |= sum(CODES[code] for code in codes)
        if any(0 < left < PACKET for _, _, left in self.quotas()):
            weak |= CODES["CLASS_EXHAUSTED"]
        if device.policy.shed and any(used < s.value() <= used + PACKET for s in device.policy._sheds):
            weak |= 1 << 24
        return weak

    # The owner's orders

    @rule(stop=st.booleans())
    def order_stop(self, stop):
        self.world.order(stop=int(stop))
        self.world.settle()

    @rule(octets=st.sampled_from([0, 0, 3_000, 20_000, 1 << 40]))
    def order_limit(self, octets):
        self.world.order(limit=octets)
        self.world.settle()

    @rule(rate=st.sampled_from([0, 1, 1 << 20]))
    def order_throttle(self, rate):
        self.world.order(throttle=rate)
        self.world.settle()

    @rule(classes=st.sampled_from([0, 0, 1 << TELEMETRY]))
    def order_hold(self, classes):
        self.world.order(hold=classes)
        self.world.settle()

    @rule()
    def order_release(self):
        self.world.order(release=1)
        self.world.settle()

    @rule(more=st.sampled_from([0, 0, 500, 5_000]))
    def order_set_used(self, more):
        """An audited correction, to what the carrier has counted or more."""
        if self.world.same_cycle():
            used = self.billed() + REPORT_OCTETS + more
            self.world.order(set_used=[self.world.device.ledger.cycle_id, used])
        self.world.settle()

    @rule(data=st.data())
    def an_order_comes_again(self, data):
        """An older one is refused, the last one does nothing."""
        world = self.world
        if world.sent:
            device = world.device
            before = self.standing(device)
            counter, keys = data.draw(st.sampled_from(world.sent))
            refused = device.account.refused
            device.order(counter, keys, device.hal.ticks_ms())
            assert self.standing(device) == before
            assert device.account.refused == refused + (counter < world.sent[-1][0])
        world.settle()

    @precondition(lambda self: not self.world.faulty)
    @rule(fails=st.sampled_from([False, False, False, False, True]))  # rarely: nothing else happens then
    def the_ledger_fails(self, fails):
        if not fails:
            return
        self.world.device.admission.broken = True
        self.world.faulty = True
        self.world.settle()

    @precondition(lambda self: self.world.faulty)
    @rule()
    def somebody_accepts_the_loss(self):
        before = self.names()
        self.world.device.accept_loss()
        self.world.faulty = False
        assert before - self.names() == {"LEDGER_FAULT"}
        self.world.settle()

    @precondition(lambda self: "lifecycle" in self.plan and not self.world.carrier.stops(IMSI))
    @rule()
    def the_application_activates(self):
        """Its first use: billing begins on both sides, as it is reported at once."""
        world = self.world
        if world.device.ledger.cycle_id <= 2 and not world.restricted and world.carrier.news(IMSI).phase == "silent":
            world.device.activate()
            self.first_use = world.today
            world.device.asked = True
        world.settle()

    # What is done at the carrier

    @rule(stops=st.sampled_from([False, False, True]))
    def platform_stops(self, stops):
        if stops:
            self.world.carrier.stop(IMSI)
        self.world.settle()

    @rule(reason=st.sampled_from([None, None, "manual", "arrears"]))
    def platform_resumes(self, reason):
        self.world.carrier.resume(IMSI, reason)
        self.world.settle()

    @precondition(lambda self: "account" in self.plan)
    @rule(fen=st.sampled_from([1, 20, 100]))
    def platform_recharges(self, fen):
        self.world.carrier.recharge(IMSI, fen)
        self.paid_us = self.world.clock.now_us
        self.world.settle()

    @precondition(lambda self: "package" in self.plan)
    @rule(months=st.integers(1, 3))
    def platform_renews(self, months):
        self.world.carrier.renew(IMSI, months)
        self.renewed_us = self.world.clock.now_us
        self.world.settle()

    @precondition(lambda self: "endless" in self.plan and self.phase == "billing")
    @rule(octets=st.sampled_from([1_000, 9_000, 50_000]))
    def platform_refills(self, octets):
        """What is bought beyond the plan, and ordered to the device: the next time, if it cannot be reached now."""
        self.world.carrier.top_up(IMSI, octets)
        self.world.settle()
        self.order_allowance()

    def order_allowance(self):
        """What the SIM may use by the carrier's word, where the device counts the same period."""
        if self.world.same_cycle():
            self.world.order(allowance=[self.world.device.ledger.cycle_id, self.cycle.allowance_octets, 0])
        self.world.settle()

    @property
    def cycle(self):
        """The carrier's books of the present period."""
        return self.world.carrier._sim(IMSI).account.cycle

    @precondition(lambda self: "pool" in self.plan)
    @rule(octets=st.sampled_from([1_000, 50_000]))
    def platform_tops_up(self, octets):
        self.world.carrier.top_up_pool("pool", octets)
        self.world.settle()

    @precondition(lambda self: "pool" in self.plan)
    @rule(permille=st.sampled_from([0, 500, 800, 1_000]))
    def platform_caps(self, permille):
        self.world.carrier.set_cap(IMSI, self.plan["allowance_octets"] * permille // 1_000)
        self.world.settle()

    @rule()
    def network_ends_the_session(self):
        self.world.carrier.deactivate(IMSI)
        self.world.settle()

    # What must hold

    def held_back(self):
        """Reasons of the carrier that have held for longer than it takes to learn of them."""
        world = self.world
        world.watch()
        rating = world.carrier_config.rating
        lag_s = rating.lag_s + (DAY_S if rating.daily_figures else 0)
        news_s = lag_s + REPORT_S + self.sold.news_s
        allowed = {
            "arrears": news_s + rating.late_s if rating.lag_s or rating.late_permille else DELAY_S,
            "pool_exhausted": news_s,
            "capped": news_s + VALID_S // 2,
        }
        return {
            code: world.seconds_since(us)
            for code, us in world.denied_since.items()
            if world.seconds_since(us) > allowed.get(code, 0)
        }

    def lifted_by_order(self, keys, lifted):
        may = set().union(*(MAY_LIFT[key] for key in keys))
        if self.plan.get("lifecycle") and 11 in keys:
            may |= {"ARREARS"}
        names = {code for code, bit in CODES.items() if lifted & bit}
        if "CLASS_EXHAUSTED" in names and 10 in keys:
            label = self.world.carrier.news(IMSI).cycle_label
            self.renewed |= {(label, i): self.world.of_class[label, i] for i, used, _ in self.quotas() if not used}
        assert names <= may, f"the order {keys} lifted {names - may}"

    @invariant()
    def all_holds(self):
        if not hasattr(self, "world"):
            return
        type(self).steps += 1
        self.counts_agree()
        self.no_cap_is_broken()
        late = self.held_back()
        assert not late or self.world.restricted, f"the device has not stopped although {late}"
        self.reports_are_few()
        self.the_level_is_that_of_the_reasons()
        self.each_reason_is_true()
        self.quotas_are_kept()

    def billed(self):
        return self.world.carrier._sim(IMSI).account.cycle.billed_octets

    def counts_agree(self):
        """The device never counts less than the carrier bills for the same period."""
        world = self.world
        used = world.device.admission.used.value()
        if world.same_cycle():
            assert used >= self.billed(), f"the device counts {used}, the carrier {self.billed()}"
            if "daily" in self.plan and self.same_day():
                day, billed = world.device.periods.day_octets(), world.carrier._sim(IMSI).day_octets
                assert day >= billed, f"of this day the device counts {day}, the carrier {billed}"

    def quotas(self):
        """Number, octets and octets left, of each class that has a quota of its own."""
        if not self.sold.quotas:
            return []
        used = [each and each.used.value() for each in self.world.device.account.standing.quotas]
        return [(i, used[i], octets - used[i]) for i, octets in enumerate(self.sold.quotas) if octets]

    def quotas_are_kept(self):
        """A class is not counted below what it sent in the carrier's period, and is held from its quota on alone."""
        world, names = self.world, self.names()
        for index, used, left in self.quotas():
            if world.same_cycle() and 8 not in world.heard:
                key = world.carrier.news(IMSI).cycle_label, index
                sent = world.of_class[key] - self.renewed.get(key, 0)
                assert used >= sent, f"of class {index} the device counts {used}, {sent} were sent"
            assert left > 0 or "CLASS_EXHAUSTED" in names
        if "CLASS_EXHAUSTED" in names:
            assert any(left < PACKET for _, _, left in self.quotas())
            assert not world.device.policy.open & world.device.policy.used_up

    def same_day(self):
        """Whether both count the same day."""
        return self.world.device.account.standing.valid_day == day_number(self.world.today)

    def reports_are_few(self):
        """What the reporting class uses, denied or not: REPORT_OCTETS each REPORT_S, and some for what happens.

        A share that lapses unused is told of, and so is the next one: two reports in a holding time.
        """
        world = self.world
        since, before = self.reported
        self.reported = world.clock.now_us, world.reported
        holding_s = self.plan.get("pool", {}).get("holding_s") or REPORT_S
        count, spans = world.reported - before, (world.clock.now_us - since) // (min(REPORT_S, holding_s) * S)
        assert count <= 8 + 3 * spans, f"{count} reports in {spans} intervals"

    def no_cap_is_broken(self):
        """Of cost and of octets, by the carrier's figures: not even by reports."""
        usage = self.world.carrier._sim(IMSI).account.cycle
        overage = self.plan.get("overage", {})
        cap = overage.get("cost_cap_fen")
        if usage.tiers and cap is not None:
            assert usage.cost_fen <= cap, f"{usage.cost_fen} fen of {cap} were spent"
        if self.plan["on_exhaustion"] == "overage" and self.phase == "billing" and "cap_octets" in overage:
            assert usage.billed_octets <= overage["cap_octets"], f"{usage.billed_octets} octets are beyond the cap"
        if usage.label == "test" and not usage.tiers:
            assert usage.billed_octets <= usage.allowance_octets - MARGIN, f"{usage.billed_octets} in the test period"
        cap = self.plan.get("daily", {}).get("cap_octets")
        if cap is not None and self.phase != "silent":
            day = self.world.carrier._sim(IMSI).day_octets
            assert day <= cap - DAY_MARGIN, f"{day} of {cap} octets in one day"
        if self.phase == "billing" and self.plan["on_exhaustion"] == "cutoff":
            assert usage.billed_octets <= usage.allowance_octets - MARGIN, f"{usage.billed_octets} of the plan"

    @property
    def phase(self):
        return self.world.carrier.news(IMSI).phase

    def names(self):
        return set(self.world.device.policy.names())

    def the_level_is_that_of_the_reasons(self):
        policy = self.world.device.policy
        names = self.names()
        if names & TERMINATE:
            right = policy.level == p.TERMINATED and policy.open == 0
        elif names & RESTRICT:
            right = policy.level == p.RESTRICTED and policy.open == 1 << REPORT
        elif names & SLOW:
            right = policy.level == p.THROTTLED_LEVEL and policy.open & 1 << REPORT
        else:
            right = policy.level < p.THROTTLED_LEVEL and policy.open & 1 << REPORT
        assert right, f"{policy.verdict()}, and bitmap {policy.open} may send, under {names}"

    def each_reason_is_true(self):
        """Both ways: what stands has its ground with the carrier, an order or the plan; what has a ground stands."""
        world, names = self.world, self.names()
        device = world.device
        used = device.admission.used.value()
        heard = world.heard

        def iff(code, true):
            assert (code in names) == bool(true), f"{code} is {code in names}, and that is not so"

        iff("LEDGER_FAULT", world.faulty)
        iff("STOPPED_BY_HAND", heard.get(1))
        iff("THROTTLED_BY_HAND", heard.get(3))
        iff("CARRIER_STOP", world.refused)  # what the carrier last answered
        if "CARRIER_STOP" in names and device.policy.data_wanted():
            assert world.carrier.stops(IMSI)
        assert (device.account.throttle() is not None) == bool(names & SLOW), f"{names}: {device.account.throttle()}"

        # The calendar
        ends = self.package_ends()
        today = day_number(world.today)
        over = ends is not None and today >= day_number(ends)
        assert bool(names & {"EXPIRED", "CANCELLED"}) == over, (
            f"the package ends {ends}, and it is {world.today}: {names}"
        )
        renew = self.plan.get("package", {}).get("renew_months", 0)
        iff("CANCELLED", ends is not None and world.today >= add_months(ends, renew))
        if "SILENT_PERIOD" in names:
            assert self.near("silent"), f"it is the {self.phase} period"
        elif self.phase == "silent" and self.plan["lifecycle"]["on_silence"] == "hold":
            raise AssertionError("the silent period is not kept")

        # Octets
        test = device.ledger.cycle_id == 1 and "test_octets" in self.plan.get("lifecycle", {})
        kind = self.plan["on_exhaustion"]
        ceiling = self.ceiling(test)
        local = min(ceiling - MARGIN - RESERVE, heard.get(2) or MAX)
        code = "QUOTA_EXHAUSTED"
        if test:
            code = "COST_CAP" if self.plan["lifecycle"].get("on_test_exhausted") == "charge" else "TEST_EXHAUSTED"
        elif kind == "overage":
            code = "COST_CAP"
        for other in OF_LOCAL - {code}:
            iff(other, False)
        free = getattr(device.policy, "free", False)
        if free:
            local = ceiling = MAX  # nothing comes out of the allowance
        self.by_limit(code, used, local)
        daily = self.plan.get("daily", {})
        left = daily.get("cap_octets", MAX) - device.periods.day_octets() if daily else MAX  # by the device's count
        self.by_limit("DAY_EXHAUSTED", used, used + left - DAY_MARGIN - RESERVED)
        self.by_limit("RESERVE_EXHAUSTED", used, min(ceiling - MARGIN, used + left - DAY_MARGIN))
        slow = not test and kind == "throttle"
        slowed = "slow_octets" in daily and device.periods.day_octets() >= daily["slow_octets"]
        if not test and "from_octets" in self.plan.get("throttle", {}):
            start = self.plan["throttle"]["from_octets"] + self.allowance(False) - self.plan["allowance_octets"]
            slowed = slowed or used >= start
            if self.phase == "billing" and world.same_cycle() and world.carrier.news(IMSI).slowed_to_octets_per_s:
                assert "THROTTLED" in names or heard.get(3), "the carrier has slowed the SIM down"
        iff("THROTTLED", not free and (slowed or (slow and used >= self.allowance(False))))
        billing = self.phase == "billing" and world.same_cycle()
        if slow and billing and not free and world.carrier.seen(IMSI) >= self.cycle.allowance_octets:
            assert "THROTTLED" in names

        # The pool
        pool = self.plan.get("pool")
        if pool is None:
            assert not names & {"POOL_EXHAUSTED", "GRANT_EXPIRED"}
        else:
            self.of_the_pool(names, used, pool)

        # The day's share, and bursts
        if "pace" not in self.plan or not self.plan["pace"]:
            iff("PACED", False)
        elif "PACED" in names:
            assert used + PACKET > self.pace_mark(local if local < MAX // 2 else self.allowance(test))
        iff("HELD_BY_HAND", heard.get(14))
        assert device.policy.kept == heard.get(14, 0)
        iff("BURST", device.policy.held)
        if device.policy.held:
            assert self.plan["burst"]

        self.of_the_money(names, used, test)

    def by_limit(self, code, used, limit):
        """It stands from `limit` on, and not before there is less than a packet left."""
        if code in self.names():
            assert used + PACKET > limit, f"{code} at {used} of {limit}"
        else:
            assert used < limit, f"no {code} at {used} of {limit}"

    def ceiling(self, test):
        if test:
            own = self.plan["lifecycle"]["test_octets"]
            if self.plan["lifecycle"].get("on_test_exhausted") != "charge":
                return own
            return min(MAX, own + self.affordable(self.plan["overage"].get("cost_cap_fen")))
        own = self.allowance(False)
        kind = self.plan["on_exhaustion"]
        if kind == "overage":
            cap = self.plan["overage"].get("cap_octets", MAX)
            return min(cap, own + self.affordable(self.plan["overage"].get("cost_cap_fen")))
        return own if kind == "cutoff" else MAX

    def tiers(self):
        return tuple(Tier(**tier) for tier in self.plan["overage"]["tiers"])

    def affordable(self, fen):
        """The most octets beyond the plan that cost no more, by bisection over the carrier's own prices."""
        if fen is None or cost(self.tiers(), MAX) <= fen:
            return 2 * MAX
        low, high = 0, MAX
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if cost(self.tiers(), middle) <= fen else (low, middle)
        return low

    def allowance(self, test):
        """Of the present period, as the device was told."""
        if test:
            return self.plan["lifecycle"]["test_octets"]
        bought = self.world.heard.get(13)
        now = bought and bought[0] == self.world.device.ledger.cycle_id
        return bought[1] if now else self.plan["allowance_octets"]

    def package_ends(self):
        """The package's last day but one, as the device was told."""
        if "package" not in self.plan:
            return None
        if 4 in self.world.heard:
            return date(2000, 1, 1) + timedelta(days=self.world.heard[4])
        since = self.plan.get("activated")
        if since is not None:
            since = date.fromisoformat(since)
        else:
            since = date.fromisoformat(self.plan["lifecycle"]["billing_from"])
            known = self.first_use or (11 in self.world.heard and date(2000, 1, 1) + timedelta(self.world.heard[11]))
            since = min(since, known or since)
        return add_months(since, self.plan["package"]["months"])

    def near(self, phase):
        """Whether the carrier's phase is, will be or was this one within the leads that are stated: 600 s before,
        300 s and a report after."""
        if self.phase == phase:
            return True
        world = self.world
        life = self.plan["lifecycle"]
        now = world.clock.utc().astimezone(world.carrier_config.sim_plan.zone).replace(tzinfo=None)
        for edge in ("test_until", "billing_from"):
            if edge in life:
                at = date.fromisoformat(life[edge])
                since = now - datetime(at.year, at.month, at.day)
                if -600 <= since.total_seconds() <= DELAY_S:
                    return True
        return False

    def of_the_pool(self, names, used, pool):
        world = self.world
        grant = world.heard.get(7)
        # One for the period that the carrier has begun, and the device has not, counts.
        if grant is None or grant[0] < world.device.ledger.cycle_id:
            granted, valid_us = pool["first_grant_octets"], None
        else:
            granted = grant[1] if grant[3] else 0
            valid_us = world.heard_at[7] + grant[2] * S
        lapsed = valid_us is not None and world.clock.now_us >= valid_us
        if lapsed and pool["on_silence"] == "continue" and granted:
            granted = MAX
        self.by_limit("POOL_EXHAUSTED", used, granted)
        if "GRANT_EXPIRED" in names:
            assert lapsed or pool["holding_s"]
        elif lapsed and pool["on_silence"] == "terminate":
            raise AssertionError("a grant outlives its validity")

    def pace_mark(self, limit):
        """What may have been used by today's end, by dates."""
        device = self.world.device
        cycle = device.config.plan.cycle
        (start_day, start_s), (end_day, end_s) = cycle.bounds(device.ledger.cycle_id)
        days = -(-((end_day - start_day) * DAY_S + end_s - start_s) // DAY_S)
        day, second = self.world.utc()
        nth = ((day - start_day) * DAY_S + second - start_s) // DAY_S + 1
        head = min(limit, limit // days) if days else limit
        return limit if nth >= days else head + (limit - head) * nth // days

    def of_the_money(self, names, used, test):
        """Arrears: the balance that is left does not pay one packet more; or the device has not heard of money."""
        world = self.world
        if "account" not in self.plan:
            assert "ARREARS" not in names
            return
        sim = world.carrier._sim(IMSI)
        balance = sim.true_balance_fen()
        if "ARREARS" in names:
            usage = sim.account.cycle
            price = cost(usage.tiers, used + PACKET - usage.allowance_octets) - usage.cost_fen if usage.tiers else 0
            unheard = world.read_us <= self.paid_us
            assert "arrears" in world.carrier.denies(IMSI) or balance < price or unheard or not world.same_cycle(), (
                f"ARREARS with {balance} fen"
            )
            return
        # Fees and costs are the device's own to know, where the platform's word is not behind them.
        rating = world.carrier_config.rating
        since = world.seconds_since(world.denied_since.get("arrears", world.clock.now_us))
        if not (rating.lag_s or rating.daily_figures or rating.late_permille) and world.read_us > self.renewed_us:
            assert balance >= 0 or since <= DELAY_S or not world.same_cycle(), f"no ARREARS with {balance} fen"

    # The way back

    def teardown(self):
        if not hasattr(self, "world") or sys.exc_info()[0] is not None:
            return
        self.the_way_back()

    def refill(self):
        """Buys more than was used. What is stopped for its own limits is reached by what guard.way_in allows it."""
        world = self.world
        if self.phase == "billing" and world.same_cycle():
            world.carrier.top_up(IMSI, 1 << 20)
            world.carrier.resume(IMSI)
            world.settle()
            policy, used = world.device.policy, world.device.admission.used
            if policy.deaf():
                world.device.obey(policy.allow_exchange(used, 1_024))
                world.settle()
            self.order_allowance()
            world.device.obey(policy.end_exchange())

    def the_way_back(self):
        """From any state: resume, pay, renew, top up, accept; order what orders lift; begin a new period."""
        world = self.world
        if world.faulty:
            world.device.accept_loss()
            world.faulty = False
        if "account" in self.plan:
            world.carrier.recharge(IMSI, 1 << 20)
        if "cancelled" in world.carrier.denies(IMSI):  # for good: its owner needs another SIM
            assert world.restricted
            return
        if "pool" in self.plan:
            world.carrier.top_up_pool("pool", 1 << 30)
            world.carrier.set_cap(IMSI, self.plan["allowance_octets"])
        if "endless" in self.plan:
            self.refill()
            world.sleep(DAY_S)  # to another day, as no other period begins
        world.carrier.resume(IMSI)
        world.run(DELAY_S + 1)  # the device has begun the period that the carrier has
        self.to_the_end(60)
        world.run(60 + DELAY_S + 1)
        for _ in range(3):  # a test period, a silent one, and one that is billed
            if world.device.ledger.cycle_id > 2:
                break
            self.to_the_end(1)
            world.run(1 + DELAY_S + 1)
        if "package" in self.plan:
            sim = world.carrier._sim(IMSI)
            if "cancelled" in world.carrier.denies(IMSI):
                assert world.restricted
                return
            months = self.plan["package"]["months"]
            while sim.expires is not None and sim.expires <= world.today:
                world.carrier.renew(IMSI, months)  # refused while it would be over even so
                months += self.plan["package"]["months"]
        if "pool" in self.plan:
            world.carrier.top_up_pool("pool", 1 << 30)
        world.carrier.resume(IMSI)
        world.run(1 + self.sold.news_s + REPORT_S)
        keys = {"stop": 0, "limit": 0, "throttle": 0, "hold": 0, "release": 1}
        if "pool" in self.plan and self.phase == "billing":
            keys["grant"] = [world.device.ledger.cycle_id, self.plan["allowance_octets"], VALID_S, 1 << 30]
        assert world.order(**keys), f"no order reaches it: {self.names()} {world.carrier.denies(IMSI)}"
        world.settle()
        assert self.names() <= {"PACED"}, f"it stays {self.names()}"
        assert world.online
        for index in (TELEMETRY, OTA):
            if index == OTA or "PACED" not in self.names():
                assert world.device.admits_one(index, 28)
