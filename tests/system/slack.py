"""What members of the workspace see and press, in the Slack server of a running world."""

from __future__ import annotations

import json
from typing import Any

from relman_plugins.clients.http import client, request
from relman_plugins.notifications.buttons import APPROVE, Question
from relman_plugins.testing.demo_api import ANSWER_S
from relman_plugins.testing.slack_interactive import Interactive, buttons_of
from relman_plugins.testing.slack_store import Store
from relman_plugins.testing.stack_config import SLACK_PATH, SLACK_SECRET
from tests.system.conftest import Run, World, slack_transcript
from tests.system.voting import Story
from tests.waiting import eventually


def question(run: Run, gate: str, says: str = "What is approved", round_: int = 0) -> dict[str, Any]:
    """Return the newest message that asks at a gate, as Slack has it now; empty while there is none.

    With ``round_`` only one that asks in that round, with buttons.
    """
    found = [
        (channel["id"], message)
        for channel in slack_transcript(run.world)
        for message in channel["messages"]
        if (message.get("metadata") or {}).get("event_payload", {}).get("release") == run.release_id
        and says in str(message.get("blocks"))
        and (not list(buttons_of(message)) or gate in json.dumps(message["blocks"]))
        and (not round_ or any(Question.read(b["value"]).round == round_ for b in buttons_of(message)))
    ]
    return {"channel": found[-1][0], **found[-1][1]} if found else {}


def asked(run: Run, gate: str, round_: int = 0) -> dict[str, Any]:
    """Wait for a gate's question with its buttons, and return it."""
    return eventually(
        lambda: q if list(buttons_of(q := question(run, gate, round_=round_))) else None,
        f"buttons of {gate} in Slack",
        every_s=1,
    )


def door(world: World) -> Interactive:
    """Return what whoever can reach the app's address sends there: as Slack signs it, or otherwise."""
    url = f"{world.stack.addresses.airflow}{SLACK_PATH}"
    return Interactive(Store(()), url=url, secret=SLACK_SECRET, patience_s=ANSWER_S)


def pressed(run: Run, gate: str, user: str) -> dict[str, Any]:
    """Return what Slack says of a press of a gate's button to approve."""
    message = asked(run, gate)
    return {
        "type": "block_actions",
        "user": {"id": user},
        "container": {"channel_id": message["channel"], "message_ts": message["ts"]},
        "trigger_id": "1.2.3",
        "actions": [next(b for b in buttons_of(message) if b["action_id"] == APPROVE)],
    }


def yes(story: Story, user: str) -> None:
    """Approve with the button what a gate asks now, and wait until the vote is cast."""
    round_ = story.state().round
    press(story.run, story.gate, user, APPROVE, round_)
    eventually(lambda: story.state().round > round_ or story.state().votes, f"the vote of {user}")


def press(run: Run, gate: str, user: str, action: str, round_: int = 0) -> None:
    """Press a button of a gate's question, once it is there; the app must take it."""
    found = asked(run, gate, round_)
    answer = _post(run, "/_press", user=user, action=action, channel=found["channel"], ts=found["ts"])
    assert answer == {"status": 200, "body": ""}


def send(run: Run, user: str, **fields: str) -> str:
    """Fill in and send the form that a press has opened for this release; return what is wrong with it."""
    view = eventually(lambda: _form(run), "the form in Slack")
    answer = _post(run, "/_send", user=user, view=view, **fields)
    assert answer["status"] == 200
    return str(json.loads(answer["body"])["errors"]["comment"]) if answer["body"] else ""


def told(run: Run, user: str, words: str) -> None:
    """Wait for what only this member sees."""

    def found() -> bool:
        return any(p["user"] == user and words in p["text"] for p in _get(run, "/_private"))

    eventually(found, f"{words!r} for {user}")


def _form(run: Run) -> str | None:
    views = _get(run, "/_views")
    return next((id_ for id_, view in views.items() if run.release_id in view["private_metadata"]), None)


def _get(run: Run, path: str) -> Any:
    with client(run.world.stack.addresses.slack) as http:
        return request(http, "GET", path).json()


def _post(run: Run, path: str, **given: str) -> dict[str, Any]:
    with client(run.world.stack.addresses.slack, timeout=ANSWER_S) as http:
        return dict(request(http, "POST", path, json=given).json())
