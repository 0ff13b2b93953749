"""What somebody types in Slack after ``/relman``: the request, and what it asks for. Pure.

The words are those of the command line. Source: Slack's page "Implementing slash commands".
"""

from __future__ import annotations

import argparse
import html
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn
from urllib.parse import parse_qs

from pydantic import BaseModel, ValidationError

from relman_plugins.domain.typed_time import moment_of
from relman_plugins.plugin.models import FreezeBody, ThawBody, wrong
from relman_plugins.plugin.slack_request import Id, Malformed, Place, seal_of

USAGE = (
    "/relman freeze --environment production --pipeline checkout --label tier=critical --until 22:00 "
    "--unless-approved --reason why (all but --reason may be left out)",
    "/relman thaw --environment production --reason why (with the scope of the freeze)",
    "/relman freezes",
)
"""What can be typed, a line each."""

_DASH = re.compile(r"(?<!\S)[\u2013\u2014](?=[a-z])")
_QUOTES = str.maketrans("\u201c\u201d\u201e", '"""')


class Command(BaseModel):
    """What somebody typed, as Slack sends it."""

    user_id: Id
    channel_id: Id
    text: str = ""
    seal: str
    """Digest of the signed request: another delivery of the same one has the same."""

    @property
    def place(self) -> Place:
        """Where it was typed, and so where it is answered."""
        return Place(channel=self.channel_id)


class Wish(NamedTuple):
    """What is asked for: a freeze, a thaw, or neither: what is frozen."""

    freeze: FreezeBody | None = None
    thaw: ThawBody | None = None


class Misspelt(ValueError):
    """What was typed means nothing; the message, for people, says why."""


def read_command(body: bytes, headers: Mapping[str, str]) -> Command | None:
    """Read a signed request; None for Slack's own question whether there is somebody.

    Raises:
        Malformed: It is not what Slack sends.
    """
    try:
        fields = {key: value for key, (value, *_) in parse_qs(body.decode(), max_num_fields=40).items()}
        if "ssl_check" in fields:
            return None
        return Command.model_validate({**fields, "seal": seal_of(body, headers)})
    except ValueError as error:
        raise Malformed("not a command as Slack sends it") from error


def wish_of(text: str, now: datetime) -> Wish:
    """Return what a text asks for. ``now`` is aware; times without a zone are UTC.

    Raises:
        Misspelt: It asks for nothing that there is.
    """
    verb, *words = _words(text) or [""]
    if verb == "freezes" and not words:
        return Wish()
    if verb not in ("freeze", "thaw"):
        raise Misspelt(
            f"expected freeze, thaw or freezes, got {verb[:40]!r}" if verb else "what is to be done?"
        )
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--environment", default="", action=_Once)
    parser.add_argument("--pipeline", default="", action=_Once)
    parser.add_argument("--label", action="append", default=[])
    # Without quotes too: it goes on to the next option.
    parser.add_argument("--reason", nargs="+", required=True, action=_Once)
    if verb == "freeze":
        parser.add_argument("--until", action=_Once)
        parser.add_argument("--unless-approved", action="store_const", const="approved", dest="unless")
    given = {key: value for key, value in vars(parser.parse_args(words)).items() if value is not None}
    given |= {"labels": _labels(given.pop("label")), "reason": " ".join(given["reason"])}
    try:
        if verb == "thaw":
            return Wish(thaw=ThawBody.model_validate(given))
        if "until" in given:
            given["until"] = moment_of(given["until"], now, UTC)
        return Wish(freeze=FreezeBody.model_validate(given))
    except ValidationError as error:
        raise Misspelt(wrong(error.errors())) from None
    except ValueError as error:
        raise Misspelt(f"--until: {error}") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Misspelt(message)


class _Once(argparse.Action):
    """Stores what an option is given, and refuses a second time: which of the two was meant?"""

    given = False

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: Any = None
    ) -> None:
        if self.given:
            parser.error(f"{self.option_strings[0]} is there twice; type one command for each")
        self.given = True
        setattr(namespace, self.dest, values)


def _words(text: str) -> list[str]:
    """Split a text as people type it: phones make one long dash of two, and quotes that are curved."""
    text = _DASH.sub("--", html.unescape(text)).translate(_QUOTES)
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split = True
    # An apostrophe is no quote, and nothing is escaped: this is no shell.
    lexer.quotes, lexer.escape, lexer.commenters = '"', "", ""
    try:
        return list(lexer)
    except ValueError:
        raise Misspelt('a " has no other " after it') from None


def _labels(texts: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not (key and value) or key in found:
            raise Misspelt(
                f"--label: expected KEY=VALUE, such as tier=critical, each key once; got {text[:80]!r}"
            )
        found[key] = value
    return found
