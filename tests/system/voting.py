"""Pipelines with gates of every kind, and one release of them as those who answer see it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system.conftest import Run, World

API = "/relman/api/v1"
TRIES = int(os.environ.get("RELMAN_TRIES", "1"))
MOMENTS = (0.0, 0.5, 1.0, 3.0, 5.0, 8.0)
IN_A_ROW = 1 if TRIES == 1 else 10
"""Gates of one release that are answered at one moment, one after the other."""

LANES = TRIES // IN_A_ROW
"""Pipelines for each moment: releases whose gates are open at the same time."""

CROWD = tuple(f"p{n:02}" for n in range(50))
CHANGE = {"comment": "seen", "change": "CHG0000042"}

RULES = """{rules: [{approval: managers}, {approval: board, comment: required, fields: {
    change: {description: Its number, pattern: "CHG[0-9]{7}"}}}], timeout: 1h}"""
ESCALATED = "{approval: managers, timeout: 1h, escalate: {after: 40s, to: directors}}"
ONE = "{approval: managers, timeout: 1h}"
WAVES = "strategy: {canary: {steps: [50, 100], analysis: calm, interval: 12s, count: 2}}"
GLASS = """gates: [{approval: managers, timeout: 1h, waivable: true}]
break_glass: {group: incident, audience: {slack: "#releases"}, follow_up: {approval: board, within: 1h}}"""

TICKET = """{change_ticket: {
    system: servicenow, configuration_item: checkout, create: {planned: {for: 1h}}, report: close}}"""
ISSUE = """{change_ticket: {system: jira, state: [Awaiting implementation, Implementing],
    create: {project: OPS, type: Change, planned: {for: 1h}}, report: close,
    ending: {succeeded: Completed, otherwise: Failed, unused: Canceled, through: [Implementing]}}}"""
TWO = "{approval: managers, quorum: 2, timeout: 1h}"
BY_RISK = "{rules: [{approval: managers}, {approval: board, when: risk >= medium}], timeout: 1h}"

GATES = {
    **dict.fromkeys(("ruled-page", "ruled-api", "ruled-slack"), RULES),
    **dict.fromkeys(("second-page", "second-api", "second-slack"), ESCALATED),
    **dict.fromkeys(("no-page", "no-slack", "newer-page", "newer-api", "newer-slack"), ONE),
    **dict.fromkeys(
        ("renewed-page", "renewed-api", "renewed-slack"), "{approval: managers, timeout: 1h, valid_for: 20s}"
    ),
    "ticketed": TICKET,
    "undone": TICKET,
    "issued": ISSUE,
    "authored": ONE,
    "aged": ONE,
    "silent": "{approval: managers, timeout: 150s, remind: 15s}",
    "terminal": RULES,
    "risky": BY_RISK,
    "calm": "{approval: managers, when: risk >= medium, timeout: 1h}",
    "later": "{rules: [{approval: managers, quorum: 2}, {approval: board}], timeout: 1h}",
    "few": "{approval: couple, quorum: 2, timeout: 1h}",
    "locked": TWO,
    "replayed": TWO,
    "crowd": "{approval: crowd, quorum: 50, timeout: 1h}",
    **dict.fromkeys(("glass-api", "glass-slack", "glass-other", "glass-owed"), ""),
    **{
        f"moment-{m}-{lane}": ", ".join([ONE] * IN_A_ROW)
        for m in range(len(MOMENTS))
        for lane in range(LANES)
    },
}

TOLD = dict.fromkeys(("ruled-slack", "glass-slack", "renewed-slack"), "#rel-checkout") | dict.fromkeys(
    ("second-slack", "no-slack", "newer-slack", "later", "authored", "locked", "replayed"), "#releases"
)
"""Where stories are told: Slack takes one message a second and channel."""

ASSESSED = {
    "risky": "assess: {risk: {medium: 10, high: 99}}\n",
    "calm": "assess: {risk: {medium: 99, high: 100}}\n",
    "authored": "assess: {repository: ../history}\n",
}
"""Where nothing can be found out about a change, its risk is more than ten points and less than 99."""

PEOPLE = f"""apiVersion: relman/v1
kind: People
people:
  root: {{airflow: admin, name: Root, slack: U00ROOT}}
  alice: {{airflow: alice, slack: U01ALICE, name: Alice Example}}
  bob: {{airflow: bob, slack: U02BOB, name: Bob Example, email: bob@shop.example}}
  carol: {{airflow: carol, slack: U04CAROL, name: Carol Example}}
  olaf: {{airflow: olaf, slack: U05OLAF, name: Olaf Example}}
  vera: {{airflow: vera, slack: U06VERA, name: Vera Example}}
{"".join(f"  {p}: {{airflow: {p}}}{chr(10)}" for p in CROWD)}groups:
  managers: [root, alice, bob, vera]
  board: [alice, carol]
  directors: [olaf]
  couple: [root, alice]
  incident: [root]
  crowd: [{", ".join(CROWD)}]
