"""Whatever is known of a device, the verdicts are sound."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from usageguard.core.policy import BIT, HOLD, REASONS, RESTRICTION, THROTTLE
from usageguard.diagnose import causes as c

WAY = {*range(c.MODEM_DEAD, c.COLLECTOR_REFUSES + 1)} - {c.MODEM_RESTARTS, c.STOPPED_BY_US}
"""The causes on the way from the supply to the collector, of which the first hides the others."""
EVIDENCE = st.fixed_dictionaries(
    {},
    optional={
        "state": st.integers(0, 5),
        "silent": st.booleans(),
        "restarts": st.integers(0, 20),
        "uptime_s": st.none() | st.integers(0, 1 << 24),
        "sim_state": st.sampled_from([b"", b"READY", b"SIM PIN", b"SIM PUK", b"NOT READY", b"NOT INSERTED"]),
        "sim_error": st.integers(0, 20),
        "registration": st.integers(-1, 10),
        "reject_cause": st.integers(0, 120),
        "signal": st.integers(-1, 99),
        "rsrp": st.integers(-1, 255),
        "cme": st.integers(0, 600),
        "ceer": st.binary(max_size=80).map(bytes.hex).map(str.encode),
        "reasons": st.integers(0, (1 << 24) - 1),
        "crashes": st.integers(0, 9),
        "unanswered": st.integers(0, 9),
        "alive": st.booleans(),
        "refused": st.sampled_from([0, 0x81, 0x84, 0xA3]),
        "probed": st.none() | st.integers(0, 7),
        "used_permille": st.none() | st.integers(0, 2000),
        "balance_fen": st.none() | st.integers(-500, 500),
        "pool_left": st.none() | st.integers(0, 500),
        "expires_in": st.none() | st.integers(-50, 50),
        "day": st.none() | st.integers(1, 31),
        "retry_s": st.none() | st.integers(0, 3600),
    },
)


@given(EVIDENCE)
def test_there_is_one_verdict_per_cause_and_one_on_the_way(known):
    evidence = c.Evidence()
    for name, value in known.items():
        setattr(evidence, name, value)
    found = c.diagnose(evidence)
    ranks = [each.cause for each in found]
    assert ranks == sorted(ranks)
    assert len({(each.cause, each.detail) for each in found}) == len(found)
    assert sum(rank in WAY for rank in ranks) <= 1
    ours = {row[BIT] for row in REASONS if row[RESTRICTION] not in (THROTTLE, HOLD)} - {0x4, 0x8}
    stopping = {1 << each.detail for each in found if each.cause == c.STOPPED_BY_US}
    assert stopping == {bit for bit in ours if bit & evidence.reasons}
    for each in found:
        assert each.cause not in each.others
        assert each.remedy
        assert each.retry_s is None or each.retry
        assert c.of_code(each.code).cause == each.cause
    if known.get("silent"):
        assert c.MODEM_DEAD in ranks


def test_the_guide_lists_the_causes():
    """DEVICE.md has each cause with its remedy, in their order."""
    text = (Path(__file__).parents[2] / "firmware" / "DEVICE.md").read_text("utf-8")
    table = text.partition("<!-- causes -->")[2].partition("<!-- /causes -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]
    assert [(row[0], row[2]) for row in rows] == [(f"`{row[c.LABEL]}`", row[c.REMEDY]) for row in c.CAUSES]
