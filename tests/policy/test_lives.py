"""Random lives of a SIM under random plans: 10,000 steps and more, the same ones each time."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from usageguard.config import plan as config_plan
from usageguard.core import policy as p
from usageguard.core.account import standing as orders
from usageguard.core.account.account import Account
from usageguard.core.account.daily import DailyPolicy
from usageguard.core.account.life import Life
from usageguard.core.account.money import Money
from usageguard.core.account.pool import Pool
from usageguard.core.account.quotas import Quota
from usageguard.core.endless import EndlessCycle
from usageguard.core.octets import MAX
from usageguard.core.tariff import Tariff
from usageguard.guard.daily import DailyPeriods

from tests.policy.machine import CODES, Machine
from tests.policy.plans import FAMILIES

LIVES = 100
STEPS = 2_000  # of a family at least; nine of them
FEW = 10
# A failure prints the plan and the steps that lead to it, as few as can be; the same run finds it again.
SETTINGS = settings(
    max_examples=LIVES,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def lives(of):
    return type(f"Machine_{of}", (Machine,), {"family": of, "steps": 0, "runs": 0})


@pytest.mark.parametrize("family", FAMILIES)
def test_guard_and_carrier_through_a_few_random_lives(family):
    machine = lives(family)
    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=FEW))
    assert machine.steps >= FEW * 10


@pytest.mark.proof
@pytest.mark.parametrize("family", FAMILIES)
def test_guard_and_carrier_through_random_lives(family):
    machine = lives(family)
    run_state_machine_as_test(machine, settings=SETTINGS)
    print(f"{machine.steps} steps in {machine.runs} lives")
    assert machine.steps >= STEPS
    assert STEPS * len(FAMILIES) >= 10_000


def row(monkeypatch, code, column, value):
    """Changes one cell of the table of reasons."""
    rows = [list(each) for each in p.REASONS]
    for each in rows:
        if each[p.CODE] == code:
            each[column] = value
    monkeypatch.setattr(p, "REASONS", tuple(map(tuple, rows)))


def a_period_lifts_the_stop_by_hand(monkeypatch):
    row(monkeypatch, "STOPPED_BY_HAND", p.SURVIVES_CYCLE, False)


def a_recharge_lifts_the_stop_by_hand(monkeypatch):
    of = p.transition
    lifted = {p.RECHARGED: CODES["STOPPED_BY_HAND"]}
    monkeypatch.setattr(p, "transition", lambda reasons, event: of(reasons, event) & ~lifted.get(event, 0))


def the_cost_cap_is_ignored(monkeypatch):
    monkeypatch.setattr(config_plan, "Tariff", lambda tiers, cost_cap_fen=None: Tariff(tiers, None))


def a_package_never_expires(monkeypatch):
    row(monkeypatch, "EXPIRED", p.RAISED_BY, 0)


def any_word_of_the_balance_lifts_arrears(monkeypatch):
    def limit(self, plan, used, cycle_id):
        return self._policy.set_limit(p.BALANCE, None, used)

    monkeypatch.setattr(Money, "limit", limit)


def fees_are_forgotten(monkeypatch):
    read = config_plan._account

    def forget(table, plan):
        read(table, plan)
        plan.fee_fen = 0

    monkeypatch.setattr(config_plan, "_account", forget)


def a_grant_is_no_limit(monkeypatch):
    told = Pool.told

    def unlimited(self, value, *instant):
        return told(self, [value[0], MAX >> 5, *value[2:]], *instant)

    monkeypatch.setattr(Pool, "told", unlimited)


def the_standing_is_not_restored(monkeypatch):
    read = orders.Standing.__init__

    def forget(self, buf):
        read(self, bytes(len(buf)))
        self._buf = buf

    monkeypatch.setattr(orders.Standing, "__init__", forget)


def reasons_are_not_restored(monkeypatch):
    restore = Account.restore
    monkeypatch.setattr(Account, "restore", lambda self, reasons, *rest: restore(self, 0, *rest))


def the_silent_period_is_used(monkeypatch):
    monkeypatch.setattr(Account, "expect_silence", lambda *_: 0)
    row(monkeypatch, "SILENT_PERIOD", p.RAISED_BY, 0)


def a_test_period_has_the_plans_octets(monkeypatch):
    monkeypatch.setattr(Life, "plan", lambda self, cycle_id: self._plan)


def a_days_cap_is_no_limit(monkeypatch):
    set_day = DailyPolicy.set_day
    monkeypatch.setattr(DailyPolicy, "set_day", lambda self, start, used: set_day(self, start + (1 << 40), used))


def a_day_begins_with_what_is_used_by_then(monkeypatch):
    monkeypatch.setattr(DailyPeriods, "_mark", lambda self, _: setattr(self, "_next", self._ledger.rated.value()))


def a_boot_begins_a_day(monkeypatch):
    init = DailyPeriods.__init__

    def anew(self, hal, cycle, ledger, policy, account, *others):
        account.standing.granted = ledger.rated.value()
        init(self, hal, cycle, ledger, policy, account, *others)

    monkeypatch.setattr(DailyPeriods, "__init__", anew)


def thirty_days_renew_what_is_endless(monkeypatch):
    monkeypatch.setattr(EndlessCycle, "start_on", lambda self, day: day - (day - self.first_day) % 30)
    monkeypatch.setattr(EndlessCycle, "start_after", lambda self, day: self.start_on(day) + 30)


def a_class_begins_anew_with_each_boot(monkeypatch):
    init = Quota.__init__
    monkeypatch.setattr(Quota, "__init__", lambda self, octets, state: init(self, octets, bytearray(4)))


BROKEN = (
    ("quotas", a_class_begins_anew_with_each_boot),
    ("quota", a_period_lifts_the_stop_by_hand),
    ("account", a_recharge_lifts_the_stop_by_hand),
    ("overage", the_cost_cap_is_ignored),
    ("package", a_package_never_expires),
    ("account", any_word_of_the_balance_lifts_arrears),
    ("account", fees_are_forgotten),
    ("pool", a_grant_is_no_limit),
    ("quota", the_standing_is_not_restored),
    ("quota", reasons_are_not_restored),
    ("lifecycle", the_silent_period_is_used),
    ("lifecycle", a_test_period_has_the_plans_octets),
    ("daily", a_days_cap_is_no_limit),
    ("daily", a_day_begins_with_what_is_used_by_then),
    ("daily", a_boot_begins_a_day),
    ("endless", thirty_days_renew_what_is_endless),
)


LATE = {
    any_word_of_the_balance_lifts_arrears, fees_are_forgotten, the_cost_cap_is_ignored, the_silent_period_is_used,
}  # fmt: skip
"""Found in many steps only."""


@pytest.mark.parametrize(
    ("family", "broken"),
    [pytest.param(*each, marks=pytest.mark.proof if each[1] in LATE else ()) for each in BROKEN],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_a_broken_guard_is_found(family, broken, monkeypatch):
    broken(monkeypatch)
    machine = lives(family)
    more = SETTINGS.max_examples * (10 if broken in LATE else 1)
    with pytest.raises(AssertionError) as found:
        run_state_machine_as_test(machine, settings=settings(SETTINGS, phases=[Phase.generate], max_examples=more))
    print(f"found in step {machine.steps}: {found.value}")
