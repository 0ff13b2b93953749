from __future__ import annotations

from datetime import datetime

import pytest

from relman_plugins.cli.exits import Stop
from relman_plugins.cli.times import moment_of


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch):
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


NOW = datetime.fromisoformat("2026-10-24T21:30:00+02:00")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("22:00", "2026-10-24T22:00:00+02:00"),
        # Tomorrow, and the clocks are changed in the night.
        ("21:30", "2026-10-25T21:30:00+01:00"),
        ("6:05", "2026-10-25T06:05:00+01:00"),
        ("2026-11-25T22:00", "2026-11-25T22:00:00+01:00"),
        ("2026-11-25T22:00Z", "2026-11-25T22:00:00+00:00"),
        ("2026-11-25 22:00-05:00", "2026-11-25T22:00:00-05:00"),
    ],
)
def test_times_of_day_and_dates_are_read(text: str, at: str) -> None:
    found = moment_of(text, "--at", NOW)
    assert found == datetime.fromisoformat(at)
    assert found.tzinfo is not None


@pytest.mark.parametrize("text", ["25:00", "tomorrow", "22", "", "2026-13-01T22:00", "22:60"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Stop, match="expected 22:00, or 2026-11-25T22:00"):
        moment_of(text, "--at", NOW)
