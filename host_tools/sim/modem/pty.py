"""The simulated modem on a pseudo-terminal, in real time, for any AT client."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from host_tools.sim.modem.profile import Profile
from host_tools.sim.modem.served.far_end import Pty
from host_tools.sim.modem.served.modem import NUMBER, RESPONDER, ServedModem
from host_tools.sim.network.bridge import parse_target

__all__ = ["NUMBER", "LinkedPty", "PtyModem", "drop_stale_link", "parse_relays"]

# RFC 1123 section 2.1: labels of letters, digits and hyphens; one of digits alone at the end is an address.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
_PTY = re.compile(r"/dev/(?:pts/|ttys)[0-9]+")  # as Linux and as macOS names them


class LinkedPty(Pty):
    """A pseudo-terminal with a symbolic link to it. ValueError with one clear line when the link cannot be made."""

    def __init__(self, link: str | None) -> None:
        super().__init__()
        self.link: Path | None = None
        if link is not None:
            try:
                self.link = _make_link(link, self.where)
            except ValueError:
                self.close()
                raise

    def close(self) -> None:
        if self.link is not None and self.link.is_symlink() and os.readlink(self.link) == self.where:
            self.link.unlink()
        super().close()


class PtyModem(ServedModem):
    """A served modem behind a pseudo-terminal; `path` is what a client opens. ValueError as of `LinkedPty`."""

    def __init__(self, profile: Profile, *, link: str | None = None, **options: Any) -> None:
        super().__init__(profile, LinkedPty(link), **options)


def parse_relays(given: Iterable[str]) -> dict[str, str]:
    """Host name to `address:port` from texts as "reports.example.com=127.0.0.1:5683".

    Raises ValueError with one clear line for a text that is none, and for a name that is there already.

    >>> parse_relays(["Reports.example.com.=127.0.0.1:5683"])
    {'reports.example.com': '127.0.0.1:5683'}
    """
    relays: dict[str, str] = {}
    for text in given:
        name, separator, target = text.partition("=")
        name = name.lower().removesuffix(".")
        where = f"--relay {text}"
        if not separator:
            raise ValueError(f"{where}: leads nowhere; write NAME=127.0.0.1:PORT")
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(f'{where}: "{name}" is no host name; write it as in "reports.example.com=127.0.0.1:5683"')
        if name == RESPONDER or name in relays:
            raise ValueError(f'{where}: "{name}" is there already; give each name once')
        try:
            parse_target(target)
        except ValueError:
            hint = "write NAME=127.0.0.1:PORT or NAME=[::1]:PORT"
            raise ValueError(f'{where}: "{target}" is no address and port of this machine; {hint}') from None
        relays[name] = target
    return relays


def drop_stale_link(link: Path) -> None:
    """Removes a link that one who was killed has left: it dangles, or its pty's number is another's by now.

    A pty that was made after the link is another: it changes its inode (`st_ctime`) at its birth alone.
    OSError: it cannot be removed.
    """
    if not link.is_symlink():
        return
    try:
        born_ns = link.stat().st_ctime_ns
    except FileNotFoundError:
        link.unlink()
        return
    if _PTY.fullmatch(os.path.realpath(link)) and born_ns > link.lstat().st_mtime_ns:
        link.unlink()


def _make_link(link: str, target: str) -> Path:
    path = Path(link)
    try:
        drop_stale_link(path)
        path.symlink_to(target)
    except FileExistsError:
        raise ValueError(f"--link {link}: exists already; remove it or give another path") from None
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise ValueError(
            f"--link {link}: {problem}; give a path in a directory that exists and is writable"
        ) from None
    return path
