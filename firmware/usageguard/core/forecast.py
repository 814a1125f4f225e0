"""When a plan runs out, and how much of it each day may have. Octets and seconds as integers of any size; cold.

The rate of use is the mean of two: that of the whole period, which a busy afternoon cannot move far, and that of the
last days, which follows a device whose habits have changed. Half of a change is seen as soon as the last days show
it, and half of a passing burst is forgotten with them. Either counts only from a whole day on: devices live by the
day, and a few hours of one say little of the rest.
"""

DAY_S = 86400
MOST_S = 3653 * DAY_S  # 10 years; below 2**29, so a small int on every board


def burn_rate(used, elapsed_s, recent=0, recent_s=0):
    """Rate of use as (octets, seconds), seconds above 0; None while there is less than a day to tell it from.

    `used` octets in the `elapsed_s` since the period began, `recent` octets in the last `recent_s`, which may reach
    into the period before: so a period can have a forecast from its first second on.
    """
    if recent_s < DAY_S:
        return (used, elapsed_s) if elapsed_s >= DAY_S else None
    if elapsed_s < DAY_S:
        return recent, recent_s
    return used * recent_s + recent * elapsed_s, 2 * elapsed_s * recent_s


def exhausts_in(used, limit, rate):
    """Seconds, 0..MOST_S, until `limit` is reached at `rate` (of `burn_rate`), rounded up to whole ones.

    0 where it is reached already. None if that is more than 10 years away, or if there is no rate.
    """
    left = limit - used
    if left <= 0:
        return 0
    if rate is None or not rate[0]:  # nothing to divide by
        return None
    seconds = -(-left * rate[1] // rate[0])
    return seconds if seconds <= MOST_S else None


def spare(used, limit, left_s, rate):
    """Octets that `limit` will have left over in `left_s` at `rate`, rounded down; below 0: so many too few.

    None if there is no rate.
    """
    return None if rate is None else limit - used - -(-rate[0] * left_s // rate[1])


def pace_mark(limit, elapsed_s, period_s, head_octets=0):
    """Octets that may have been used by the end of the present day, so that `limit` lasts the period.

    Days are counted from the period's beginning; a part of one at its end counts as a day. `head_octets` may be used
    at any time, the rest is spread evenly. As the mark is of the whole period, what one day leaves is the next one's.
    On the last day, and after it, the mark is `limit`.
    """
    days = -(-period_s // DAY_S)
    day = elapsed_s // DAY_S + 1
    if day >= days:
        return limit
    head = min(limit, head_octets)
    return head + (limit - head) * day // days
