"""Forecasts when a plan will be used up, and sets the daily budget: for a plan with `pace` or `warn_forecast`.

The rate of use is the mean of two rates: that of the whole period, which one busy afternoon changes little, and that of
the last days, which follows a device whose behaviour has changed. Each counts only after a whole day, as usage follows
the day and a few hours are not typical.

Octets and seconds may be big ints here: nothing is called per packet.
"""

from usageguard.core import policy as p
from usageguard.core.cycle import seconds_since

DAY_S = 86400
MOST_S = 3653 * DAY_S  # 10 years; below 2**29, so a small int on every board


def burn_rate(used, elapsed_s, recent=0, recent_s=0):
    """Rate of use as (octets, seconds), seconds above 0; None for less than a day of data.

    `used` octets in the `elapsed_s` since the period began, `recent` octets in the last `recent_s`, which may reach
    back into the period before, so that there is a forecast from a period's first second on.
    """
    if recent_s < DAY_S:
        return (used, elapsed_s) if elapsed_s >= DAY_S else None
    if elapsed_s < DAY_S:
        return recent, recent_s
    return used * recent_s + recent * elapsed_s, 2 * elapsed_s * recent_s


def exhausts_in(used, limit, rate):
    """Seconds, 0..MOST_S, until `limit` is reached at `rate` (of `burn_rate`), rounded up to whole ones.

    0 where it has been reached. None if it is more than 10 years away, or without a rate.
    """
    left = limit - used
    if left <= 0:
        return 0
    if rate is None or not rate[0]:  # nothing to divide by
        return None
    seconds = -(-left * rate[1] // rate[0])
    return seconds if seconds <= MOST_S else None


def pace_mark(limit, elapsed_s, period_s, head_octets=0):
    """Octets that may have been used by the end of the present day, so that `limit` lasts the period.

    Days are counted from the start of the period; a part of a day at its end counts as a day. `head_octets` may be used
    at any time, the rest is spread evenly. What one day leaves unused is available on the next. From the last day on
    the mark is `limit`.
    """
    days = -(-period_s // DAY_S)
    day = elapsed_s // DAY_S + 1
    if day >= days:
        return limit
    head = min(limit, head_octets)
    return head + (limit - head) * day // days


class Outlook:
    """Updates daily budget and forecast of `policy` at the start of each day, for `plan`.

    Read only: `day`, the local day on which the limit will be reached, None where that is not in the period.
    """

    def __init__(self, plan, policy):
        self._plan = plan
        self._policy = policy
        self._recent = []  # (day, second, lifetime's rated octets) of the last days
        self.day = None

    def forget(self):
        """Forgets the recent rate: octets in doubt are not part of it."""
        self._recent = []

    def look(self, plan, day, second, used, rated, cycle_id):
        """At this instant, under the `plan` of the period; `used` and `rated` are Octets. Returns the policy's
        actions."""
        own, policy = self._plan, self._policy
        start, end = plan.cycle.bounds(cycle_id)
        elapsed = max(0, seconds_since(day, second, start))
        period = seconds_since(end[0], end[1], start)
        actions = 0
        limit = policy.limit(p.LOCAL)
        if limit is None:
            limit = plan.allowance
        if own.pace:
            head = limit * DAY_S // period  # one more daily share, for a busy day
            actions = policy.set_limit(p.PACE, pace_mark(limit, elapsed, period, head), used)
        if own.warn_forecast:
            recent = self._recent
            recent.append((day, second, rated.value()))
            if len(recent) > 4:
                recent.pop(0)
            first = recent[0]
            rate = burn_rate(used.value(), elapsed, recent[-1][2] - first[2], seconds_since(day, second, first))
            due = exhausts_in(used.value(), limit, rate)
            soon = due is not None and due < period - elapsed
            self.day = plan.cycle.local_day(day, second + due) if soon else None
            actions |= policy.warn(own.forecast_bit, soon)
        return actions
