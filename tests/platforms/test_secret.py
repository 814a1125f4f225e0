"""Where secrets may lie, and where they never show."""

import os
import pickle

import pytest

from host_tools.base.errors import UsageError
from host_tools.platforms.secret import Secret, load


def test_the_environment_goes_before_the_file(tmp_path, monkeypatch):
    file = tmp_path / "secret"
    file.write_text("from-file\n")
    file.chmod(0o600)
    assert load("A_SECRET", file, "x").reveal() == "from-file"
    monkeypatch.setenv("A_SECRET", "from-environment")
    assert load("A_SECRET", file, "x").reveal() == "from-environment"


def test_a_file_that_others_can_read_is_refused(tmp_path):
    file = tmp_path / "secret"
    file.write_text("s")
    for mode in (0o640, 0o604, 0o644):
        os.chmod(file, mode)
        with pytest.raises(UsageError, match="can be read by others; run: chmod 600"):
            load("A_SECRET", file, "x")


def test_none_anywhere(tmp_path):
    with pytest.raises(UsageError, match=r"p\.toml: has no secret; set A_SECRET"):
        load("A_SECRET", None, "p.toml")
    with pytest.raises(UsageError, match="no such file"):
        load("A_SECRET", tmp_path / "none", "p.toml")


def test_it_shows_nowhere():
    secret = Secret("hush")
    assert "hush" not in f"{secret} {secret!r} {[secret]}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
