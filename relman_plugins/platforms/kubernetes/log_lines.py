"""A log with times, read piece by piece → its lines, each once: pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

LOG_BYTES = 256 * 1024
"""How much of a log is taken at once."""

LONGEST_LINE = 2_000
"""Characters of one line of a log that are passed on."""

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def new_lines(text: str, after: str) -> tuple[list[str], str]:
    """Return the lines of a piece of a log that are later than ``after``, and the time of the last one.

    Many lines may have one time: CRI-O writes the same for all that it has read from the container at once.

    Args:
        text: what the API gave from the whole second of ``after`` on, each line with its time; if it has
            ``LOG_BYTES``, there is more.
        after: a time that this function returned; empty for the beginning.
    """
    full = len(text.encode()) >= LOG_BYTES
    lines = text.split("\n")
    if full and len(lines) > 1:
        # It is cut somewhere: next time the last line is whole.
        lines.pop()
    stamped = [(_precise(stamp), said) for stamp, _, said in (line.partition(" ") for line in lines)]
    new = [(at, said) for at, said in stamped if at > after]
    last = max((at for at, _ in new), default=after)
    if full and (earlier := [(at, said) for at, said in new if at < last]):
        # More lines may have the last time than are here: they come together the next time.
        new, last = earlier, max(at for at, _ in earlier)
    if full and not new and after:
        # More in one second than is taken at once: asked again, the API would give the same for ever.
        second = datetime.fromisoformat(after[:19]) + timedelta(seconds=1)
        return [
            "(some lines are left out: there were too many in one second)"
        ], f"{second.isoformat()}.{'':0<9}"
    return [said[:LONGEST_LINE] for _, said in new], last


def _precise(stamp: str) -> str:
    """Return a time so that later ones compare greater, in UTC with nine digits of a second; else nothing.

    A node writes the times of its own zone.
    """
    found = _STAMP.fullmatch(stamp)
    if found is None:
        return ""
    whole, fraction, zone = found.groups()
    try:
        at = datetime.fromisoformat(whole + zone.replace("Z", "+00:00")).astimezone(UTC)
    except ValueError:
        return ""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{fraction or '':0<9}"
