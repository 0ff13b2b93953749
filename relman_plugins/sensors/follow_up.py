"""The question that comes after a release: what is to be done about it?"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

from relman_plugins import settings
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.follow_up import GIVE, NONE
from relman_plugins.plan.words import plural
from relman_plugins.steps.base import ReleaseStepOperator
from relman_plugins.steps.form import follow_up_form
from relman_plugins.steps.subjects import ends, names, one_line
from relman_plugins.triggers.base import deferral
from relman_plugins.triggers.follow_up import FollowUpTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.steps.run import StepRun


class FollowUpSensor(ReleaseStepOperator):
    """Ask people for follow-ups of a release that has ended, and wait for one answer or the end of the time.

    It comes after ``close`` and changes nothing of what that recorded: locks are free, the outcome stands,
    and the run will have the colour that ``close`` gives it. Nobody's answer is none: the step ends well.
    """

    ui_color = "#fdf1c7"
    forward = False

    def act(self, context: Context, run: StepRun) -> str:
        """Ask, unless the outcome is none that the spec asks after."""
        closed = run.events(Kind.RELEASE_CLOSED)
        if not closed:
            return "the release has no outcome yet, so nobody is asked"
        if (outcome := str(closed[0].data["outcome"])) not in run.step.args["after"]:
            return f"nobody is asked after {outcome}"
        until = run.ledger.now() + timedelta(seconds=run.step.args["timeout_s"])
        # Idempotent: a second try finds what the first one asked, and its end.
        asked = {"people": run.step.args["people"], "until": until.isoformat(), "outcome": outcome}
        run.record(Kind.FOLLOW_UP_ASKED, "asked", asked)
        return self._settle(context, run, ask=True, closed=closed[0])

    def answered(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the trigger saw an answer or Airflow took one: the ledger is read again."""
        return self._framed(context, lambda run: self.finish(run, self._answered(context, run, event)))

    def _answered(self, context: Context, run: StepRun, event: dict[str, Any]) -> str:
        user = event.get("responded_by_user") or {}
        again = False
        if event.get("chosen_options") and user.get("id"):
            # Airflow took it itself: relman's middleware is not there.
            given = run.ledger.give_follow_ups(
                run.release_id,
                airflow_user=str(user["id"]),
                name=str(user.get("name") or ""),
                option=str(event["chosen_options"][0]),
                form=event.get("params_input") or {},
                via="airflow",
            )
            self.log.info("answer of %s on Airflow's page: %s", user["id"], given.reason)
            again = not given.accepted
        return self._settle(context, run, ask=again, closed=run.events(Kind.RELEASE_CLOSED)[0])

    def _settle(self, context: Context, run: StepRun, *, ask: bool, closed: Event) -> str:
        if given := run.events(Kind.FOLLOW_UP):
            items, who = given[0].data.get("items") or (), given[0].actor.name or given[0].actor.id
            return (
                f"{plural(len(items), 'follow-up')} named by {who}" if items else f"no follow-ups, says {who}"
            )
        until = datetime.fromisoformat(run.mine(Kind.FOLLOW_UP_ASKED)[0].data["until"])
        if run.ledger.now() >= until:
            return "nobody named follow-ups in time"
        if ask:
            self._ask(context, run, closed, until)
        return self._park(context, run, until)

    def _ask(self, context: Context, run: StepRun, closed: Event, until: datetime) -> None:
        from airflow.sdk.execution_time.hitl import HITLUser, upsert_hitl_detail

        people = run.plan.people(run.step.id)
        outcome = str(closed.data["outcome"]).replace("_", " ")
        address = f"relman/api/v1/releases/{quote(run.release_id, safe='')}/report?format=html"
        upsert_hitl_detail(
            ti_id=context["ti"].id,
            options=[GIVE, NONE],
            subject=f"{run.shape.pipeline} {run.plan.options.version} {outcome}: follow-ups?",
            body=(
                f"Release `{run.release_id}` has ended as **{outcome}**: "
                f"{one_line(str(closed.data.get('reason') or 'no reason recorded'))}\n\n"
                f"[Read the report]({settings.base_url()}/{address}), then write down what is to be done, "
                "by whom and until when. It is kept with the release and stands in its report.\n\n"
                f"**Who may answer:** one of {names(people)}. Everybody else is refused.\n\n"
                f"**Until when:** {ends(until, run.step.args['timeout_s'])}. Nothing waits for it: the "
                "outcome stands, and the environment is free.\n"
            ),
            multiple=False,
            params=follow_up_form(),
            assigned_users=[HITLUser(id=p.airflow, name=p.name or p.airflow) for p in people],
        )

    def _park(self, context: Context, run: StepRun, until: datetime) -> NoReturn:
        self.defer(
            trigger=FollowUpTrigger(
                release_id=run.release_id,
                gate=run.step.id,
                ti_id=str(context["ti"].id),
                expires_at=until.isoformat(),
                **deferral(settings.minimum_deferral()),
            ),
            method_name="answered",
        )
