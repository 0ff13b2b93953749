"""The configuration file: addresses and logins by profile, so that they need not be typed."""

from __future__ import annotations

import os
import stat
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from relman_plugins.cli.exits import Exit, Stop

DEFAULT_PROFILE = "default"
COMMAND_S = 60.0
"""How long a command for a password or token may take: a password manager may ask for a fingerprint."""

_SECRETS = ("password", "token")
_COMMANDS = ("password_command", "token_command")


@dataclass(frozen=True)
class Profile:
    """One table of the file."""

    name: str
    url: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    password_command: tuple[str, ...] = ()
    """Program and arguments whose first line of output is the password; no shell is involved."""
    token_command: tuple[str, ...] = ()
    """The same, for a token."""

    @property
    def has_login(self) -> bool:
        """Say whether it says as whom."""
        return bool(self.user or self.token or self.token_command)

    def asks(self, what: Literal["password", "token"]) -> bool:
        """Say whether it says which, or how to find out."""
        return bool(getattr(self, what) or getattr(self, f"{what}_command"))

    def ask(self, what: Literal["password", "token"], *, run: bool = True) -> str:
        """Return the password or token, from the file or by its command; empty when it has neither.

        Raises:
            Stop: the command can't be started, fails, takes too long, prints nothing, or ``run`` forbids it.
        """
        if written := str(getattr(self, what)):
            return written
        command: tuple[str, ...] = getattr(self, f"{what}_command")
        if command and not run:
            raise Stop(Exit.ENVIRONMENT, f"{what}_command is not run here")
        return _output_of(command, f"{what}_command") if command else ""


def path() -> Path:
    """Return where the file is: ``RELMAN_CONFIG``, else ``relman/config.toml`` in the XDG folder."""
    if named := os.environ.get("RELMAN_CONFIG"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path("~/.config").expanduser()) / "relman" / "config.toml"


def profile(wanted: str) -> Profile | None:
    """Return the profile called ``wanted``, or ``default`` when that is empty; None when nothing is written.

    Raises:
        Stop: the file can't be read or is not as it must be, others may read a secret in it or change where
            logins are sent, or there is no profile called ``wanted``.
    """
    file = path()
    tables, about = _tables(file, needed=bool(wanted or os.environ.get("RELMAN_CONFIG")))
    name = wanted or DEFAULT_PROFILE
    table = tables.get(name)
    if table is None:
        if not wanted:
            return None
        there = ", ".join(sorted(tables)) or "none"
        raise Stop(Exit.USAGE, f"--profile {wanted!r}: {file} has no such profile; it has: {there}")
    found = _profile(file, name, table)
    if about is not None:
        _check_access(file, found, about)
    return found


def complete(incomplete: str) -> list[str]:
    """Return the profiles that begin so, for a shell; none when the file can't be used."""
    try:
        return [name for name in sorted(_tables(path(), needed=False)[0]) if name.startswith(incomplete)]
    except Stop:
        return []


def _output_of(command: tuple[str, ...], what: str) -> str:
    import subprocess

    try:
        done = subprocess.run(  # noqa: S603 - an argument list from the user's own file, never a shell
            command, stdout=subprocess.PIPE, text=True, timeout=COMMAND_S, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        reason = f"took longer than {COMMAND_S:.0f} s" if hasattr(error, "timeout") else str(error)
        raise Stop(Exit.ENVIRONMENT, f"{what} ({command[0]}): {reason}") from error
    said = done.stdout.splitlines()[:1]
    if done.returncode or not said or not said[0].strip():
        how = f"ended with exit code {done.returncode}" if done.returncode else "printed nothing"
        raise Stop(Exit.ENVIRONMENT, f"{what} ({command[0]}) {how}")
    return said[0].strip()


def _tables(file: Path, *, needed: bool) -> tuple[dict[str, Any], os.stat_result | None]:
    """Return what is in the file, and what the system says of the very file that was read."""
    try:
        with file.open("rb") as opened:
            about = os.fstat(opened.fileno())
            text = opened.read().decode()
    except FileNotFoundError:
        if needed:
            raise Stop(Exit.USAGE, f"{file}: there is no such configuration file") from None
        return {}, None
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(Exit.USAGE, f"{file} can't be read: {error}") from error
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Stop(Exit.USAGE, f"{file} is not TOML: {error}") from error
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise Stop(Exit.USAGE, f"{file}: {name!r} stands outside a profile; put it below [default]")
    return tables, about


def _profile(file: Path, name: str, table: dict[str, Any]) -> Profile:
    import difflib

    known = [f.name for f in fields(Profile) if f.name != "name"]
    values: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{file}: [{name}] {key}"
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
            raise Stop(Exit.USAGE, f"{where}: unknown key; {hint}")
        if key in _COMMANDS:
            if not (isinstance(value, list) and value and all(isinstance(v, str) for v in value)):
                raise Stop(
                    Exit.USAGE, f'{where}: expected a list of program and arguments, as ["pass", "show", "x"]'
                )
            values[key] = tuple(value)
        elif isinstance(value, str):
            values[key] = value
        else:
            raise Stop(Exit.USAGE, f"{where}: expected text in quotes")
    found = Profile(name, **values)
    if found.has_login and not found.url:
        raise Stop(Exit.USAGE, f"{file}: [{name}] has a login and no url; say where it is for")
    return found


def _check_access(file: Path, found: Profile, about: os.stat_result) -> None:
    """Refuse a file that gives its secrets away, or in which somebody else decides where logins are sent."""
    if os.name != "posix":
        return
    mode = stat.S_IMODE(about.st_mode)
    if any(getattr(found, name) for name in _SECRETS) and mode & 0o077:
        raise Stop(
            Exit.USAGE,
            f"{file} holds a password or token and others may use it (mode {mode:04o}); "
            f"run: chmod 600 {_quoted(file)}",
        )
    what = "names a command to run" if any(getattr(found, n) for n in _COMMANDS) else "says where to log in"
    if about.st_uid not in (os.getuid(), 0):
        raise Stop(Exit.USAGE, f"{file} {what} and belongs to somebody else (user id {about.st_uid})")
    if mode & 0o022:
        raise Stop(
            Exit.USAGE,
            f"{file} {what} and others may write it (mode {mode:04o}); run: chmod go-w {_quoted(file)}",
        )


def _quoted(file: Path) -> str:
    import shlex

    return shlex.quote(str(file))
