"""Who may use the fleet's page: accounts, their sessions and API tokens, and the audit, in the collector's database.

Of a session or a token only a digest is kept: who reads the database cannot use them.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from host_tools.collector.database import Database

SESSION = timedelta(hours=12)
RESET = timedelta(hours=24)
LEAST_PASSWORD, MOST_PASSWORD = 10, 256
TOKEN_PREFIX = "ug_"
_NAME = re.compile(r"[A-Za-z0-9][\w.@-]{0,63}", re.ASCII)
_SECRET_OCTETS = 32


class Role(enum.IntEnum):
    """What an account may do; each may do what those before it may. One that has NONE can not even log in."""

    NONE = 0
    READ = 1
    ACT = 2  # give orders
    ADMIN = 3  # accounts, and the audit


@dataclass(frozen=True, slots=True)
class User:
    """Who asks: an account, or one of its tokens. `csrf` is what its forms have to send back; "" with a token."""

    name: str
    role: Role
    csrf: str = ""

    def may(self, role: Role) -> bool:
        return self.role >= role


@dataclass(frozen=True, slots=True)
class Token:
    """An API token; `digest` in hexadecimal digits names it."""

    digest: str
    account: str
    label: str
    role: Role
    since: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that somebody did, or was refused."""

    at: datetime
    account: str
    what: str
    detail: str


