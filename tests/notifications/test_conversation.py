"""A whole release as a reader sees it, with the ledger's own gate and votes."""

from __future__ import annotations

import re
from collections.abc import Callable

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.notifications.outbox import drain
from relman_plugins.notifications.slack import Slack
from relman_plugins.testing.slack import SlackServer

NEW = {"version": "1.1.0", "digest": "sha256:" + "a" * 64, "uri": "file:///x"}
OLD = NEW | {"version": "1.0.0"}
GATE = "production.approval"
URL = "https://airflow.example"

EXPECTED = """\
#rel-checkout
  ● ↩️ checkout 1.1.0
    rolled back: error-rate: 0.4 is above 0.05
    Read the report
    ✅ build
    ✅ qa – 1.1.0 is live, 12 tests
    ↩️ production – traffic is back at the old version
    Open the run  checkout-1.1.0-1  plan sha256:…  opened by Alice (via airflow)  since … UTC (edited)
      ↳ 🚀 Alice (via airflow) opened checkout-1.1.0-1
        │ New prices
        plan sha256:…
      ↳ 📦 Built 1.1.0: sha256:…, 9 files, 4 KB
      ↳ 🏁 qa: 1.1.0 is live in 1.2 s
      ↳ ✅ unit in qa: 12 tests in 2.2 s
      ↳ ✅ production: approved by Alice
        What is approved
        checkout 1.1.0 · artifact sha256:… · plan sha256:…
        unit 12 tests, 0 failed
        │ New prices (edited)
      ↳ 👍 Alice approved production (via api)
        │ looks good
      ↳ ✅ production: approved
      ↳ ↗️ production: 1.1.0 gets 10 %, 1.0.0 the rest in 1.0 s
      ↳ 📉 golden-signals in production at 10 %: fail after 2 looks
        error-rate: 0.4 is above 0.05  See the picture
      ↳ ⏪ production: traffic is back at the old version after 0.3 s; the new version served 3 of 40 requests
        │ error-rate
      ↳ ↩️ production is rolled back to 1.0.0
      ↳ ↩️ checkout-1.1.0-1 is closed: rolled back
        │ error-rate: 0.4 is above 0.05
        Read the report  record 12:sha256:…
        👀 Alice: please look. Open the run"""


def test_a_release_that_is_rolled_back(
    ledger: Ledger,
    server: SlackServer,
    slack: Slack,
    opened: Callable[..., ReleaseRecord],
    happens: Callable[..., None],
) -> None:
    release = opened(changes="New prices")
    id = release.release_id
    happens(id, Kind.ARTIFACT_BUILT, "build", revision=NEW, size=4096, files=9)
    happens(
        id, Kind.CHANGE_FINISHED, "qa.deploy", desired={"stable": NEW}, stable=NEW, promoted=True, seconds=1.2
    )
    happens(id, Kind.SUITE_FINISHED, "qa.unit", suite="unit", tests=12, failures=0, seconds=2.2, passed=True)
    subject = {"pipeline": "checkout", "version": "1.1.0", "artifact_digest": NEW["digest"]}
    subject |= {"plan_hash": release.plan_hash, "changes": "New prices"}
    gate = ledger.votes.open_gate(
        id,
        GATE,
        subject=subject | {"tests": [{"suite": "unit", "tests": 12, "failures": 0}]},
        people=release.plan.people(GATE),
        quorum=1,
        timeout_s=600,
        on_timeout="reject",
    )
    drain(ledger, slack, base_url=URL)
    assert "✋ production – waits for Alice\n" in server.transcript()
    assert "production waits for Alice, since" in server.transcript()
    text = str([m["blocks"] for m in server.messages()])
    run = f"{URL}/dags/release__checkout/runs/run-1.1.0-%23rel-checkout"
    assert f"<{run}|Open the run>" in text
    assert text.count(f"<{run}/tasks/production.approval/required_actions|Answer in Airflow>") == 2
    vote = {"airflow_user": "alice", "name": "Alice", "digest": gate.subject_digest, "comment": "looks good"}
    assert ledger.votes.cast(id, GATE, decision=Decision.APPROVE, via="api", **vote).accepted
    shift = {"stable": OLD, "candidate": NEW, "candidate_weight": 10}
    happens(
        id, Kind.CHANGE_FINISHED, "production.canary_10", desired=shift, stable=OLD, promoted=False, seconds=1
    )
    failed = {"verdict": "fail", "reason": "error-rate: 0.4 is above 0.05", "looks": 2}
    happens(
        id, Kind.ANALYSIS_FINISHED, "production.canary_10", analysis="golden-signals", weight=10, **failed
    )
    served = {"candidate": 3, "total": 40}
    happens(
        id, Kind.TRAFFIC_WITHDRAWN, "production.canary_10", reason="error-rate", seconds=0.3, served=served
    )
    happens(id, Kind.ROLLBACK_FINISHED, "production.rollback", to=OLD)
    happens(id, Kind.RELEASE_CLOSED, "close", outcome="rolled_back", reason="error-rate: 0.4 is above 0.05")
    assert drain(ledger, slack, base_url=URL).pending == 0
    seen = re.sub(r"sha256:\w+", "sha256:…", server.transcript())
    assert re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "…", seen) == EXPECTED
