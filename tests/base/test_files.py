"""Every option that takes a file, with every kind of file that will not do: one line with its name and what would."""

import pytest

from host_tools import cli

APP = "def main(guard):\n    pass\n"
CONFIG = f"""
[device]
id = "a"
key = "{'5a' * 32}"
[modem]
family = "quectel"
apn = "x"
[plan]
allowance_octets = 30_000_000
"""
READERS = {
    "sim": "sim {file}",
    "plan": "plan {file}",
    "plan fit, usage": "plan fit {file} --plans demo",
    "plan fit, plans": "plan fit {usage} --plans {file}",
    "modem": "modem --profile {file}",
    "collector": "collector --keys {file} --db {folder}/db.sqlite --port 0",
    "deploy, config": "deploy --board own-esp32-quectel --port /nowhere --config {file} --app {app}",
    "deploy, app": "deploy --board own-esp32-quectel --port /nowhere --config {config} --app {file}",
    "deploy, board": "deploy --board {file} --port /nowhere --config {config} --app {app}",
}
TABLES = [name for name in READERS if name not in ("plan fit, usage", "deploy, app")]


@pytest.fixture
def refused(tmp_path, capsys):
    """Runs a reader on a file; returns what it says."""
    names = {"usage": "usage.csv", "app": "app.py", "config": "c.toml", "folder": "."}
    given = {name: tmp_path / file for name, file in names.items()}
    given["usage"].write_text("date,octets\n2026-03-01,1\n2026-03-02,1\n")
    given["app"].write_text(APP)
    given["config"].write_text(CONFIG)

    def run(reader, file, content=None):
        path = tmp_path / file
        if content is not None:
            path.write_bytes(content)
        status = cli.run(READERS[reader].format(file=path, **given).split())
        out, err = capsys.readouterr()
        assert (status, out) == (2, ""), err
        assert err.startswith("usageguard: ")
        assert err.count("\n") == 1, err
        assert path.name in err, "it names the file"
        problem, _, hint = err.partition("; ")
        assert hint.strip() or ": line " in problem, "it says what would be right, or where it is not"
        return problem

    return run


def name_for(reader, kind="bad"):
    suffix = {"plan fit, usage": ".csv", "deploy, app": ".py"}.get(reader, ".toml")
    return kind + suffix


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_missing(refused, reader):
    assert refused(reader, name_for(reader, "missing")).endswith(("no such file", "no such scenario"))


@pytest.mark.parametrize("reader", [name for name in READERS if name != "deploy, board"])
def test_a_folder(refused, reader, tmp_path):
    (tmp_path / name_for(reader, "folder")).mkdir()
    assert refused(reader, name_for(reader, "folder")).endswith("is a folder")


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_not_utf8(refused, reader):
    kinds = "neither UTF-8 nor GBK text" if reader == "plan fit, usage" else "not UTF-8 text"
    assert refused(reader, name_for(reader), b"# \xe9,\n").endswith(f"is {kinds}")


@pytest.mark.parametrize("reader", READERS)
def test_an_empty_file(refused, reader):
    assert refused(reader, name_for(reader), b"").endswith(("is missing", "is empty", "has no keys", "has no main"))


@pytest.mark.parametrize("reader", TABLES)
def test_what_is_no_toml(refused, reader):
    assert "line 1, column" in refused(reader, "bad.toml", b"[plan\n")


@pytest.mark.parametrize("reader", ["plan", "plan fit, plans", "collector", "deploy, config"])
@pytest.mark.parametrize(("text", "problem"), [(b"{\n,}", "line 2: not valid JSON"), (b"", "line 1: not valid JSON")])
def test_what_is_no_json(refused, reader, text, problem):
    assert problem in refused(reader, "bad.json", text)


@pytest.mark.parametrize("reader", ["sim", "plan", "plan fit, plans", "deploy, config"])
def test_a_plan_without_its_table(refused, reader):
    said = refused(reader, "bare.toml", b"allowance_octets = 30_000_000\n")
    assert said.endswith("allowance_octets: is a key of the plan")
