"""What happens at gates: stories of one release each, in an Airflow where others happen beside them."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from relman_plugins.notifications.buttons import APPROVE, LATER, REJECT
from relman_plugins.testing.slack_interactive import buttons_of
from tests.cli.command import relman
from tests.system import slack
from tests.system.changes import authored, by_risk
from tests.system.conftest import Run, World, slack_transcript
from tests.system.voting import API, CHANGE, IN_A_ROW, LANES, MOMENTS, Story
from tests.waiting import eventually


def terminal(world: World, user: str, *args: object) -> tuple[int, str]:
    """Run the command as a user; return its exit code and what it printed."""
    login = {"RELMAN_URL": world.stack.addresses.airflow, "RELMAN_USER": user, "RELMAN_PASSWORD": user}
    done = relman(*args, **login, COLUMNS="200")
    return done.returncode, done.stdout + done.stderr


def ruled(world: World, way: str) -> None:
    """Two rules, one person in both groups: who came first never keeps a possible approval out."""
    story, via = Story.begin(world, f"ruled-{way}"), {"page": "airflow"}.get(way, way)
    story.refused(way, "admin", 403, "started it, and nobody approves their own release", **CHANGE)
    story.refused(way, "vera", 403, "")
    story.refused(way, "olaf", 403, "olaf may not answer")
    story.refused(way, "carol", 409, "for board: a comment, Change (change)")
    story.refused(way, "carol", 409, "matches CHG[0-9]{7}", comment="seen", change="42")
    story.approved(way, "alice", **CHANGE)
    second = {"page": "bob", "api": "carol"}[way]
    if way == "api":
        status, said = world.call("alice", "DELETE", story.votes, comment="wait")
        assert (status, said["missing"]) == (200, 2)
        story.approved(way, "alice", **CHANGE)
    gate = story.state()
    assert (gate.missing, gate.state) == (1, "open")
    story.approved(way, second, **CHANGE)
    rules = {"page": {"alice": "board", "bob": "managers"}, "api": {"alice": "managers", "carol": "board"}}
    assert story.state().counts == rules[way]
    assert story.run.outcome() == "succeeded"
    assert set(story.voters()) == {("alice", via), (second, via)}
    assert ("carol", "unfit_answers") in story.refusals()
    assert len(story.run.events("gate.vote_withdrawn")) == (way == "api")


def ruled_in_slack(world: World) -> None:
    """The same from Slack: the form asks for what a rule asks."""
    story = Story.begin(world, "ruled-slack")
    run, gate = story.run, story.gate
    slack.press(run, gate, "U00ROOT", APPROVE)
    filled = {"comment": "seen", "field.change": "CHG0000042"}
    assert "nobody approves their own release" in slack.send(run, "U00ROOT", **filled)
    slack.press(run, gate, "U06VERA", APPROVE)
    slack.told(run, "U06VERA", "may not change releases")
    assert "matches CHG[0-9]{7}" in slack.send(run, "U01ALICE", **filled | {"field.change": "42"})
    assert slack.send(run, "U01ALICE", **filled) == ""
    slack.press(run, gate, "U02BOB", APPROVE)
    assert slack.send(run, "U02BOB") == ""
    assert story.state().counts == {"alice": "board", "bob": "managers"}
    assert run.outcome() == "succeeded"
    assert story.voters() == [("alice", "slack"), ("bob", "slack")]
    stands = eventually(
        lambda: (q := slack.question(run, gate)) and not list(buttons_of(q)) and q["text"], "the new message"
    )
    assert stands.startswith(f"✅ {run.release_id.rsplit('-', 2)[0]}: approved by Alice Example")


def escalated(world: World, way: str) -> None:
    """A second group is refused until its time has come, and may answer then."""
    story = Story.begin(world, f"second-{way}")
    later = story.run.events("gate.opened")[0].at + timedelta(seconds=41)
    if way == "slack":
        after(later)
        slack.press(story.run, story.gate, "U05OLAF", APPROVE)
    else:
        story.refused(way, "olaf", 403, "directors may answer from")
        after(later)
        story.approved(way, "olaf")
    assert story.run.outcome() == "succeeded"
    assert [who for who, _ in story.voters()] == ["olaf"]
    assert len(story.run.events("gate.escalated")) == 1


def rejected(world: World, way: str) -> None:
    """One no of somebody entitled ends it; of somebody else it is none."""
    story = Story.begin(world, f"no-{way}")
    if way == "slack":
        slack.press(story.run, story.gate, "U03STRANGER", REJECT)
        slack.told(story.run, "U03STRANGER", "ask one of: Root, Alice Example")
        assert story.refusals() == {("slack:U03STRANGER", "unknown_slack_user")}
        slack.press(story.run, story.gate, "U02BOB", REJECT)
        assert slack.send(story.run, "U02BOB", comment="not on a Friday") == ""
    else:
        assert story.say(way, "olaf", "Reject")[0] == 403
        assert story.say(way, "bob", "Reject", comment="not on a Friday")[0] == 200
    assert story.run.outcome() == "rejected"
    (decided,) = story.run.events("gate.decided")
    assert (decided.data["by"], decided.data["comment"]) == ("bob", "not on a Friday")
    assert story.run.state() == "failed"
    assert "change.started" not in story.run.kinds()


def superseded(world: World, way: str) -> None:
    """The approval of a newer release ends the older one that waits."""
    older, newer = (Story.begin(world, f"newer-{way}", version) for version in ("1.1.0", "1.3.0"))
    slack.yes(newer, "U01ALICE") if way == "slack" else newer.approved(way, "alice")
    assert older.run.outcome() == "superseded"
    assert newer.run.release_id in older.run.events("release.closed")[0].data["reason"]
    older.refused("api" if way == "slack" else way, "bob", 409, "is superseded by")
    assert newer.run.outcome() == "succeeded"
    assert older.run.state() == "failed"
    assert "change.started" not in older.run.kinds()
    if way == "slack":
        told = f"Superseded by `1.3.0` (`{newer.run.release_id}`)"
        eventually(lambda: told in str(slack_transcript(world)), "Slack's word of it")


def renewed(world: World, way: str) -> None:
    """An approval that has run out is asked for again where the traffic is, which stays as it was."""
    name = f"renewed-{way}"
    world.found(name, name)
    story = Story.begin(world, name)
    run, step = story.run, f"{name}.canary_100"
    slack.yes(story, "U01ALICE") if way == "slack" else story.approved(way, "alice")

    def asked(n: int) -> Any:
        return eventually(lambda: next(iter(run.events("gate.opened")[n:]), None), f"question {n}")

    def yes(asker: str) -> None:
        # The task that waits is the one that people answer on Airflow's page.
        assert run.answer("vera", asker, "Approve")[0] == 403
        if way == "slack":
            slack.yes(story, "U02BOB")
            return
        status, _ = run.answer("bob", asker, "Approve") if way == "page" else story.say(way, "bob")
        assert status in (200, 201)

    n = 1
    while (asker := asked(n).data["asker"]) != step:
        # On a busy machine it has run out before the first change, too.
        yes(asker)
        n += 1
    candidate = world.seen(name, name).candidate
    assert candidate is not None
    assert candidate.weight == 50
    yes(step)
    assert run.outcome() == "succeeded"
    assert [e.step for e in run.events("gate.opened")] == [story.gate] * (n + 1)
    assert [who for who, _ in story.voters()] == ["alice"] + ["bob"] * n
    assert not run.events("gate.bypassed")


def later(world: World) -> None:
    """Approved now by three people, to take effect later: the latest time counts, whoever set it where."""
    story = Story.begin(world, "later")
    story.approved("page", "alice")
    slack.press(story.run, story.gate, "U02BOB", LATER)
    early, at = (datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=s) for s in (40, 45))
    story.approved("api", "carol", not_before=early.isoformat())
    assert slack.send(story.run, "U02BOB", effect_at=f"{at.timestamp():.0f}") == ""
    assert story.voters() == [("alice", "airflow"), ("carol", "api"), ("bob", "slack")]
    assert story.run.events("gate.decided")[0].data["effect_at"] == at.isoformat()
    assert story.run.outcome() == "succeeded"
    assert story.run.events("change.started")[0].at >= at


def silent(world: World) -> None:
    """Nobody answers: they are reminded, and in the end it is a no."""
    run = world.start("silent")
    assert run.outcome() == "rejected"
    opened, decided = run.events("gate.opened")[0], run.events("gate.decided")[0]
    assert decided.at - opened.at >= timedelta(seconds=150)
    assert Story(run, "silent.approval").state().state == "rejected"
    # Reminders are what maintenance does each minute; several that were due by then are one.
    assert 1 <= len(run.events("gate.reminded")) <= 10
    assert "change.started" not in run.kinds()


def in_a_terminal(world: World) -> None:
    """`relman approve`, by people of different groups, each logged in as themselves."""
    story = Story.begin(world, "terminal")

    def approve(user: str, *more: str) -> tuple[int, str]:
        return terminal(world, user, "approve", story.run.release_id, "--yes", *more)

    seen = ("--comment", "seen", "--field", "change=CHG0000042")
    code, said = approve("admin", *seen)
    assert (code != 0, "nobody approves their own release" in said) == (True, True), said
    code, said = approve("carol", "--comment", "seen", "--field", "change=42")
    assert (code != 0, "matches CHG[0-9]{7}" in said) == (True, True), said
    for user in ("alice", "bob"):
        code, said = approve(user, *seen)
        assert code == 0, said
    assert story.state().counts == {"alice": "board", "bob": "managers"}
    assert story.voters() == [("alice", "cli"), ("bob", "cli")]
    assert story.run.outcome() == "succeeded"


def emergency(world: World, way: str) -> None:
    """The glass is broken by who may; what is owed is paid afterwards, not by whoever broke it."""
    run = world.start(f"glass-{way}", emergency=True, emergency_reason="the shop is down")
    assert run.outcome() == "succeeded"
    (waived,) = run.events("gate.waived")
    assert (waived.actor.id, waived.data["reason"]) == ("admin", "the shop is down")
    story = Story(run, f"glass-{way}.break_glass")
    status, said = world.call("alice", "GET", f"{API}/gates?debts=true")
    owed = {g["gate"]: (g["state"], g["overdue"]) for g in said["gates"]}
    assert (status, owed[story.gate]) == (200, ("open", False))
    story.refused("api", "admin", 403, "")
    if way == "slack":
        slack.press(run, story.gate, "U02BOB", APPROVE)
        slack.told(run, "U02BOB", "ask one of: Alice Example, Carol Example")
        slack.press(run, story.gate, "U04CAROL", APPROVE)
        eventually(lambda: story.state().state == "approved", "the vote")
    else:
        story.approved(way, "carol")
    assert story.voters() == [("carol", way)]
    assert story.gate not in [g.gate for g in world.ledger.votes.debts()]
    eventually(lambda: _heard(world, run), "the audience's word of it")


def _heard(world: World, run: Run) -> bool:
    (audience,) = (c["messages"] for c in slack_transcript(world) if c["name"] == "releases")
    return any("Break-glass" in str(m) and run.release_id in str(m) for m in audience)


def owed(world: World) -> None:
    """A rejected emergency is owed until it is said what was done; the record proves all of it offline."""
    run = world.start("glass-owed", emergency=True, emergency_reason="the shop is down")
    assert run.outcome() == "succeeded"
    story = Story(run, "glass-owed.break_glass")
    assert story.say("api", "carol", "Reject", comment="it was up")[0] == 201
    at_a_terminal = partial(terminal, world)
    assert run.release_id in at_a_terminal("vera", "status", "--debts")[1]
    settle = ("settle", run.release_id, "--reason", "the alert was wrong and is mended")
    for user, why in (
        ("admin", "may not settle"),
        ("vera", ""),
        ("bob", "may not settle"),
    ):
        code, said = at_a_terminal(user, *settle)
        assert (code != 0, why in said) == (True, True), said
    code, said = at_a_terminal("alice", *settle)
    assert code == 0, said
    assert run.release_id not in at_a_terminal("vera", "status", "--debts")[1]
    (event,) = run.events("gate.settled")
    assert (event.actor.id, event.actor.via) == ("alice", "cli")
    file = world.stack.folders.home / "owed.intoto.json"
    report = file.with_name("owed.html")
    code, said = at_a_terminal("vera", "evidence", "export", run.release_id, "-o", file, "--report", report)
    assert code == 0, said
    assert "the alert was wrong and is mended" in report.read_text()
    code, said = at_a_terminal("vera", "evidence", "verify", file, "--no-key")
    assert (code, "the shop is down" in said) == (0, True), said
    envelope = json.loads(file.read_text())
    forged = b64decode(envelope["payload"]).replace(b'"carol"', b'"bobby"')
    file.write_text(json.dumps(envelope | {"payload": b64encode(forged).decode()}))
    assert at_a_terminal("vera", "evidence", "verify", file, "--no-key")[0] != 0
    code, said = at_a_terminal("admin", "ledger", "verify", "--ledger-url", world.ledger_url)
    assert code == 0, said


def aged(world: World) -> Run:
    """Let Alice reject a release while the ledger's clock says that it is 100 days ago."""
    clock = world.stack.folders.home / "clock"
    clock.write_text(str(-100 * 86_400))
    story = Story.begin(world, "aged")
    assert story.say("api", "alice", "Reject", comment="too early")[0] == 201
    assert story.run.outcome() == "rejected"
    story.run.unlocked()
    clock.unlink()
    return story.run