class Accounts:
    """As with a Store, any method may raise StoreError; ValueError has a key of `words.toml` as its text."""

    def __init__(self, database: Database, hasher: PasswordHasher | None = None) -> None:
        self._db = database
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash(secrets.token_hex())

    def any(self) -> bool:
        return self._db.first("SELECT 1 FROM account LIMIT 1") is not None

    def all(self) -> list[tuple[str, Role, datetime]]:
        rows = self._db.execute("SELECT name, role, since FROM account ORDER BY name")
        return [(name, Role[role], datetime.fromisoformat(since)) for name, role, since in rows]

    def add(self, name: str, password: str, role: Role, by: str, *, first: bool = False) -> None:
        """Adds an account; `first`: only where there is none yet."""
        if not _NAME.fullmatch(name):
            raise ValueError("bad-name")
        _check(password)
        hashed = self._hasher.hash(password)
        with self._db.transaction():
            if first and self.any():
                raise ValueError("not-first")
            if self.has(name):
                raise ValueError("name-taken")
            self._db.execute(
                "INSERT INTO account VALUES (?, ?, ?, ?)", (name, hashed, role.name, _now().isoformat())
            )
            self.note(by, "account-added", f"{name} {role.name.lower()}")

    def change_role(self, name: str, role: Role, by: str) -> None:
        with self._db.transaction():
            self._keep_an_admin(name, role)
            self._db.execute("UPDATE account SET role = ? WHERE name = ?", (role.name, name))
            if role is Role.NONE:
                self._end_sessions(name)
            self.note(by, "role-changed", f"{name} {role.name.lower()}")

    def change_password(self, name: str, password: str, by: str) -> None:
        """Ends all its sessions too."""
        _check(password)
        hashed = self._hasher.hash(password)
        with self._db.transaction():
            self._db.execute("UPDATE account SET password = ? WHERE name = ?", (hashed, name))
            self._end_sessions(name)
            self._db.execute("DELETE FROM password_reset WHERE account = ?", (name,))
            self.note(by, "password-changed", name)

    def _end_sessions(self, name: str) -> None:
        self._db.execute("DELETE FROM web_session WHERE account = ?", (name,))

    def invite(self, name: str, role: Role, by: str) -> str:
        """Adds an account that nobody knows the password of; the code to choose one."""
        self.add(name, secrets.token_urlsafe(_SECRET_OCTETS), role, by)
        return self.reset_code(name, by)

    def reset_code(self, name: str, by: str) -> str:
        """A code with which the account's password can be chosen anew, once, for RESET."""
        code = secrets.token_urlsafe(_SECRET_OCTETS)
        with self._db.transaction():
            if not self.has(name):
                raise ValueError("no-account")
            self._db.execute("DELETE FROM password_reset WHERE account = ?", (name,))
            until = (_now() + RESET).isoformat()
            self._db.execute("INSERT INTO password_reset VALUES (?, ?, ?)", (_digest(code), name, until))
            self.note(by, "reset-code", name)
        return code

    def whose(self, code: str) -> str | None:
        """The account that a code of `reset_code` is for, while it holds."""
        row = self._db.first(
            "SELECT account FROM password_reset WHERE digest = ? AND until >= ?", (_digest(code), _now().isoformat())
        )
        return row[0] if row else None

    def has(self, name: str) -> bool:
        return self._db.first("SELECT 1 FROM account WHERE name = ?", (name,)) is not None

    def remove(self, name: str, by: str) -> None:
        """Ends its sessions and tokens too, and forgets its saved views."""
        with self._db.transaction():
            self._keep_an_admin(name, None)
            self._db.execute("DELETE FROM account WHERE name = ?", (name,))
            for table in ("web_session", "api_token", "password_reset", "saved_view"):
                self._db.execute(f"DELETE FROM {table} WHERE account = ?", (name,))
            self.note(by, "account-removed", name)

    def _keep_an_admin(self, name: str, role: Role | None) -> None:
        if role is not Role.ADMIN and [each for each, its, _ in self.all() if its is Role.ADMIN] == [name]:
            raise ValueError("last-admin")

    # --- logins ---

    def hash_of(self, name: str) -> str | None:
        """The hash of its password; None where it may not log in."""
        row = self._db.first("SELECT password FROM account WHERE name = ? AND role <> ?", (name, Role.NONE.name))
        return row[0] if row else None

    def is_right(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password of `hash_of`; takes as long where there is no such account. Uses no database."""
        try:
            right = self._hasher.verify(hashed or self._nobody, password[:MOST_PASSWORD])
            return right and hashed is not None and len(password) <= MOST_PASSWORD
        except (VerificationError, InvalidHashError):
            return False

    def log_in(self, name: str) -> str:
        """A new session of the account; what its cookie has to be."""
        secret = secrets.token_urlsafe(_SECRET_OCTETS)
        now = _now()
        with self._db.transaction():
            self._db.execute("DELETE FROM web_session WHERE until < ?", (now.isoformat(),))
            self._db.execute(
                "INSERT INTO web_session VALUES (?, ?, ?)", (_digest(secret), name, (now + SESSION).isoformat())
            )
            self.note(name, "login", "")
        return secret

    def user(self, secret: str) -> User | None:
        """Who has the cookie of a session that has not ended."""
        row = self._db.first(
            "SELECT name, role FROM web_session JOIN account ON name = account WHERE digest = ? AND until >= ?",
            (_digest(secret), _now().isoformat()),
        )
        return User(row[0], Role[row[1]], csrf_of(secret)) if row and Role[row[1]] else None

    def log_out(self, secret: str) -> None:
        with self._db.transaction():
            self._db.execute("DELETE FROM web_session WHERE digest = ?", (_digest(secret),))

    # --- tokens ---

    def add_token(self, user: User, label: str, role: Role) -> str:
        """A new token that may do no more than its account; it is told only now."""
        secret = TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_OCTETS)
        with self._db.transaction():
            self._db.execute(
                "INSERT INTO api_token VALUES (?, ?, ?, ?, ?)",
                (_digest(secret), user.name, label, min(role, user.role).name, _now().isoformat()),
            )
            self.note(user.name, "token-added", label)
        return secret

    def tokens(self, account: str) -> list[Token]:
        rows = self._db.execute(
            "SELECT digest, account, label, role, since FROM api_token WHERE account = ? ORDER BY since, digest",
            (account,),
        )
        return [
            Token(bytes(digest).hex(), name, label, Role[role], datetime.fromisoformat(since))
            for digest, name, label, role, since in rows
        ]

    def remove_token(self, account: str, digest: str) -> None:
        """Removes a token of this account alone."""
        with self._db.transaction():
            for token in self.tokens(account):
                if token.digest == digest:
                    self._db.execute("DELETE FROM api_token WHERE digest = ?", (bytes.fromhex(digest),))
                    self.note(account, "token-removed", token.label)

    def bearer(self, secret: str) -> User | None:
        """Whose token it is. Its role is never above that of the account now."""
        row = self._db.first(
            "SELECT a.name, t.role, a.role FROM api_token AS t JOIN account AS a ON a.name = t.account"
            " WHERE digest = ?",
            (_digest(secret),),
        )
        role = min(Role[row[1]], Role[row[2]]) if row else Role.NONE
        return User(row[0], role) if row and role else None

    # --- audit ---

    def note(self, account: str, what: str, detail: str) -> None:
        with self._db.transaction():
            self._db.execute(
                "INSERT INTO audit (at, account, what, detail) VALUES (?, ?, ?, ?)",
                (_now().isoformat(), account, what, detail),
            )

    def audit(self, most: int) -> list[Entry]:
        """The newest entries, newest first."""
        rows = self._db.execute("SELECT at, account, what, detail FROM audit ORDER BY id DESC LIMIT ?", (most,))
        return [Entry(datetime.fromisoformat(at), *rest) for at, *rest in rows]


def csrf_of(secret: str) -> str:
    """What the forms of a session send back; it does not tell the cookie."""
    return hmac.digest(secret.encode(), b"form", "sha256").hex()


def _check(password: str) -> None:
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise ValueError("bad-password")


def _digest(secret: str) -> bytes:
    # A fast hash is enough for a secret of 256 random bits.
    return hashlib.sha256(secret.encode()).digest()


def _now() -> datetime:
    return datetime.now(UTC)
