"""`usageguard fleet account`, on a collector's database."""

import re
from contextlib import closing

import pytest

from host_tools import cli
from host_tools.collector.store import Store
from host_tools.fleet import accounts as module
from host_tools.fleet.accounts import Accounts, Role
from tests.fleet.site import PASSWORD, quick


@pytest.fixture
def db(new_database, monkeypatch):
    path = new_database()
    Store(path).close()
    hasher = quick(None)._hasher
    monkeypatch.setattr(module, "PasswordHasher", lambda: hasher)
    return path


@pytest.fixture
def said(capsys, db):
    def say(*argv, status=0):
        assert (cli.run(["fleet", "account", *argv, "--db", str(db)]) or 0) == status
        told = capsys.readouterr()
        return " ".join((told.err if status else told.out).split())

    return say


def test_an_account_is_added_changed_kept_out_and_let_in(said, db):
    told = said("add", "ada", "--role", "admin", "--url", "https://fleet.example/")
    (code,) = re.findall(r"ada chooses a password within a day at https://fleet.example/reset#(\S+)$", told)
    said("add", "bob")
    with closing(Store(db)) as store:
        accounts = Accounts(store.database)
        assert accounts.whose(code) == "ada"
        accounts.change_password("ada", PASSWORD, "ada")
        assert [(name, role) for name, role, _ in accounts.all()] == [("ada", Role.ADMIN), ("bob", Role.READ)]
        said("role", "bob", "act")
        said("disable", "bob")
        assert re.search(r"account role since ada admin \d{4}-\d\d-\d\d \d\d:\d\d bob none", said("list"))
        (code,) = re.findall(r"#(\S+)$", said("link", "bob"))
        assert accounts.whose(code) == "bob"
        audit = {(each.what, each.detail) for each in accounts.audit(99) if each.account.endswith(" at a terminal")}
        assert {("account-added", "ada admin"), ("role-changed", "bob none"), ("reset-code", "bob")} <= audit


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (("add", "eve", "--role", "king"), "is no role; use none, read, act, admin"),
        (("add", "e/e"), "A name has up to 64 letters"),
        (("role", "eve", "act"), "There is no account of this name."),
        (("disable", "eve"), "There is no account of this name."),
        (("link", "eve"), "There is no account of this name."),
        (("disable", "ada"), "It is the only administrator's."),
        (("add", "ada"), "There is an account of this name."),
    ],
)
def test_what_cannot_be_done_is_said(said, argv, problem):
    said("add", "ada", "--role", "admin")
    assert problem in said(*argv, status=2)


def test_the_first_account_is_an_administrators(said):
    assert "the first account has to be an administrator's" in said("add", "bob", "--role", "act", status=2)
    said("add", "ada", "--role", "admin")
    said("add", "bob", "--role", "act")


def test_the_pages_database_is_not_the_commands(capsys, db):
    assert cli.run(["fleet", "--db", str(db), "account", "list"]) == 2
    assert "is for the page here; write it behind fleet account" in capsys.readouterr().err
