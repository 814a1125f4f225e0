"""Changes the allowance of a plan, with every limit and mark that follows from it. Loaded with the first such order."""

from usageguard.core.octets import MAX


def set_allowance(plan, octets):
    """Has `plan` allow `octets` (1..2**50) in the period. Margin and reserve keep their size; so does what may be used
    beyond the allowance, except that a cap of octets stays where it is."""
    more = octets - plan.allowance
    if plan.exhaustion in ("cutoff", "test"):
        plan.ceiling = octets
    elif plan.ceiling < MAX:
        beyond = plan.tariff.cap_octets()
        if beyond is not None:  # a cap of cost
            capped = plan.ceiling < plan.allowance + beyond  # by one of octets, which is lower
            plan.ceiling = min(plan.ceiling, octets + beyond) if capped else octets + beyond
    if plan.slow_limit < MAX:
        plan.slow_limit = max(0, plan.slow_limit + more)
    if plan.ceiling < MAX:
        plan.report_limit = max(0, plan.ceiling - plan.margin_octets)
        plan.local_limit = max(0, plan.report_limit - plan.reserve_octets)
    marks = [octets * permille // 1000 for permille in plan.warn_permille]
    for mark in plan.warn_marks[len(marks) :]:  # those of cost
        marks.append(mark if mark == MAX else mark + more)
    plan.warn_marks = tuple(marks)
    plan.allowance = octets
