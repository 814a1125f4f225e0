import pytest

from host_tools.sim.modem import profile

from .conftest import Bench


def test_all_shipped_profiles_load():
    for name in profile.names():
        assert profile.load(name).name == name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = ", "invalid value"),
        ('name = "x"', "manufacturer"),
        (None, "colour"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, problem):
    path = tmp_path / "mine.toml"
    good = (profile._HERE / "quectel-ec200u.toml").read_text()
    path.write_text(f"colour = 1\n{good}" if text is None else text)
    with pytest.raises(ValueError, match=problem) as error:
        profile.load(str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_profile():
    with pytest.raises(ValueError, match=r"'nosuch' is unknown; known are .*quectel-ec200u"):
        profile.load("nosuch")


def test_a_setting_that_the_modem_does_not_have(make_bench):
    import msgspec

    odd = msgspec.structs.replace(profile.load("quectel-ec200u"), settings={"+NOSUCH": "1"})
    with pytest.raises(ValueError, match=r"settings\.\+NOSUCH"):
        Bench(profile=odd)
