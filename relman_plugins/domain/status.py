"""How a release ends and how a judgement turns out. Never merged into fewer words."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a release ended."""

    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    FAILED = "failed"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


class Verdict(StrEnum):
    """What an analysis says.

    ``fail`` rolls back; ``error`` is retried and then asks a person; ``inconclusive`` and ``no_data`` hold
    and ask a person. Only ``pass`` promotes.
    """

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    NO_DATA = "no_data"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    FAIL = "fail"

    @property
    def severity(self) -> int:
        """Order of the verdicts, mildest first: pass, no_data, inconclusive, error, fail."""
        return list(Verdict).index(self)

    @staticmethod
    def worst(verdicts: list[Verdict]) -> Verdict:
        """Return the most severe of ``verdicts``; of none, ``no_data``."""
        return max(verdicts, key=lambda v: v.severity, default=Verdict.NO_DATA)


TAKEN_BACK = "its traffic was taken back before anybody could record why"
"""The reason of a ``fail`` that rests on no numbers: a process was lost, and only what it did is known."""


class Decision(StrEnum):
    """What a person says at a gate."""

    APPROVE = "approve"
    REJECT = "reject"


OPTIONS = APPROVE, REJECT = "Approve", "Reject"
"""The decisions as Airflow's page offers them."""