"""


def write_specs(folder: Path) -> None:
    """Write a pipeline and an environment for each story, so that none waits for another's lock."""
    (folder / "environments").mkdir(parents=True)
    (folder / "people.yaml").write_text(PEOPLE)
    for name, gate in GATES.items():
        (folder / "environments" / f"{name}.yaml").write_text(
            f"apiVersion: relman/v1\nkind: Environment\nmetadata: {{name: {name}, owner: tests}}\n"
            "platform: sandbox\nconnection: relman_sandbox\nreplicas: 1\n" + ("" if gate else GLASS)
        )
        waves = name.startswith("renewed") or name == "undone"
        query = f"vector({int(name == 'undone')})"
        calm = f"{{connection: relman_metrics, metrics: [{{name: errors, query: {query}, max: 0.05}}]}}"
        (folder / f"{name}.yaml").write_text(
            f"apiVersion: relman/v1\nkind: ReleasePipeline\nmetadata: {{name: {name}, owner: tests}}\n"
            "artifact: {source: ../checkout, build: [python, build.py]}\n"
            + ASSESSED.get(name, "")
            + (f"analyses: {{calm: {calm}}}\n" if waves else "")
            + f"stages:\n  - environment: {name}\n    gates: [{gate}]\n"
            + (f"    {WAVES}\n" if waves else "")
            + (f'notify: {{slack: "{TOLD[name]}"}}\n' if name in TOLD else "")
        )


@dataclass
class Story:
    """One release, as those who answer see it."""

    run: Run
    gate: str

    @classmethod
    def begin(cls, world: World, name: str, version: str = "1.1.0", **conf: Any) -> Story:
        """Start a release as admin and wait until its gate is open."""
        run = world.start(name, version, **conf)
        run.until("gate.opened")
        return cls(run, f"{name}.approval")

    @property
    def votes(self) -> str:
        return f"{API}/releases/{self.run.release_id}/gates/{self.gate}/votes"

    def state(self) -> Any:
        return self.run.world.ledger.votes.gate(self.run.release_id, self.gate)

    def say(self, way: str, user: str, option: str = "Approve", **form: Any) -> tuple[int, str]:
        """Answer on Airflow's page or through relman's API; return status and reason."""
        call = self.run.world.call
        if way == "page":
            path = f"{self.run.path}/taskInstances/{self.gate}/-1/hitlDetails"
            status, said = call(user, "PATCH", path, chosen_options=[option], params_input=form)
        else:
            body: dict[str, Any] = {"decision": option.lower(), "digest": self.state().subject_digest}
            body |= {key: form.pop(key) for key in ("comment", "not_before") if key in form}
            status, said = call(user, "POST", self.votes, **body, answers=form)
        return status, str((said or {}).get("detail", ""))

    def approved(self, way: str, user: str, **form: Any) -> None:
        status, reason = self.say(way, user, **form)
        assert status in (200, 201), reason

    def refused(self, way: str, user: str, status: int, words: str, **form: Any) -> None:
        found, reason = self.say(way, user, **form)
        assert (found, words in reason) == (status, True), (found, reason)

    def voters(self) -> list[tuple[str, str]]:
        return [(e.actor.id, e.actor.via) for e in self.run.events("gate.voted")]

    def refusals(self) -> set[tuple[str, str]]:
        return {(e.actor.id, e.data["code"]) for e in self.run.events("vote.refused")}
