"""Portals' exports: those from the field and others like them, read by the same way as `plan fit` does.

A file is right when its SIMs, days and octets are those that a person reads in it, or when it is refused with a
question.
"""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools import cli
from host_tools.base.errors import UsageError
from host_tools.planning.usage import from_export
from host_tools.platforms.exports.layouts import LAYOUTS
from host_tools.platforms.exports.read import Asked, decoded, read

CHINA = timezone(timedelta(hours=8))
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
KB, MB = 1024, 1024**2


def curves(content, **asked):
    if isinstance(content, str):
        content = content.encode()
    return from_export(read(decoded(content, "x.csv"), "x.csv", Asked(**asked)))


def steps(curve, zone=CHINA):
    """[(from, octets up to the next point)] of a curve, in local time."""
    at = [f"{(EPOCH + timedelta(seconds=int(second))).astimezone(zone):%Y-%m-%dT%H:%M}" for second in curve.times]
    grown = [int(after - before) for before, after in zip(curve.octets, curve.octets[1:], strict=False)]
    return list(zip(at, [*grown, None], strict=True))


TWO_DAYS = [("2026-03-01T00:00", 520_000), ("2026-03-02T00:00", 490_000), ("2026-03-03T00:00", None)]
UTC_DAYS = [("2026-03-01T08:00", 520_000), ("2026-03-02T08:00", 490_000), ("2026-03-03T08:00", None)]
TWO_DAYS_KB = [("2026-03-01T00:00", 520 * KB + 512), ("2026-03-02T00:00", 490 * KB + 256), ("2026-03-03T00:00", None)]
ONELINK = "日期,卡号,用量(KB)\n2026-03-01,1440000000001,520.5\n2026-03-02,1440000000001,490.25\n"
TWILIO = (
    "period_start,period_end,sim_sid,data_upload,data_download,data_total\n"
    "2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,HS1,120000,400000,520000\n"
    "2026-03-02T00:00:00Z,2026-03-03T00:00:00Z,HS1,110000,380000,490000\n"
)
TELNYX = (
    "sim_card_id,start_time,stop_time,mobile_country_code,uplink_data,downlink_data\n"
    "a,2026-03-01T00:10:00Z,2026-03-01T04:10:00Z,460,120000,400000\n"
    "a,2026-03-01T05:00:00Z,2026-03-02T05:00:00Z,460,110000,380000\n"
)
MONTHS_AS_DATES = "date,device,octets\n2026-01-01,a,15000000\n2026-02-01,a,58000000\n2026-03-01,a,12000000\n"

FIELD = {
    "compact-date": ("date,device,octets\n20260301,a,520000\n20260302,a,490000\n", TWO_DAYS),
    "epoch": ("time,device,octets\n1772323200,a,520000\n1772409600,a,490000\n", UTC_DAYS),
    "onelink-gbk": (ONELINK.encode("gb18030"), TWO_DAYS_KB),
    "onelink-style": ("\ufeff" + ONELINK, TWO_DAYS_KB),
    "onelink-blank-is-none": (
        "date,device,octets\n2026-03-01,a, \n2026-03-02,a,490000\n",
        [("2026-03-01T00:00", 0), *TWO_DAYS[1:]],
    ),
    "semicolons": (
        "date;device;octets\n2026-03-01;a;520000\n",
        [("2026-03-01T00:00", 520_000), ("2026-03-02T00:00", None)],
    ),
    "sessions-overlap": (
        "time,device,octets\n2026-03-01T00:10:00Z,a,520000\n2026-03-01T00:10:00Z,a,90000\n2026-03-02T05:00:00Z,a,490000\n",
        [("2026-03-01T08:10", 610_000), ("2026-03-02T13:00", 490_000), ("2026-03-03T17:50", None)],
    ),
    "telnyx-style": (
        TELNYX,
        [
            ("2026-03-01T08:10", 520_000),
            ("2026-03-01T12:10", 0),
            ("2026-03-01T13:00", 490_000),
            ("2026-03-02T13:00", None),
        ],
    ),
    "thousands": ('date,device,octets\n2026-03-01,a,"520,000"\n2026-03-02,a,490000\n', TWO_DAYS),
    "total-line": ("date,device,octets\n2026-03-01,a,520000\n2026-03-02,a,490000\nTotal,,1010000\n", TWO_DAYS),
    "twilio-style": (TWILIO, UTC_DAYS),
    "two-rows-a-day": (
        "date,device,octets\n2026-03-01,a,100000\n2026-03-01,a,200000\n2026-03-02,a,490000\n",
        [("2026-03-01T00:00", 300_000), *TWO_DAYS[1:]],
    ),
    "monthly": (
        "date,device,octets\n2026-01,a,15000000\n2026-02,a,18000000\n2026-03,a,12000000\n",
        [
            ("2026-01-01T00:00", 15_000_000),
            ("2026-02-01T00:00", 18_000_000),
            ("2026-03-01T00:00", 12_000_000),
            ("2026-04-01T00:00", None),
        ],
    ),
}
REFUSED = {
    "mb-decimal": ("date,device,octets\n2026-03-01,a,0.52\n2026-03-02,a,0.49\n", "--unit MB"),
    "us-date": ("date,device,octets\n03/01/2026,a,520000\n03/02/2026,a,490000\n", "--dates dmy or --dates mdy"),
    "months-as-dates": (MONTHS_AS_DATES, "--rows day or --rows month"),
}


