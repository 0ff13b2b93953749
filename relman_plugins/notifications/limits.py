"""When a message is given up. Read by tasks, which must not import the outbox and its database for it."""

from __future__ import annotations

from datetime import timedelta

GIVE_UP_AFTER = 8
"""Noted attempts (a try notes its start and its failure) after which a message that Slack itself refuses is
given up, so that later ones arrive."""

GIVE_UP_AGE = timedelta(days=7)
"""How old a message becomes that was tried so often, whatever stands in its way: by then somebody who could
repair it knows of it from ``relman doctor``, and nobody reads a week-old question."""
