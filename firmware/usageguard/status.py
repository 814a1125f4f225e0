"""The guard's state as a dictionary of integers and ASCII: for whoever watches the device, and for the application."""

import gc


def status(guard):
    """The present cycle's figures, in octets; the last complete one's in `closed` (None before)."""
    ledger, policy, outbox = guard.ledger, guard.policy, guard.outbox
    return {
        "cycle": ledger.cycle_id,
        "carried_octets": guard.carried_octets(),
        "rated_octets": guard.gate.used.value(),
        "error_bound_octets": guard.error_bound_octets(),
        "unseen_octets": guard.gate.headroom,
        "verdict": policy.verdict(),
        "reasons": policy.names(),
        "shed": [c.name for i, c in enumerate(guard.config.classes) if policy.shed >> i & 1],
        "stopped": bool(policy.reasons),
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