def archived(world: World, run: Run) -> None:
    """What ended 90 days ago goes to a file; the rest still holds, and the file proves what went."""
    at_a_terminal, name = partial(terminal, world), "Alice Example"
    folder = world.stack.folders.home / "archives"
    where = ("--ledger-url", world.ledger_url)
    evidence, report = (world.stack.folders.home / f for f in ("aged.json", "aged.html"))

    def done(*args: object) -> str:
        code, said = at_a_terminal("admin", *args)
        assert code == 0, said
        return said

    assert name in done("report", run.release_id)
    move = ("ledger", "archive", "--to", folder, "--older-than", "90d", *where)
    assert f"stays: {run.release_id} is the newest of its pipeline" in done(*move)
    assert world.start("aged").release_id == "aged-1.1.0-2"
    assert f"would go: {run.release_id}" in done(*move, "--dry-run")
    assert name in done("report", run.release_id)
    assert "1 releases" in done(*move)
    (file,) = folder.iterdir()
    assert "checked" in done("ledger", "verify", *where, "--archives", folder)
    code, said = at_a_terminal("vera", "report", run.release_id)
    assert (code != 0, file.name in said) == (True, True), said
    done("evidence", "export", run.release_id, "--archive", file, "-o", evidence, "--report", report)
    assert name in report.read_text()
    assert "rejected" in done("evidence", "verify", evidence, "--no-key")


