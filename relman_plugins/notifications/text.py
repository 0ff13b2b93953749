"""Text for Slack that does what it says and nothing else.

Three characters mean something to Slack everywhere (``&``, ``<``, ``>``: links and mentions), four more
inside ``mrkdwn`` (``*``, ``_``, ``~`` and the backtick). Whatever people or programs wrote passes through
``plain`` or ``code`` before it stands in ``mrkdwn``; longer passages go into ``blocks.quote``, which Slack
does not parse.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from relman_plugins.domain.identity import Actor

_CONTROL = re.compile(
    # Control characters of both sets and line ends; what turns the direction of writing; what nobody sees:
    # soft hyphens, joiners that join nothing, tags. Joiners of emoji and of Persian words stay.
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    r"\u00ad\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_INERT = {"*": "∗", "~": "∼", "`": "'"}
# Bounded before the @, as RFC 5321 does: without, a long text that has none takes quadratic time.
_MAILBOX = re.compile(r"[^\s<>()\[\]{}:;,'\"]{1,320}@[^\s<>()\[\]{}:;,'\"]+")
_EDGE = re.compile(r"(?<!\w)_|_(?!\w)")
_MEMBER = re.compile(r"[UW][A-Z0-9]{2,20}")
_ZERO_WIDTH = "\u200b"
# ":fire:" is drawn as a picture. Times of day have colons too, and stay as they are.
_EMOJI = re.compile(r":(?!(?<=\d:)\d\d:)(?=[\w+'-]+:)")


def escape(text: str) -> str:
    """Escape what Slack gives a meaning to everywhere, so that no link or mention can appear."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def clean(text: Any) -> str:
    """Drop control characters, those that change the direction of writing, and those that nobody sees."""
    return _CONTROL.sub("", str(text))


def nobody(text: str) -> str:
    """Return text without mail addresses: servers name whom they refuse, and the outbox knows whose it is."""
    return _MAILBOX.sub("…", text)


def one_line(text: Any, limit: int = 200) -> str:
    """Return text in one line, cut with an ellipsis."""
    return cut(" ".join(clean(text).split()), limit)


def cut(text: str, limit: int) -> str:
    """Return at most ``limit`` characters, the last one an ellipsis when something is missing."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def plain(text: Any, limit: int = 200) -> str:
    """Return one line for ``mrkdwn`` in which nothing is formatted, linked, mentioned or drawn."""
    line = one_line(text, limit)
    for mark, like in _INERT.items():
        line = line.replace(mark, like)
    # Underscores inside words are common, and inert. "@here" and the like reach people only as one word.
    line = re.sub(r"@(?=\w)", f"@{_ZERO_WIDTH}", _EDGE.sub("ˍ", line))
    line = _EMOJI.sub(f":{_ZERO_WIDTH}", line)
    return escape(line)


def code(text: Any, limit: int = 100) -> str:
    """Return one line as code, for versions, digests and names of things."""
    line = one_line(text, limit).replace("`", "'")
    return f"`{escape(line)}`" if line else "`–`"


def person(actor: Actor) -> str:
    """Return who did something, and the way they came."""
    name = plain(actor.name or actor.id, 80)
    return f"{name} (via {plain(actor.via, 20)})" if actor.via and actor.kind == "person" else name


def mention(slack: Any, name: Any) -> str:
    """Return a mention that notifies, or the name when ``slack`` is no member id."""
    return f"<@{slack}>" if isinstance(slack, str) and _MEMBER.fullmatch(slack) else plain(name, 80)


def link(url: str, words: str) -> str:
    """Return a link, or nothing when there is no address. ``url`` is percent-encoded, ``words`` our own."""
    return f"<{escape(url)}|{words}>" if url else ""


def digest(value: Any) -> str:
    """Return a digest short enough to compare by eye."""
    algorithm, _, rest = str(value).partition(":")
    return code(f"{algorithm}:{rest[:12]}" if rest else algorithm[:12])


def duration(seconds: Any) -> str:
    """Return seconds as people say them: ``0.4 s``, ``12 s``, ``3 min``, ``2 h 5 min``."""
    s = float(seconds or 0)
    if s < 10:
        return f"{s:.1f} s"
    if s < 90:
        return f"{s:.0f} s"
    minutes = round(s / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def moment(value: Any) -> str:
    """Return a time as each reader's own clock shows it, with UTC for clients that cannot."""
    try:
        at = datetime.fromisoformat(str(value)).astimezone(UTC)
    except ValueError:
        return plain(value, 40)
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{at:%Y-%m-%d %H:%M} UTC>"


def count(number: Any, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{number} {one if number == 1 else many or one + 's'}"
