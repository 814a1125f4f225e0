"""Passwords and keys: from the environment or a file that only its owner can read, and never in any text."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from host_tools.base.errors import UsageError

_SHOWN = "***"


class Secret:
    """A password, key or token. Its text is only where `reveal` is called."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def hidden_in(self, text: str) -> str:
        """The text without the secret."""
        return text.replace(self._text, _SHOWN) if self._text else text

    def __repr__(self) -> str:
        return _SHOWN

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret stays in its process")


def load(variable: str, file: Path | None, where: str) -> Secret:
    """The secret in an environment variable, else in a file of mode 0600. UsageError where neither has one."""
    text = os.environ.get(variable, "")
    if not text and file is not None:
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & 0o077:
                raise UsageError(str(file), "", "can be read by others", "run: chmod 600 on it")
            text = file.read_text("utf-8").strip()
        except OSError as error:
            raise UsageError(str(file), "", f"cannot be read: {(error.strerror or '').lower()}") from None
        except UnicodeDecodeError:
            raise UsageError(str(file), "", "is not UTF-8 text") from None
    if not text:
        raise UsageError(where, "", "has no secret", f"set {variable}, or secret_file to a file of mode 0600")
    return Secret(text)