@pytest.mark.parametrize("name", FIELD)
def test_exports_from_the_field(name):
    content, expected = FIELD[name]
    (curve,) = curves(content).curves
    assert steps(curve) == expected


def test_ninety_even_days():
    rows = [f"{datetime(2026, 1, 1) + timedelta(days=day):%Y-%m-%d},a,483870\n" for day in range(90)]
    (curve,) = curves("date,device,octets\n" + "".join(rows)).curves
    assert (curve.total, curve.seconds, len(curve.times)) == (90 * 483_870, 90 * 86_400, 91)


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_file_does_not_say_is_asked_for(name):
    content, words = REFUSED[name]
    with pytest.raises(UsageError, match=words):
        curves(content)


def test_what_was_asked_for_is_used():
    (curve,) = curves(REFUSED["mb-decimal"][0], unit="MB").curves
    assert [octets for _, octets in steps(curve)[:2]] == [545_260, 513_803]  # 545,259.52 and 513,802.24
    for order, second in (("mdy", "2026-03-02"), ("dmy", "2026-02-03")):
        (curve,) = curves(REFUSED["us-date"][0], dates=order, rows="day").curves
        assert f"{second}T00:00" in dict(steps(curve))
    (curve,) = curves(MONTHS_AS_DATES, rows="day").curves
    assert dict(steps(curve))["2026-01-02T00:00"] == 0
    history = curves(MONTHS_AS_DATES, rows="month")
    assert steps(history.curves[0])[1:3] == [("2026-02-01T00:00", 58_000_000), ("2026-03-01T00:00", 12_000_000)]
    assert history.notes == ["its rows are months: the use of each is spread evenly over its days"]


def test_a_date_that_tells_decides_for_the_others():
    (curve,) = curves("date,octets\n03/01/2026,5\n03/13/2026,7\n").curves
    assert ("2026-03-13T00:00", 7) in steps(curve)
    with pytest.raises(UsageError, match=r"line 3, time: .* in another order"):
        curves("date,octets\n13/03/2026,5\n03/14/2026,7\n")


DAY, MARCH = 86_400, 31 * 86_400


