"""The guard's state as a dictionary of integers and ASCII: for whoever watches the device, and for the application."""

import gc

from usageguard.core.policy import RESTRICTED

PHASES = ("billing", "silent", "test")


def status(guard):
    """The present cycle's figures, in octets; the last complete one's in `closed` (None before)."""
    ledger, policy, outbox, account = guard.ledger, guard.policy, guard.outbox, guard.account
    plan = account.plan
    return {
        "cycle": ledger.cycle_id,
        "carried_octets": guard.carried_octets(),
        "rated_octets": guard.gate.used.value(),
        "error_bound_octets": guard.error_bound_octets(),
        "cost_fen": account.cost_fen(guard.gate.used),
        "balance_fen": account.balance_fen(guard.gate.used, ledger.cycle_id),
        "unseen_octets": guard.gate.headroom,
        "verdict": policy.verdict(),
        "reasons": policy.names(),
        "shed": [c.name for i, c in enumerate(guard.config.classes) if policy.shed >> i & 1],
        "held": [c.name for i, c in enumerate(guard.config.classes) if policy.held >> i & 1],
        "warned": [plan.warning(bit) for bit in range(16) if policy.warned >> bit & 1],
        "stopped": policy.level >= RESTRICTED,
        "phase": PHASES[guard.config.plan.cycle.phase(ledger.cycle_id)],
        "expires_day": account.standing.expiry_day or guard.config.plan.expiry_day or None,
        "granted_octets": account.standing.granted if guard.config.plan.pool else None,
        "forecast_day": account.forecast_day,
        "throttle_octets_s": guard.shaper.throttle and guard.shaper.throttle[0],
        "counter": account.standing.counter,
        "orders_refused": account.refused,
        "time_source": guard.calendar.clock.source,
        "modem": guard.modem.state,
        "boot_id": ledger.boot_id,
        "ledger": ledger.backend,
        "recovered": ledger.recovered,
        "app_restarts": guard.app_restarts,
        "counted": guard.gate.meter.counted,
        "counter_jumps": guard.gate.jumps,
        "denials": guard.gate.denials,
        "reports_sent": outbox.reports_sent,
        "reports_acked": outbox.reports_acked,
        "octets_per_report": guard.path.octets // max(1, outbox.reports_acked),
        "heap_octets": live_octets(),
        "closed": guard.calendar.closed,
    }


def live_octets():
    """Octets of the heap that are in use after a collection; None where nobody counts them (CPython)."""
    if not hasattr(gc, "mem_alloc"):
        return None
    gc.collect()
    return gc.mem_alloc()
