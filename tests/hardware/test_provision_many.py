"""Ids and keys of many boards at once."""

import json

import pytest

from host_tools import cli
from host_tools.collector.keys import load_keys


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def provision(*more):
    return cli.run(["provision", "--keys", "keys.toml", "--csv", "ids.csv", "--out", "boards", *more])


def made(here):
    return {file.name: json.loads(file.read_text()) for file in (here / "boards").iterdir()}


def test_each_gets_a_key_of_its_own_in_both_places(here, capsys):
    (here / "ids.csv").write_text("\ufeffid;pin\r\na-1;1234\r\nb.2;\r\n")
    assert provision() == 0
    keys = load_keys(here / "keys.toml")
    assert made(here) == {
        "a-1.json": {"id": "a-1", "key": keys["a-1"].hex(), "pin": "1234"},
        "b.2.json": {"id": "b.2", "key": keys["b.2"].hex()},
    }
    assert len({bytes(32), *keys.values()}) == 3
    assert {file.stat().st_mode & 0o777 for file in (here / "boards").iterdir()} == {0o600}
    said = capsys.readouterr()
    assert "2 devices" in said.out
    assert not any(key.hex() in said.out + said.err for key in keys.values())


def test_a_key_is_replaced_only_by_force(here, capsys):
    (here / "ids.csv").write_text("id\na\n")
    assert provision() == 0
    first = load_keys(here / "keys.toml")
    (here / "ids.csv").write_text("id\nnew\na\n")
    assert provision() == 2
    assert "a: already has a key" in capsys.readouterr().err
    assert load_keys(here / "keys.toml") == first
    assert provision("--force") == 0
    assert load_keys(here / "keys.toml").keys() == {"a", "new"}
    assert load_keys(here / "keys.toml")["a"] != first["a"]
    assert made(here)["a.json"]["key"] == load_keys(here / "keys.toml")["a"].hex()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "ids.csv: id: has the columns"),
        ("id\n", "names no device"),
        ("name\na\n", "has the columns name"),
        ("id,pin,more\na,,\n", "more: has the columns id, pin, more"),
        ("id\na\nb\na\n", "line 4: a: is there twice"),
        ("id,pin\na,12\n", "line 2: pin: is not a PIN"),
        ("id\na\nnot an id\n", "line 3"),
    ],
)
def test_a_mistake_in_the_table_makes_nothing(here, capsys, table, said):
    (here / "ids.csv").write_text(table)
    assert provision() == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (here / "keys.toml").exists()
    assert not (here / "boards").exists()


@pytest.mark.parametrize("arguments", [[], ["--csv", "x"], ["--port", "x"], ["--csv", "x", "--out", "y", "--id", "a"]])
def test_it_is_for_one_board_or_for_many(here, capsys, arguments):
    assert cli.run(["provision", "--keys", "keys.toml", *arguments]) == 2
    assert "--port and --id, or --csv and --out" in " ".join(capsys.readouterr().err.split())
