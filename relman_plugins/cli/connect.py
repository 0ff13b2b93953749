"""The options of every command that asks a server, and where each value came from.

A command is written with the open :class:`~relman_plugins.cli.api.Api` as its first argument; ``connected``
gives it the options. Options outrank the environment, which outranks the profile in the configuration file.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer

from relman_plugins.cli import config
from relman_plugins.cli.exits import Exit, Stop

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api

DEFAULT_URL = "http://localhost:8080"
P = ParamSpec("P")


def _option(name: str, help: str, **more: Any) -> Any:
    more.setdefault("show_default", False)
    return Annotated[str, typer.Option(f"--{name}", envvar=f"RELMAN_{name.upper()}", help=help, **more)]


_OPTIONS: dict[str, Any] = {
    "url": _option("url", f"Address of Airflow; {DEFAULT_URL} if nothing says another."),
    "user": _option("user", "Airflow user name."),
    "password": _option("password", "Better set by the variable or in the configuration file than typed."),
    "token": _option("token", "Airflow token, instead of user and password."),
    "profile": _option(
        "profile",
        f"Which profile of the configuration file; {config.DEFAULT_PROFILE!r} if nothing says another.",
        autocompletion=config.complete,
    ),
}


@dataclass(frozen=True)
class Login:
    """Where to log in, and as whom."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where ``url``, ``user``, ``password`` and ``token`` came from, in words; and a ``note``."""

    def open(self, **more: Any) -> Api:
        """Return the session; nothing is sent yet."""
        from relman_plugins.cli.api import Api

        return Api(self.url, self.user, self.password, self.token, sources=self.sources, **more)


def connected(command: Callable[Concatenate[Api, P], None]) -> Callable[..., None]:
    """Give a command the options of a connection; it is called with the session open."""
    hints = get_type_hints(command, localns={"Api": object}, include_extras=True)
    parameters = [
        *(
            p.replace(kind=p.KEYWORD_ONLY, annotation=hints[name])
            for name, p in list(inspect.signature(command).parameters.items())[1:]
        ),
        *(_keyword(name, option, default="") for name, option in _OPTIONS.items()),
        _keyword("ctx", typer.Context),
    ]

    def run(*, ctx: typer.Context, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name) for name in _OPTIONS}
        with resolve(given, _typed(ctx)).open() as api, understood(api):
            command(api, **kwargs)  # type: ignore[call-arg]

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


@contextmanager
def understood(api: Api) -> Iterator[None]:
    """Take an answer in which something is missing, or of another kind, for that of another program.

    Errors before the first answer, and with RELMAN_DEBUG all of them, are passed on as they are.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        if not api.answered or os.environ.get("RELMAN_DEBUG"):
            raise
        said = str(error).partition("\n")[0]
        raise Stop(
            Exit.ENVIRONMENT,
            f"{api.url} answers, but not as relman's API; is it another program or another version? "
            f"({type(error).__name__}: {said}; RELMAN_DEBUG=1 shows where)",
        ) from error


def resolve(given: Mapping[str, str], typed: Collection[str] = (), *, run: bool = True) -> Login:
    """Return the login for what was given; ``typed`` names what stood on the command line itself.

    The first of command line, environment and file that has a token or a user decides as whom, and the first
    that names an address or a profile decides where. What is secret goes only where it belongs: a profile's
    login to the profile's own address, its password only for its own user, the environment's login to the
    environment's address. ``run``: whether the profile's commands may be run.

    Raises:
        Stop: the configuration file can't be used, or a command in it failed or must not be run.
    """
    found = config.profile(given["profile"]) or config.Profile("")
    file = f"profile {found.name} of {config.path()}"
    source = {name: f"--{name}" if name in typed else f"RELMAN_{name.upper()}" for name in _OPTIONS}
    if given["url"] and ("url" in typed or "profile" not in typed or not found.url):
        url, sources = given["url"], {"url": source["url"]}
    else:
        url, sources = found.url or DEFAULT_URL, {"url": file if found.url else "default"}
    notes = []
    if (home := _home(typed, found)) is not None and not _same(home, url):
        away = [source[n] for n in ("user", "password", "token") if given[n] and n not in typed]
        given = {n: value if n in typed else "" for n, value in given.items()}
        if away:
            which = home or "no address that is named; set RELMAN_URL with it"
            notes.append(f"{', '.join(away)}: for {which}, so not used")
    if "profile" in typed and found.has_login and _same(url, found.url):
        # It was typed for its login, too; only a password that is nobody else's may come from elsewhere.
        lent = ("password",) if given["user"] in ("", found.user) and not found.asks("password") else ()
        given = {n: value if n in typed or n in lent else "" for n, value in given.items()}
    if not _same(url, found.url):
        if found.has_login:
            notes.append(f"the login of {file} is for {found.url or 'no address'}, so it is not used")
        found = config.Profile("")
    sources |= {"note": "; ".join(notes)} if notes else {}
    for level in ("--", "RELMAN_"):
        if given["token"] and source["token"].startswith(level):
            return Login(url, token=given["token"], sources=sources | {"token": source["token"]})
        if given["user"] and source["user"].startswith(level):
            break
    else:
        if not given["password"] and (token := found.ask("token", run=run)):
            return Login(url, token=token, sources=sources | {"token": file})
    user = given["user"] or found.user
    if not user:
        return Login(url, sources=sources)
    sources["user"] = source["user"] if given["user"] else file
    password = given["password"] or (found.ask("password", run=run) if user == found.user else "")
    if password:
        sources["password"] = source["password"] if given["password"] else file
    return Login(url, user, password, sources=sources)


def while_typing(ctx: typer.Context) -> Login:
    """Return the login for what has been typed so far, for completion; raises as ``resolve``.

    It runs no command of a profile: nobody who presses Tab expects to unlock a password manager.
    """
    typed = {name for name in _OPTIONS if ctx.params.get(name)}
    given = {n: str(ctx.params.get(n) or os.environ.get(f"RELMAN_{n.upper()}", "")) for n in _OPTIONS}
    return resolve(given, typed, run=False)


def _home(typed: Collection[str], found: config.Profile) -> str | None:
    """Return the address that the environment's login is for; None when that is wherever the command goes."""
    if url := os.environ.get("RELMAN_URL"):
        return url
    if os.environ.get("RELMAN_PROFILE") and "profile" not in typed:
        return found.url or None
    # It names no address. One that is typed in full was meant for it; a profile has logins of its own.
    return "" if "profile" in typed and "url" not in typed and found.url else None


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


def _keyword(name: str, annotation: Any, **more: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, **more)


def _typed(ctx: typer.Context) -> set[str]:
    return {n for n in _OPTIONS if getattr(ctx.get_parameter_source(n), "name", "") == "COMMANDLINE"}
