"""Accounts, sessions and tokens."""

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from host_tools.collector.schema import SCHEMA
from host_tools.collector.store import Store
from host_tools.fleet import accounts as module
from host_tools.fleet.accounts import RESET, SESSION, Role, User
from host_tools.fleet.views import MOST, Views
from tests.fleet.site import PASSWORD, quick


@pytest.fixture
def accounts(new_database):
    with closing(Store(new_database())) as store:
        made = quick(store.database)
        made.add("ada", PASSWORD, Role.ADMIN, "ada", first=True)
        made.add("bob", PASSWORD, Role.READ, "ada")
        yield made


def everything(accounts):
    """All that the database has."""
    tables = re.findall(r"CREATE TABLE (\w+)", SCHEMA)
    assert "web_session" in tables
    return repr([accounts._db.execute(f"SELECT * FROM {table}") for table in tables])


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


def test_a_password_is_chosen_with_a_code_once_and_in_time(accounts, monkeypatch):
    session, first = accounts.log_in("bob"), accounts.reset_code("bob", "ada")
    code = accounts.reset_code("bob", "ada")
    assert code not in everything(accounts)
    assert [accounts.whose(each) for each in (first, code, "")] == [None, "bob", None]
    accounts.change_password("bob", "another long one", "bob")
    assert (accounts.whose(code), accounts.user(session)) == (None, None)
    code, later = accounts.reset_code("bob", "ada"), datetime.now(UTC) + RESET
    monkeypatch.setattr(module, "_now", lambda: later + timedelta(seconds=1))
    assert accounts.whose(code) is None
    with pytest.raises(ValueError, match="no-account"):
        accounts.reset_code("eve", "ada")


def test_who_was_invited_has_no_password_before(accounts):
    code = accounts.invite("eve", Role.ACT, "ada")
    assert not accounts.is_right(accounts.hash_of("eve"), "")
    accounts.change_password(accounts.whose(code), PASSWORD, "eve")
    assert accounts.is_right(accounts.hash_of("eve"), PASSWORD)


def test_who_is_disabled_gets_in_by_nothing(accounts):
    session, token = accounts.log_in("bob"), accounts.add_token(User("bob", Role.READ), "ci", Role.READ)
    accounts.change_role("bob", Role.NONE, "ada")
    late = accounts.log_in("bob")  # whose password was checked just before
    assert [accounts.user(session), accounts.user(late), accounts.bearer(token)] == [None] * 3
    assert not accounts.is_right(accounts.hash_of("bob"), PASSWORD)
    accounts.change_role("bob", Role.READ, "ada")
    assert accounts.is_right(accounts.hash_of("bob"), PASSWORD)
    assert accounts.user(session) is None, "sessions do not come back"
    with pytest.raises(ValueError, match="last-admin"):
        accounts.change_role("ada", Role.NONE, "ada")


def test_views_are_an_accounts_own(accounts):
    views = Views(accounts._db)
    for account, name, query in (("ada", "dark", "?state=1"), ("bob", "dark", "?state=2"), ("ada", "dark", "?state=3")):
        views.save(account, name, query)
    views.remove("bob", "other")
    assert (views.all("ada"), views.all("bob")) == ([("dark", "?state=3")], [("dark", "?state=2")])
    for number in range(MOST):
        views.save("ada", f"view {number:02}", "?q=a")
    assert len(views.all("ada")) == MOST
    views.remove("ada", "dark")
    accounts.remove("bob", "ada")
    assert (len(views.all("ada")), views.all("bob")) == (MOST - 1, [])


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
