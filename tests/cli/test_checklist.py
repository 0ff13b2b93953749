"""Checklists answered at a terminal, against a real Airflow API server."""

from __future__ import annotations

import pytest

from tests.cli.command import as_user, relman
from tests.plugin.airflow_server import GATE, Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

ITEMS = {"cart": "The cart shows the discount", "pay": "A card can be paid with"}


def test_a_checklist_is_answered_item_by_item(server: Server) -> None:
    record = server.release("5.0.3", items=ITEMS)
    bob = as_user(server, "bob")
    bare = relman("approve", record.release_id, "--yes", **bob)
    assert (bare.returncode, "not tested yet" in bare.stderr) == (1, True)
    assert "pay: A card can be paid with" in bare.stdout
    wrong = relman("approve", record.release_id, "--passed", "card", **bob)
    assert (wrong.returncode, "items: cart, pay" in wrong.stderr) == (2, True)
    both = relman("reject", record.release_id, "--passed", "pay", "--failed", "pay", **bob)
    assert (both.returncode, "both passed and failed: pay" in both.stderr) == (2, True)
    done = relman("reject", record.release_id, "--failed", "pay", "--passed", "all", **bob)
    assert (done.returncode, "rejected" in done.stdout) == (0, True)
    assert server.ledger.votes.gate(record.release_id, GATE).answers == {"cart": "passed", "pay": "failed"}


def test_answers_belong_to_checklists_only(server: Server) -> None:
    record = server.release("5.0.4")
    refused = relman("approve", record.release_id, "--passed", "all", **as_user(server, "bob"))
    assert (refused.returncode, "is no checklist" in refused.stderr) == (2, True)
    assert server.ledger.votes.gate(record.release_id, GATE).state == "open"
