"""What a suite is compared with: the latest release of the same pipeline that succeeded and ran it."""

from __future__ import annotations

from typing import Any

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from tests.ledger.make import Open, make_shape

COVERAGE = {"kind": "coverage", "passed": True, "reason": "", "lines": 10, "covered_lines": 9}


def says(ledger: Ledger, release: ReleaseRecord, kind: Kind, **data: Any) -> None:
    key = f"{release.release_id}:{kind}:{data.get('suite')}:{data.get('step', '')}"
    ledger.record(release.release_id, NewEvent(kind=kind, key=key, step="qa.unit", data=data))


def ran(ledger: Ledger, release: ReleaseRecord, *prints: str, suite: str = "scan", outcome: str = "") -> None:
    says(ledger, release, Kind.FINDINGS_RECORDED, suite=suite, fingerprints=list(prints))
    says(ledger, release, Kind.SUITE_FINISHED, suite=suite, passed=True, reports=[COVERAGE])
    if outcome:
        says(ledger, release, Kind.RELEASE_CLOSED, outcome=outcome, reason="")


def test_without_a_release_that_succeeded_there_is_nothing(ledger: Ledger, open_release: Open) -> None:
    for n, outcome in enumerate(("failed", "rolled_back", "aborted", "")):
        ran(ledger, open_release(run_id=f"r{n}"), "a", outcome=outcome)
    assert ledger.last_suite(open_release(run_id="now"), "scan") is None


def test_the_latest_that_succeeded_counts(ledger: Ledger, open_release: Open) -> None:
    ran(ledger, open_release(run_id="r1"), "a", outcome="succeeded")
    good = open_release(run_id="r2")
    ran(ledger, good, "b", "c", outcome="succeeded")
    ran(ledger, open_release(run_id="r3"), "d", outcome="failed")
    found = ledger.last_suite(open_release(run_id="now"), "scan")
    assert found is not None
    assert (found.release_id, found.version) == (good.release_id, good.version)
    assert found.fingerprints == {"b", "c"}
    assert found.reports == (COVERAGE,)


def test_another_suite_another_pipeline_and_the_release_itself_do_not_count(
    ledger: Ledger, open_release: Open
) -> None:
    ran(ledger, open_release(run_id="r1"), "a", suite="other", outcome="succeeded")
    ran(ledger, open_release(run_id="r2", shape=make_shape(pipeline="cart")), "b", outcome="succeeded")
    now = open_release(run_id="now")
    ran(ledger, now, "c", outcome="succeeded")
    assert ledger.last_suite(now, "scan") is None


def test_a_suite_that_no_scanner_was_part_of_has_no_fingerprints(ledger: Ledger, open_release: Open) -> None:
    release = open_release(run_id="r1")
    says(ledger, release, Kind.SUITE_FINISHED, suite="unit", passed=True)
    says(ledger, release, Kind.RELEASE_CLOSED, outcome="succeeded", reason="")
    found = ledger.last_suite(open_release(run_id="now"), "unit")
    assert found is not None
    assert (found.fingerprints, found.reports) == (None, ())
