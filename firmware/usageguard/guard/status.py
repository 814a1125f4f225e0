"""The guard's state as a dictionary of integers and ASCII text, as the console and the simulator get it."""

import gc

from usageguard.core.policy import RESTRICTED
from usageguard.core.ticks import ticks_diff

PHASES = ("billing", "silent", "test")


def status(config, ledger, policy, account, admission, periods, modem, outbox, now):
    """Figures of the present period, in octets; those of the last complete one are in `closed` (None before).

    `report_s`: seconds since the last report was sent, None before the first; negative after more than six days.
    """
    plan, standing, used = config.plan, account.standing, admission.used
    throttle = account.throttle()
    shown = {
        "cycle": ledger.cycle_id,
        "carried_octets": admission.carried_octets(),
        "rated_octets": used.value(),
        "error_bound_octets": admission.error_bound_octets(),
        "doubt_octets": ledger.doubt.value(),
        "cost_fen": account.cost_fen(used),
        "balance_fen": account.balance_fen(used, ledger.cycle_id),
        "unseen_octets": ledger.held_carried,
        "verdict": policy.verdict(),
        "reasons": policy.names(),
        "shed": [c.name for i, c in enumerate(config.classes) if policy.shed >> i & 1],
        "held": [c.name for i, c in enumerate(config.classes) if (policy.held | policy.kept) >> i & 1],
        "warned": [account.plan.warning(bit) for bit in range(16) if policy.warned >> bit & 1],
        "stopped": policy.level >= RESTRICTED,
        "phase": PHASES[plan.cycle.phase(ledger.cycle_id)],
        "expires_day": standing.expiry_day or plan.expiry_day or None,
        "granted_octets": standing.granted if plan.pool else None,
        "day_octets": periods.day_octets() if plan.daily else None,
        "forecast_day": account.forecast_day,
        "throttle_octets_s": throttle and throttle[0],
        "counter": standing.counter,
        "orders_refused": account.refused,
        "time_source": periods.clock.source,
        "modem": modem.state,
        "bearer": config.modem.bearer,
        "boot_id": ledger.boot_id,
        "ledger": ledger.backend,
        "recovered": ledger.recovered,
        "app_restarts": outbox.app_restarts,
        "counted": admission.meter.counted,
        "counter_jumps": admission.jumps,
        "denials": admission.denials,
        "reports_sent": outbox.reports_sent,
        "reports_acked": outbox.reports_acked,
        "octets_per_report": outbox.octets_per_report(),
        "heap_octets": live_octets(),
        "closed": periods.closed,
        "report_refused": outbox.refused,
        "report_s": ticks_diff(now, outbox.sent_at) // 1000 if outbox.reports_sent else None,
        "report_answered": outbox.is_answered,
        "modem_restarts": modem.restarts,
        "radio_on_s": outbox.radio_on_s,
        # By repr: on a noisy line the modem's text may be no text at all.
        "sim_state": str(modem.sim_state)[2:-1],
        "iccid": str(modem.iccid)[2:-1],
        "network": str(modem.imsi[:6])[2:-1],  # of the SIM: MCC and MNC, which has 2 or 3 digits
    }
    if plan.apart:
        shown["apart"] = admission.apart()
    if config.by_class:
        shown["classes"] = admission.by_class(config.classes)
    if config.upstream.sms_orders:
        shown["sms_refused"] = modem.messenger.refused
    for name in ("sim_error", "registration", "reject_cause", "cme", "signal", "rsrp"):
        shown[name] = getattr(modem, name)
    return shown


def live_octets():
    """Octets of the heap that are in use after a collection; None on CPython, which does not count them."""
    if not hasattr(gc, "mem_alloc"):
        return None
    gc.collect()
    return gc.mem_alloc()
