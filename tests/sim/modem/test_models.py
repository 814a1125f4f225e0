import pytest

from host_tools.base.errors import UsageError
from host_tools.sim.modem import models
from host_tools.sim.modem.dialects import DIALECTS

SHIPPED = models._HERE / "quectel-ec200u.toml"


def test_all_shipped_profiles_load():
    for name in models.names():
        assert models.load(name).name == name


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (None, "name = ", "not valid TOML"),
        (None, 'name = "x"', "dialect: is missing"),
        ('name = "', 'colour = 1\nname = "', "colour: no such field"),
        ('dialect = "quectel"', 'dialect = "ublox"', 'dialect: there is no simulated modem for "ublox"; use "quectel"'),
        ('unset = "1980-', 'unset = "198-', "clock.unset"),
        ("[delay_ms]", "[quirks]\nquick = true\n[delay_ms]", "quirks.quick: the dialect has no such quirk; there are"),
        ('"+CEREG" = "(0-2)"', '"+NOSUCH" = "(0)"', "ranges.+NOSUCH: the dialect has no such setting"),
        ('"+CEREG" = "(0-2)"', '"+CTZU" = "(0)"', "is out of range; the ranges are (0)"),
        ("[delay_ms]", '[delay_ms]\n"+AT" = 1\n[other]', "other: no such field"),
        ('"*" = 4', '"+CSQ" = 4', 'delay_ms: has no "*"'),
        ('"+CTZU" = "1"', '"+NOSUCH" = "1"', "settings.+NOSUCH: the dialect has no such setting; there are E, Q,"),
        ('"+CTZU" = "1"', '"+CTZU" = "2"', 'settings.+CTZU: "2" is out of range; the ranges are (0,1,3)'),
        ('"+CTZU" = "1"', '"+CSCS" = "\\"KLINGON\\""', "settings.+CSCS"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path, old, new, problem):
    path = tmp_path / "mine.toml"
    text = SHIPPED.read_text()
    assert old is None or text.count(old) == 1
    path.write_text(new if old is None else text.replace(old, new))
    with pytest.raises(UsageError) as error:
        models.load(str(path))
    assert problem in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_setting_of_a_profile_of_ones_own(make_bench, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SHIPPED.read_text().replace('"+CTZU" = "1"', '"+CSCS" = "\\"UCS2\\""'))
    assert make_bench(profile=models.load(str(path))).send("AT+CSCS?") == '\r\n+CSCS: "UCS2"\r\n\r\nOK\r\n'


def test_unknown_profile():
    with pytest.raises(UsageError, match=r'"nosuch" is unknown; there are .*quectel-ec200u'):
        models.load("nosuch")


def test_every_dialect_has_a_shipped_model():
    assert {models.load(name).dialect for name in models.names()} == set(DIALECTS)
