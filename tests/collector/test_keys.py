"""The file of keys: what it may hold, and what stays of it when a key is added."""

import json
import stat

import pytest

from host_tools.base.errors import UsageError
from host_tools.collector.keys import load_keys, store_keys
from tests.collector.sealed import DEVICE, KEY

OTHER = bytes(reversed(range(32)))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("k.toml", "a = 5", "k.toml: a: is not a key"),
        ("k.toml", 'a = "zz"', "k.toml: a: is not a key"),
        ("k.toml", 'a = "00"', "k.toml: a: is a key of 1 bytes"),
        ("k.toml", f'"a b" = "{KEY.hex()}"', "k.toml: a b: is not a device id"),
        ("k.toml", "= 5", "k.toml: "),
        ("k.json", "[]", "k.json: is not a table"),
        ("k.json", "{", "k.json: "),
    ],
)
def test_bad_keys(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        load_keys(tmp_path / name)
    assert says in str(caught.value)


def test_keys(tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(f'{DEVICE} = "{KEY.hex()}"\n')
    json_file = tmp_path / "keys.json"
    json_file.write_text(f'{{"{DEVICE}": "{KEY.hex()}"}}')
    assert load_keys(keys) == load_keys(json_file) == {DEVICE: KEY}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", ["keys.toml", "keys.json"])
def test_a_key_is_added(tmp_path, name):
    path = tmp_path / name
    store_keys(path, {DEVICE: KEY})
    store_keys(path, {"a.b-c_9": OTHER})
    assert load_keys(path) == {DEVICE: KEY, "a.b-c_9": OTHER}
    store_keys(path, {DEVICE: OTHER})
    assert load_keys(path) == {DEVICE: OTHER, "a.b-c_9": OTHER}
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert mode(path) == 0o600


OWN = f"""# the fleet
"z-last" = "{OTHER.hex()}"   # by the gate

  tracker-001='{KEY.hex()}' # the first one
# "{DEVICE}" = "none"
'tracker-0011' = "{OTHER.hex()}"
"""


def test_what_a_person_wrote_stays(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text(OWN)
    store_keys(path, {"tracker-002": KEY})
    assert path.read_text() == OWN + f'"tracker-002" = "{KEY.hex()}"\n'
    store_keys(path, {DEVICE: OTHER})
    changed = OWN.replace(f"tracker-001='{KEY.hex()}'", f'tracker-001="{OTHER.hex()}"')
    assert path.read_text() == changed + f'"tracker-002" = "{KEY.hex()}"\n'


def test_a_file_without_a_last_line_end_and_with_those_of_windows(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_bytes(f'\ufeffb = "{OTHER.hex()}"\r\na = "{OTHER.hex()}"'.encode())
    store_keys(path, {DEVICE: KEY})
    assert list(load_keys(path)) == ["b", "a", DEVICE]
    assert path.read_bytes().count(b"\r\n") == 1


def test_the_order_of_a_json_file_stays(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"z": OTHER.hex(), "a": OTHER.hex()}))
    store_keys(path, {"m": KEY})
    assert list(load_keys(path)) == ["z", "a", "m"]


def test_a_key_that_cannot_be_found_again_is_not_changed(tmp_path):
    path = tmp_path / "keys.toml"
    text = f'{DEVICE} = """{KEY.hex()}"""\n'
    path.write_text(text)
    assert load_keys(path) == {DEVICE: KEY}
    with pytest.raises(UsageError, match="cannot be replaced in place; remove its line"):
        store_keys(path, {DEVICE: OTHER})
    assert path.read_text() == text


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text(OWN)
    path.chmod(0o666)
    store_keys(path, {"tracker-002": KEY})
    assert mode(path) == 0o600


@pytest.mark.parametrize("there", [True, False], ids=["a file", "nothing there"])
def test_a_link_is_not_followed(tmp_path, there):
    target = tmp_path / "elsewhere"
    path = tmp_path / "keys.toml"
    if there:
        target.write_text(OWN)
    path.symlink_to(target)
    with pytest.raises(UsageError, match=r"keys.toml: is a symbolic link"):
        store_keys(path, {"tracker-002": KEY})
    assert path.is_symlink()
    assert (target.read_text() == OWN) if there else not target.exists()


def test_a_link_with_a_name_that_could_be_guessed_is_not_written_through(tmp_path):
    """In a folder that others write to, as /tmp."""
    target = tmp_path / "elsewhere"
    target.write_text("mine")
    for name in ("keys.toml.new", "keys.toml.tmp", ".keys.toml.new", ".keys.toml.swp"):
        (tmp_path / name).symlink_to(target)
    store_keys(tmp_path / "keys.toml", {DEVICE: KEY})
    assert target.read_text() == "mine"


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(UsageError, match=r"--keys: .*no such file"):
        store_keys(tmp_path / "none" / "keys.toml", {DEVICE: KEY})


def test_many_keys_are_added_and_replaced_at_once(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text(OWN)
    store_keys(path, {f"d{number}": bytes([number]) * 32 for number in range(200)} | {DEVICE: OTHER})
    assert load_keys(path) == load_keys(path) | {DEVICE: OTHER, "d0": bytes(32), "d199": bytes([199]) * 32}
    assert len(load_keys(path)) == 3 + 200
