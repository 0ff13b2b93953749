"""Other specs than the usual ones for the world of a test."""

from __future__ import annotations

import pytest

from tests.steps import world as worlds


def rewrite(monkeypatch: pytest.MonkeyPatch, name: str, *changes: tuple[str, str]) -> None:
    """Replace passages of a document, each of which must be there, for as long as the test lasts."""
    text = worlds.SPECS[name]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    monkeypatch.setitem(worlds.SPECS, name, text)
