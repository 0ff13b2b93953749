"""Windows and freezes of a plan as people read them, and exactly enough to tell two of them apart."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from relman_plugins.domain.base import digest_of

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_STARTERS = {"person": "started by a person", "schedule": "started by a schedule"}


def weekly(value: dict[str, Any]) -> str:
    """Write one weekly window: ``mon-fri 09:00-17:00 Europe/Berlin``."""
    return f"{_days(value['days'])} {value['from']}-{value['to']} {value['zone']}"


def calendar(value: dict[str, Any]) -> str:
    """Write one calendar with what applies of it: ``calendar company (only office hours; not year end)``."""
    said = []
    for effect, word in (("allow", "only"), ("deny", "not")):
        names = [f"{w['name']}{_about(w)}" for w in value["windows"] if w["effect"] == effect]
        said += [f"{word} {', '.join(names)}"] if names else []
    return f"calendar {value['name']} ({'; '.join(said)})"


def each(value: dict[str, Any]) -> list[str]:
    """Write every window of a calendar with its times: ``company: deny year end, 2026-12-18T18:00:00 …``."""
    return [f"{value['name']}: {w['effect']} {w['name']}{_about(w)}, {_times(w)}" for w in value["windows"]]


def _about(value: dict[str, Any]) -> str:
    who = _STARTERS.get(value.get("started_by") or "")
    about = [*([" and ".join(value["actions"])] if value.get("actions") else []), *([who] if who else [])]
    about += ["unless approved"] if value.get("unless") else []
    return f" [{', '.join(about)}]" if about else ""


def _times(value: dict[str, Any]) -> str:
    if found := value.get("weekly"):
        return weekly(found)
    if found := value.get("cron"):
        return f"cron {found['expression']} {found['zone']} for {timedelta(seconds=found['seconds'])}"
    if found := value.get("holidays"):
        parts = "-".join(filter(None, (found["country"], found.get("subdivision"))))
        return f"public holidays of {parts} {found['zone']}"
    series: list[dict[str, Any]] = value.get("series") or []
    if len(series) != 1 or set(series[0]) - {"start", "zone", "length", "rules", "with_start"}:
        # From a calendar's file: by its content.
        return f"{len(series)} events, {digest_of(series)[7:19]}"
    (one,) = series
    start = datetime.fromisoformat(one["start"])
    length = timedelta(seconds=one["length"].get("seconds", 0), days=one["length"].get("days", 0))
    rules = "".join(f" {rule}" for rule in one.get("rules") or ())
    return f"{start:%Y-%m-%d %H:%M:%S} {one['zone']} for {length}{rules}"


def _days(days: Iterable[str]) -> str:
    places = sorted(_DAYS.index(d) for d in set(days))
    if len(places) > 2 and places == list(range(places[0], places[-1] + 1)):
        return f"{_DAYS[places[0]]}-{_DAYS[places[-1]]}"
    return ", ".join(_DAYS[p] for p in places)
