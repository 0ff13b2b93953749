"""The story: a good release, a bad one, and one that a person refuses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relman_plugins.domain.identity import dag_id_of
from relman_plugins.errors import ClientError, ClientUnavailable, RelmanError
from relman_plugins.testing.demo_api import AirflowUser
from relman_plugins.testing.demo_approver import Approver, Question
from relman_plugins.testing.demo_events import describe, mark_of
from relman_plugins.testing.demo_found import SERVICE, production
from relman_plugins.testing.demo_screen import Screen
from relman_plugins.testing.stack import Stack

DAG = dag_id_of(SERVICE)
STARTER, FIRST, SECOND = "carol", "alice", "bob"
"""Who starts releases, and who answers at their gates: the one who decides, and the one who then agrees."""
_POLL_S = 0.4


class StoryError(RelmanError):
    """A release did not end as the story says; the message holds the log that matters."""


@dataclass(frozen=True)
class Act:
    """One release of the story."""

    version: str
    changes: str
    title: str
    answer: str
    """What the approver says: ``Approve`` or ``Reject``."""
    outcome: str
    """How the release then ends."""


ACTS = (
    Act("1.1.0", "5 % off lines of ten or more", "a good release", "Approve", "succeeded"),
    Act(
        "1.2.0",
        "Payments are captured in the background",
        "bad, but only under traffic",
        "Approve",
        "rolled_back",
    ),
    Act("1.3.0", "10 % off lines of twenty or more", "refused by a person", "Reject", "rejected"),
)


@dataclass
class Teller:
    """Plays acts against a running stack."""

    stack: Stack
    screen: Screen
    people: Mapping[str, AirflowUser]
    """Who is logged in, by name: carol starts releases; alice and bob answer; admin looks."""
    approver: Approver
    deadline: float
    """``time.monotonic()`` at which the demo gives up; the time that a person thinks does not count."""
    _own_way: bool = field(default=False, init=False)
    """Whether a person answered otherwise than the story does: the release may then end as it likes."""

    @property
    def admin(self) -> AirflowUser:
        """Whoever looks."""
        return self.people["admin"]

    def wait_for_dag(self) -> None:
        """Wait until Airflow knows the pipeline; StoryError with its import errors if it cannot."""
        while not self.admin.has_dag(DAG):
            self._tick(f"Airflow does not know {DAG}. {self.admin.import_errors()}")
            if errors := self.admin.import_errors():
                raise StoryError(f"Airflow cannot import the DAG file:\n{errors}")

    def play(self, act: Act) -> dict[str, Any]:
        """Release a version, answer at its gate, and return the release as it ended."""
        self._own_way = False
        conf = {"version": act.version, "changes": act.changes, "emergency": False, "dry_run": False}
        run_id = self.people[STARTER].trigger(DAG, conf)
        release = self._opened(run_id)
        release_id = str(release["release_id"])
        steps = self.admin.plan(release_id)["plan"]["shape"]["steps"]
        self.screen.begin(f"{release_id}: {act.changes}", [step["id"] for step in steps])
        try:
            self._watch(act, release_id, run_id)
        finally:
            self.screen.end()
        ended = self.admin.release(release_id)
        self._check(act, ended, run_id)
        return ended

    def _opened(self, run_id: str) -> dict[str, Any]:
        while (release := self.admin.release_of_run(SERVICE, run_id)) is None:
            self._tick(f"run {run_id} has not opened a release")
            if self.admin.run_state(DAG, run_id) == "failed":
                raise StoryError(f"run {run_id} failed before it opened a release\n{self._log(run_id)}")
        return release

    def _watch(self, act: Act, release_id: str, run_id: str) -> None:
        seen, closed = 0, False
        while not closed:
            for event in self._events(release_id, seen):
                seen = int(event["id"])
                self.screen.step(event.get("step"), mark_of(event), describe(event))
                if event["kind"] == "gate.opened":
                    self._answer(act, release_id, run_id, str(event["step"]), event["data"])
                elif event["kind"] == "gate.voted" and event["data"].get("missing"):
                    self._say(SECOND, run_id, str(event["step"]), "Approve")
                closed = closed or event["kind"] == "release.closed"
            self._tick(f"{release_id} did not close")
            if not closed and self.admin.run_state(DAG, run_id) in {"success", "failed"}:
                # The run may have ended between the look at the events and the look at the run.
                closed = any(e["kind"] == "release.closed" for e in self.admin.events(release_id, seen))
                if not closed:
                    raise StoryError(f"the run of {release_id} ended without closing it\n{self._log(run_id)}")
        while self.admin.run_state(DAG, run_id) not in {"success", "failed"}:
            self._tick(f"the run of {release_id} did not end")

    def _events(self, release_id: str, after: int) -> list[dict[str, Any]]:
        try:
            return self.admin.events(release_id, after)
        except ClientUnavailable:
            # SQLite answers 500 while somebody else writes for long; the next look sees the same events.
            return []

    def _answer(self, act: Act, release_id: str, run_id: str, gate: str, data: Mapping[str, Any]) -> None:
        while self.people[FIRST].required_action(DAG, run_id, gate) is None:
            self._tick(f"the gate {gate} of {release_id} is not under Required Actions")
            if self.admin.run_state(DAG, run_id) == "failed":
                raise StoryError(f"the gate {gate} of {release_id} did not open\n{self._log(run_id)}")
        if act is ACTS[0]:
            self._try_oneself(run_id, gate)
        subject = data.get("subject") or {}
        question = Question(
            release_id,
            f"{subject.get('pipeline')} {subject.get('version')} to {subject.get('environment')}, "
            f"artifact {str(subject.get('artifact_digest'))[:19]}…: {subject.get('changes')}",
            self.admin.required_actions_url(run_id, SERVICE),
            act.answer,
            lambda: self._is_open(release_id, gate),
        )
        asked = time.monotonic()
        if self.approver.asks_a_person:
            self.screen.end()
        try:
            said = self.approver.decide(question)
        finally:
            if self.approver.asks_a_person:
                self.deadline += time.monotonic() - asked
                self.screen.resume()
        self._own_way = said != act.answer
        if said is not None:
            self._say(FIRST, run_id, gate, said)

    def _say(self, who: str, run_id: str, gate: str, option: str) -> None:
        self.people[who].answer(DAG, run_id, gate, option)
        self.screen.step(gate, None, f"{who} answers in Airflow's Required Actions: {option}")

    def _try_oneself(self, run_id: str, gate: str) -> None:
        """Let whoever started the release try to approve it; the record then says why that is refused."""
        self.screen.step(gate, None, f"{STARTER}, who started it, tries to approve it")
        while True:
            try:
                self.people[STARTER].answer(DAG, run_id, gate, "Approve")
            except ClientUnavailable:
                self._tick(f"Airflow takes no answer at {gate}")
            except ClientError:
                return
            else:
                raise StoryError(f"{STARTER} started the release of run {run_id} and could approve it")

    def _is_open(self, release_id: str, gate: str) -> bool:
        """Say whether nobody has answered yet."""
        self.stack.processes.check()
        gates = self.admin.release(release_id).get("gates") or []
        return any(g.get("gate") == gate and g.get("state") == "open" and not g.get("votes") for g in gates)

    def _check(self, act: Act, release: Mapping[str, Any], run_id: str) -> None:
        outcome = release["status"]["outcome"]
        if outcome != act.outcome and not self._own_way:
            raise StoryError(
                f"{release['release_id']} ended {outcome}, expected {act.outcome}\n{self._log(run_id)}"
            )
        state = self.admin.run_state(DAG, run_id)
        if (state == "success") != (outcome == "succeeded"):
            raise StoryError(
                f"{release['release_id']} ended {outcome} but its run is {state}\n{self._log(run_id)}"
            )
        runs = production(self.stack).stable
        where = f"production runs {runs.revision.version}" if runs else "production is empty"
        self.screen.say(f"{release['release_id']}: {outcome}; its run is {state}; {where}")

    def _tick(self, late: str) -> None:
        """Wait a moment; fail when a process of the stack ended or the demo's time is over."""
        self.stack.processes.check()
        if time.monotonic() > self.deadline:
            raise StoryError(f"{late} in time (RELMAN_DEMO_TIMEOUT); logs are in {self.stack.folders.logs}")
        time.sleep(_POLL_S)

    def _log(self, run_id: str) -> str:
        """Return the end of the logs of the tasks that failed."""
        lines = []
        for task in self.admin.tasks(DAG, run_id):
            if task["state"] in {"failed", "up_for_retry"}:
                lines.append(f"--- {task['task_id']} ({task['state']}, try {task['try_number']})")
                lines += self.admin.task_log(DAG, run_id, task["task_id"], task["try_number"])[-15:]
        return "\n".join(lines) or f"no task failed; logs are in {self.stack.folders.logs}"
