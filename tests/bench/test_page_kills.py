"""Page and collector are killed amid orders and alerts; the whole by `usageguard bench collector.page-kills`."""

import pytest

from host_tools.base.errors import UsageError
from host_tools.bench import page_kills


@pytest.mark.realtime
@pytest.mark.proof
@pytest.mark.parametrize("postgresql", [True, False], ids=["postgresql", "sqlite"])
def test_no_order_and_no_alert_is_lost_or_twice_whatever_is_killed(postgresql):
    try:
        killed = page_kills.run(devices=2, seed=1, postgresql=postgresql)
    except UsageError as missing:
        pytest.skip(str(missing))
    assert (killed.orders, killed.alerts, killed.lost, killed.doubled) == (2, 2, [], [])
    assert set(killed.kills) == {"page, in an order", "collector", "page, before the webhook's answer"}