def no_emergency(world: World) -> None:
    """Somebody who may not break the glass asks the approvers as ever; one says no, through the API."""
    dag_id = "release__glass-other"
    conf = {"version": "1.1.0", "emergency": True, "emergency_reason": "me"}
    run_id = world.people["bob"].trigger(dag_id, conf)
    release = eventually(lambda: world.ledger.release_of_run(dag_id, run_id), "bob's release")
    run = Run(world, dag_id, run_id, release.release_id)
    story = Story(run, "glass-other.approval")
    run.asked(story.gate)
    asked = world.admin.required_action(dag_id, run.run_id, story.gate)
    assert "This emergency skips no rule:" in str(asked)
    story.refused("api", "bob", 403, "started it")
    assert story.say("api", "alice", "Reject", comment="it is up")[0] == 201
    assert run.outcome() == "rejected"
    assert not run.events("gate.waived")


def answered_after(world: World, moment: int, lane: int) -> Counter[str]:
    """Answer each gate so long after it opened, by page and API in turn; count what came of it."""
    name, found = f"moment-{moment}-{lane}", Counter[str]()
    run = world.start(name)
    for n in range(1, IN_A_ROW + 1):
        story = Story(run, f"{name}.approval" + (f"_{n}" if n > 1 else ""))
        after(run.until("gate.opened", story.gate).at + timedelta(seconds=MOMENTS[moment]))
        story.approved(("page", "api")[(n + lane + moment) % 2], "alice")
    assert run.outcome(300) == "succeeded"
    assert [who for who, _ in story.voters()] == ["alice"] * IN_A_ROW
    for task in world.admin.tasks(run.dag_id, run.run_id):
        if ".approval" in task["task_id"]:
            found[f"{task['state']} at try {task['try_number']}"] += 1
    return found