@pytest.mark.parametrize(
    ("head", "row", "sim", "begin", "length", "octets"),
    [
        ("日期,卡号,用量(KB)", "46082,1440,1", "1440", "2026-03-01T00:00", DAY, KB),  # Excel's serial number
        ("日期,卡号,用量(KB)", "46082.5,1440,1", "1440", "2026-03-01T12:00", 0, KB),
        ("日期,卡号,用量(KB)", '2026年3月1日,="1440",1', "1440", "2026-03-01T00:00", DAY, KB),
        ("日期,卡号,流量", "2026-03-01,1440,1.5MB", "1440", "2026-03-01T00:00", DAY, 3 * MB // 2),
        ("账期,ICCID,流量(MB)", "202603,8986,2", "8986", "2026-03-01T00:00", MARCH, 2 * MB),
        ("month,accessNumber,flowAmount", "202603,1064,2", "1064", "2026-03-01T00:00", MARCH, 2 * MB),
        ("timestamp;sim;usage (MB)", "2026-03-01 9:30 pm;a;0,5", "a", "2026-03-01T21:30", 0, MB // 2),
        ("date,iccid,volume", "2026-03-01,8988,0.000001", "8988", "2026-03-01T00:00", DAY, 2),
        (
            "start_timestamp,end_timestamp,iccid,volume", "2026-03-01T00:00Z,2026-03-01T01:00Z,8988,3",
            "8988", "2026-03-01T08:00", 3_600, 3 * MB,
        ),
        (
            "session_begin,session_end,linkid,bytes", "2026-03-01 00:00:00,2026-03-01 00:00:00,7,99",
            "7", "2026-03-01T00:00", 1, 99,
        ),
        (
            "imsi,date,uploadByteSizeTotal,downloadByteSizeTotal", "440,20260301,40,2",
            "440", "2026-03-01T00:00", DAY, 42,
        ),
        ("date\tdevice\toctets", "2026/3/1\ta\t5", "a", "2026-03-01T00:00", DAY, 5),
        ("time,octets", "1772323200000,5", "", "2026-03-01T08:00", 0, 5),
        ("time,octets", "20260301203000,5", "", "2026-03-01T20:30", 0, 5),
        ("date,octets", "01.03.2026,5", "", "2026-03-01T00:00", DAY, 5),
        ("date,octets", '2026-03-01,"1,234,567"', "", "2026-03-01T00:00", DAY, 1_234_567),
        ("date,usage (KB)", '2026-03-01,"1,234.5"', "", "2026-03-01T00:00", DAY, 1_234 * KB + 512),
        ("date;usage (KB)", "2026-03-01;1.234,5", "", "2026-03-01T00:00", DAY, 1_234 * KB + 512),
        ("sep=;\ndate;usage (KB)", "2026-03-01;0,5", "", "2026-03-01T00:00", DAY, 512),
    ],
)  # fmt: skip
def test_layouts_units_and_dates(head, row, sim, begin, length, octets):
    rows = read(f"{head}\n{row}\n", "x.csv", Asked()).sims[sim]
    at = (datetime.fromisoformat(begin).replace(tzinfo=CHINA) - EPOCH).total_seconds()
    assert (list(rows.times), list(rows.lengths), list(rows.octets)) == ([at], [length], [octets])


def test_unicoms_months_begin_on_the_27th():
    (curve,) = curves("账期,ICCID,流量(MB)\n202603,8986,2\n", format="unicom").curves
    assert steps(curve) == [("2026-02-27T00:00", 2 * MB), ("2026-03-27T00:00", None)]


def test_sessions_that_overlap_use_data_at_the_same_time():
    text = "start_time,stop_time,sim_card_id,uplink_data,downlink_data\n" + "".join(
        f"2026-03-01T{begin}:00Z,2026-03-01T{end}:00Z,a,0,{octets}\n"
        for begin, end, octets in (("00:00", "04:00", 400), ("01:00", "02:00", 10), ("01:00", "03:00", 7))
    )
    (curve,) = curves(text).curves
    assert steps(curve, UTC) == [
        ("2026-03-01T00:00", 100),
        ("2026-03-01T01:00", 113),  # 7 octets in two hours: 3 in the first one
        ("2026-03-01T02:00", 104),
        ("2026-03-01T03:00", 100),
        ("2026-03-01T04:00", None),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("date,device,usage\n2026-03-01,a,5\n", "line 2, usage: .* has no unit.*--unit MB"),
        ("date;device;usage (MB)\n2026-03-01;a;1,234\n", "has two readings; export it without separators"),
        ("date;octets\n2026-03-01;1.234\n", "has two readings"),
        ('date,octets\n2026-03-01,"1,23"\n', "is not a number"),
        ('date,octets\n2026-03-01,"1,23,456"\n', "is not a number"),
        ("date,octets\n2026-03,5\n2026-03-01,6\n", "line 2: is a month, and line 3 a day"),
        ("starttime,stoptime,uplink_data,downlink_data\n2026-03-02T00:00Z,2026-03-01T00:00Z,1,2\n", "ends before it"),
        ("name,remark\n", "say whose export it is with --format"),
        ("", "x.csv: is empty"),
    ],
)
def test_what_is_refused(text, words):
    with pytest.raises(UsageError, match=words):
        curves(text)


def test_options_name_their_choices():
    for option in ({"format": "jasper"}, {"unit": "kB"}, {"rows": "week"}, {"dates": "ymd"}):
        with pytest.raises(UsageError, match="is not known here; use one of"):
            curves("date,octets\n2026-03-01,1\n", **option)
    with pytest.raises(UsageError, match='line 1: there is no column "periodstart"'):
        curves("date,octets\n2026-03-01,1\n", format="twilio")


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 90), st.integers(0, 10**9)), min_size=1, max_size=12))
def test_no_octet_is_lost_or_made(sessions):
    """By an integral over each session: what is used up to any point is within an octet a session of it."""
    base = datetime(2026, 3, 1, tzinfo=UTC)
    unique = list(dict.fromkeys(sessions))

    def at(minute):
        return f"{base + timedelta(minutes=minute):%Y-%m-%dT%H:%MZ}"

    rows = [f"{at(begin)},{at(begin + length)},{octets}" for begin, length, octets in unique]
    (curve,) = curves("\n".join(["start_time,end_time,octets", *rows]) + "\n").curves
    assert curve.total == sum(octets for _, _, octets in unique)
    origin = base + timedelta(minutes=min(begin for begin, _, _ in unique))
    for second, used in zip(curve.times.tolist(), curve.octets.tolist(), strict=True):
        minute = (second - curve.times[0]) / 60 + (origin - base).total_seconds() / 60
        exact = sum(n * min(max((minute - begin) / length, 0), 1) for begin, length, n in unique)
        assert exact - len(unique) - 1e-3 <= used <= exact + 1e-3


def test_every_portal_is_chosen_by_its_columns_or_by_name():
    portals = "onelink unicom telecom 1nce twilio telnyx soracom emnify hologram"
    assert set(portals.split()) < LAYOUTS.keys()


def test_plan_fit_reads_exports_and_passes_the_answers_on(tmp_path, capsys):
    usage, plan = tmp_path / "u.csv", tmp_path / "p.toml"
    plan.write_text('[plan]\nallowance_octets = "30MB"\n')
    usage.write_text(MONTHS_AS_DATES)
    arguments = ["plan", "fit", str(usage), "--plans", str(plan)]
    assert cli.run(arguments) == 2
    assert "--rows day or --rows month" in capsys.readouterr().err
    assert cli.run([*arguments, "--rows", "month"]) == 0
    told = capsys.readouterr().out
    assert "spread evenly" in told
