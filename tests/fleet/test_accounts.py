"""Accounts, sessions and tokens."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from host_tools.collector.store import Store
from host_tools.fleet import accounts as module
from host_tools.fleet.accounts import SESSION, Role, User
from tests.fleet.site import PASSWORD, quick


@pytest.fixture
def accounts():
    with closing(Store()) as store:
        made = quick(store.database)
        made.add("ada", PASSWORD, Role.ADMIN, "ada", first=True)
        made.add("bob", PASSWORD, Role.READ, "ada")
        yield made


def everything(accounts):
    """All that the database has."""
    tables = accounts._db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    return repr([accounts._db.execute(f"SELECT * FROM {table}") for (table,) in tables])


def test_a_session_is_its_cookies_alone_and_ends(accounts, monkeypatch):
    secret = accounts.log_in("bob")
    assert accounts.user(secret) == User("bob", Role.READ, module.csrf_of(secret))
    assert secret not in everything(accounts)
    assert module.csrf_of(secret) not in secret
    assert accounts.user(secret + "x") is None
    later = datetime.now(UTC) + SESSION
    monkeypatch.setattr(module, "_now", lambda: later + timedelta(seconds=1))
    assert accounts.user(secret) is None


def test_a_password_that_changes_ends_sessions(accounts):
    secret, other = accounts.log_in("bob"), accounts.log_in("ada")
    accounts.change_password("bob", "another long one", "bob")
    assert accounts.user(secret) is None
    assert accounts.user(other) is not None
    assert accounts.is_right(accounts.hash_of("bob"), "another long one")
    assert not accounts.is_right(accounts.hash_of("bob"), PASSWORD)


def test_a_token_never_does_more_than_its_account(accounts):
    token = accounts.add_token(User("ada", Role.ADMIN), "ci", Role.ACT)
    assert token not in everything(accounts)
    assert accounts.bearer(token) == User("ada", Role.ACT)
    assert accounts.bearer(accounts.add_token(User("bob", Role.READ), "ci", Role.ADMIN)) == User("bob", Role.READ)
    accounts.add("eve", PASSWORD, Role.ADMIN, "ada")
    accounts.change_role("ada", Role.READ, "eve")
    assert accounts.bearer(token) == User("ada", Role.READ)
    (mine,) = accounts.tokens("ada")
    accounts.remove_token("bob", mine.digest)
    assert accounts.bearer(token), "another's token"
    accounts.remove("ada", "eve")
    assert accounts.bearer(token) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda accounts: accounts.add("bob", PASSWORD, Role.READ, "ada"), "name-taken"),
        (lambda accounts: accounts.add("eve", PASSWORD, Role.ADMIN, "eve", first=True), "not-first"),
        (lambda accounts: accounts.add("e v", PASSWORD, Role.READ, "ada"), "bad-name"),
        (lambda accounts: accounts.add("eve", "too short", Role.READ, "ada"), "bad-password"),
        (lambda accounts: accounts.add("eve", "x" * 257, Role.READ, "ada"), "bad-password"),
        (lambda accounts: accounts.remove("ada", "ada"), "last-admin"),
        (lambda accounts: accounts.change_role("ada", Role.ACT, "ada"), "last-admin"),
    ],
)
def test_what_is_refused(accounts, change, problem):
    before = everything(accounts)
    with pytest.raises(ValueError, match=problem):
        change(accounts)
    assert everything(accounts) == before


def test_a_longer_password_is_not_the_same(accounts):
    accounts.change_password("bob", "x" * 256, "bob")
    assert accounts.is_right(accounts.hash_of("bob"), "x" * 256)
    assert not accounts.is_right(accounts.hash_of("bob"), "x" * 257)


def test_the_audit_has_who_did_what(accounts):
    accounts.log_in("bob")
    accounts.remove("bob", "ada")
    said = [(each.account, each.what, each.detail) for each in accounts.audit(10)]
    assert said == [
        ("ada", "account-removed", "bob"),
        ("bob", "login", ""),
        ("ada", "account-added", "bob read"),
        ("ada", "account-added", "ada admin"),
    ]