def after(moment: datetime) -> None:
    eventually(lambda: datetime.now(UTC) >= moment, "the moment", 120, every_s=0.01)


STORIES: dict[str, Callable[[World], Any]] = {
    **{f"ruled-{way}": lambda w, way=way: ruled(w, way) for way in ("page", "api")},
    "ruled-slack": ruled_in_slack,
    **{f"renewed-{way}": lambda w, way=way: renewed(w, way) for way in ("page", "api", "slack")},
    **{f"second-{way}": lambda w, way=way: escalated(w, way) for way in ("page", "api", "slack")},
    **{f"no-{way}": lambda w, way=way: rejected(w, way) for way in ("page", "slack")},
    **{f"newer-{way}": lambda w, way=way: superseded(w, way) for way in ("page", "api", "slack")},
    "later": later,
    **{name: lambda w, name=name: by_risk(w, name) for name in ("risky", "calm")},
    "authored": authored,
    "silent": silent,
    "terminal": in_a_terminal,
    **{f"glass-{way}": lambda w, way=way: emergency(w, way) for way in ("api", "slack")},
    "glass-other": no_emergency,
    "glass-owed": owed,
}
HAMMERED: dict[str, Callable[[World], Any]] = {
    f"moment-{m}-{lane}": lambda w, m=m, lane=lane: answered_after(w, m, lane)
    for m in range(len(MOMENTS))
    for lane in range(LANES)
}
