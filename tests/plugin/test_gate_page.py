"""The page of a gate, from a real API server."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import parse_qs

import pytest

from relman_plugins.domain.approval import Rule
from relman_plugins.domain.field import Field
from relman_plugins.domain.status import Decision
from tests.plugin.airflow_server import GATE, Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

RULE = Rule(
    id="board",
    people=("alice", "bob"),
    comment="required",
    fields=(Field(name="change", pattern="CHG[0-9]{7}", description="Its <i>number</i>"),),
)
BROWSER = {"Accept": "text/html"}


def test_it_shows_what_is_asked_and_takes_the_answer_of_a_signed_in_browser(server: Server) -> None:
    record = server.release("0.7.1", rules=[RULE])
    page = f"/relman/gates/{record.release_id}/{GATE}"
    shown = server.ask("GET", page, "alice", cookie=True, headers=BROWSER)
    assert shown.status_code == 200
    for words in ("faster checkout", record.plan_hash, "Alice Example", "Its &lt;i&gt;number&lt;/i&gt;"):
        assert words in shown.text
    digest, to = (re.search(rf'data-{name}="([^"]+)"', shown.text)[1] for name in ("digest", "to"))
    assert digest == server.ledger.votes.gate(record.release_id, GATE).subject_digest
    vote = {"decision": "approve", "comment": "seen", "digest": digest, "answers": {"change": "7"}}
    sent = {"Sec-Fetch-Site": "same-origin"}
    refused = server.ask("POST", to, "alice", cookie=True, json=vote, headers=sent)
    assert (refused.status_code, "matches CHG[0-9]{7}" in refused.json()["detail"]) == (409, True)
    vote["answers"] = {"change": "CHG0000042"}
    foreign = server.ask("POST", to, "alice", cookie=True, json=vote, headers={"Sec-Fetch-Site": "same-site"})
    assert foreign.status_code == 403
    assert server.ask("POST", to, "alice", cookie=True, json=vote, headers=sent).status_code == 201
    (counted,) = server.ledger.votes.gate(record.release_id, GATE).votes
    assert (counted.person, counted.decision, counted.via) == ("alice", Decision.APPROVE, "page")
    other = server.release("0.7.4")
    path = to.replace(record.release_id, other.release_id)
    # What a program says of itself is no page.
    assert (
        server.ask(
            "POST", path, "bob", json={"decision": "reject"}, headers={"X-Relman-Via": "page"}
        ).status_code
        == 201
    )
    assert [v.via for v in server.ledger.votes.gate(other.release_id, GATE).votes] == ["api"]
    after = server.ask("GET", page, "alice", cookie=True, headers=BROWSER).text
    assert "approved</span> by Alice Example" in after
    assert "<form" not in after, "it is decided"


def test_what_people_write_is_text_and_only_the_pages_own_script_runs(server: Server) -> None:
    record = server.release("0.7.2", quorum=2)
    digest = server.ledger.votes.gate(record.release_id, GATE).subject_digest
    said = "</script><script>alert(1)</script>"
    server.ledger.votes.cast(
        record.release_id,
        GATE,
        airflow_user="bob",
        decision=Decision.APPROVE,
        digest=digest,
        comment=said,
        via="api",
    )
    page = server.ask("GET", f"/relman/gates/{record.release_id}/{GATE}", "bob", cookie=True)
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page.text
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = page.headers["content-security-policy"]
    assert f"script-src 'sha256-{allowed}'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "Take back my approval" in page.text


def test_who_may_not_see_the_gate_does_not_and_who_is_signed_out_is_led_to_the_login(server: Server) -> None:
    record = server.release("0.7.3")
    page = f"/relman/gates/{record.release_id}/{GATE}"
    assert server.ask("GET", page, headers={"Accept": "application/json"}).status_code == 401
    sent = server.ask("GET", page, headers=BROWSER)
    assert (sent.status_code, parse_qs(sent.headers["location"].partition("?")[2])) == (303, {"next": [page]})
    assert server.ask("GET", f"{page}.no", "alice").status_code == 404
    assert server.ask("GET", f"/relman/gates/no-such-1.0-1/{GATE}", "alice").status_code == 404
    outsider = server.ask("GET", page, "uma").text
    assert "You are not among those who are asked here" in outsider
