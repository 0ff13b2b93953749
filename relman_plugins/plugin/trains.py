"""Routes of trains: when each departs and with what, and what people do to it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.models.dag import DagModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.utils.session import create_session
from fastapi import APIRouter, HTTPException, Request
from sqlalchemy import select

from relman_plugins.domain.identity import dag_id_of, is_version, train_dag_id_of, train_run_id
from relman_plugins.errors import CalendarError, Refused
from relman_plugins.factory.timetable import TrainTimetable
from relman_plugins.plugin import access
from relman_plugins.plugin.deps import ledger
from relman_plugins.plugin.models import TrainBody
from relman_plugins.settings import base_url

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Entry, Ledger
    from relman_plugins.plan.train import Train

router = APIRouter()

SHOWN = 5
"""Departures that are listed."""
MOST_SKIPPED = 50
"""Departures that are looked at for one that is not skipped."""


class Action(StrEnum):
    """What a person does to a train."""

    HOLD = "hold"
    RESUME = "resume"
    SKIP = "skip"
    ADD = "add"
    REMOVE = "remove"


class Served(NamedTuple):
    """A train as Airflow has it."""

    pipeline: str
    train: Train
    paused: bool


@router.get("/trains")
def list_trains(user: access.Reader) -> dict[str, Any]:
    """Return the trains of the pipelines that the caller may see, by name."""
    prefix = train_dag_id_of("")
    query = select(DagModel.dag_id).where(
        DagModel.dag_id.startswith(prefix, autoescape=True), ~DagModel.is_stale
    )
    with create_session() as session:
        names = sorted(dag_id.removeprefix(prefix) for dag_id in session.scalars(query))
    store = ledger()
    mine = (name for name in names if access.may(user, "GET", dag_id_of(name)))
    found = (served for name in mine if (served := _served(name)) is not None)
    return {"trains": [_view(store, served) for served in found]}


@router.get("/trains/{pipeline}")
def get_train(pipeline: str, user: access.Reader) -> dict[str, Any]:
    """Return one train, and the newest entries of its journal, the latest first."""
    store, served = ledger(), _found(pipeline, user)
    entries = store.trains.latest(pipeline)
    return _view(store, served) | {"journal": [_entry(store, entry) for entry in entries]}


@router.post("/trains/{pipeline}/{action}", status_code=201)
def act(
    pipeline: str, action: Action, body: TrainBody, request: Request, user: access.Writer
) -> dict[str, Any]:
    """Hold a train, let it go on, skip its next departure, add a version to it, or take that off again.

    To add a version takes the right to start a release, everything else that to change one. 409 when it
    changes nothing.
    """
    store, served = ledger(), _found(pipeline, user)
    if access.all_admins():
        raise HTTPException(403, access.ALL_ADMINS)
    access.require(user, dag_id_of(pipeline), method="POST" if action is Action.ADD else "PUT")
    if action is Action.ADD and not is_version(body.version):
        raise HTTPException(422, "version: letters, digits and . _ + -, at most 64, as in 1.4.0")
    departs = _to_skip(store, served) if action is Action.SKIP else None
    entry = store.trains.act(
        pipeline,
        action,
        actor=access.actor(user, access.via_of(request)),
        reason=body.reason,
        version=body.version if action is Action.ADD else "",
        departs=departs,
        channel=served.train.slack_channel,
    )
    return {
        "entry": _entry(store, entry),
        "message": _said(store, served, entry),
        "train": _view(store, served),
    }


def _found(pipeline: str, user: Any) -> Served:
    """Return a train, or answer 404; who may not see its pipeline is not told that there is one."""
    served = _served(pipeline) if access.may(user, "GET", dag_id_of(pipeline)) else None
    if served is None:
        raise HTTPException(404, f"no train {pipeline!r}; `relman train list` lists them")
    return served


def _served(pipeline: str) -> Served | None:
    dag_id = train_dag_id_of(pipeline)
    model, row = DagModel.get_dagmodel(dag_id), SerializedDagModel.get(dag_id)
    if model is None or model.is_stale or row is None:
        return None
    timetable = row.dag.timetable
    if isinstance(timetable, AssetOrTimeSchedule):
        timetable = timetable.timetable
    if not isinstance(timetable, TrainTimetable):
        return None
    return Served(pipeline, timetable.train, bool(model.is_paused))


def _ahead(store: Ledger, served: Served, count: int) -> list[datetime]:
    """Return the next departures that have no end yet."""
    found: list[datetime] = []
    at = store.now()
    while len(found) < count and (departs := served.train.departs.after(at)) is not None:
        found, at = [*found, departs], departs
    return found


def _to_skip(store: Ledger, served: Served) -> datetime:
    """Return the next departure that is not skipped yet; 409 when there is none in sight."""
    skipped = store.trains.state(served.pipeline).skips
    try:
        departs = next((d for d in _ahead(store, served, MOST_SKIPPED) if d not in skipped), None)
    except CalendarError as error:
        raise Refused(f"its departures can't be told: {error}") from error
    if departs is None:
        raise Refused(
            "there is no departure in sight that could be skipped; `relman train hold` keeps all back"
        )
    return departs


def _goes_with(store: Ledger, served: Served) -> datetime | None:
    """Return the departure that a version goes with which is added by now."""
    now, state = store.now(), store.trains.state(served.pipeline)
    try:
        ahead = _ahead(store, served, SHOWN)
    except CalendarError:
        return None
    return next((d for d in ahead if d not in state.skips and served.train.closes(d) >= now), None)


def _said(store: Ledger, served: Served, entry: Entry) -> str:
    """Say what an action came to."""
    name = served.pipeline
    if entry.action == "hold":
        return f"{name} is held: nothing departs until `relman train resume {name}`"
    if entry.action == "resume":
        return f"{name} departs again{_next(store, served)}"
    if entry.action == "skip" and entry.departs is not None:
        return f"{name} skips the departure of {_moment(entry.departs)}"
    if entry.action == "remove":
        return f"what was added to {name} is taken off"
    departs = _goes_with(store, served)
    held = "; it is held" if store.trains.state(name).held else ""
    return (
        f"{entry.version} departs {_moment(departs)}{held}"
        if departs
        else f"{entry.version} is on {name}{held}"
    )


def _next(store: Ledger, served: Served) -> str:
    departs = _goes_with(store, served)
    return f", next {_moment(departs)}" if departs else ""


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _view(store: Ledger, served: Served) -> dict[str, Any]:
    name, train, trouble = served.pipeline, served.train, ""
    try:
        ahead = _ahead(store, served, SHOWN)
    except CalendarError as error:
        ahead, trouble = [], str(error)
    state = store.trains.state(name, train.closes(ahead[0]) if ahead else None)
    known = store.trains.of(name, ahead[0]) if ahead else []
    settled = next((e for e in known if e.action == "settled"), None)
    dag_id = train_dag_id_of(name)
    return {
        "name": name,
        "description": train.describe(),
        "dag_id": dag_id,
        "url": f"{base_url()}/dags/{dag_id}",
        "paused": served.paused,
        "departures": [
            {"at": d.isoformat(), "closes": train.closes(d).isoformat(), "skipped": _by(state.skips.get(d))}
            for d in ahead
        ],
        "assets": list(train.departs.assets),
        "trouble": trouble,
        "held": _by(state.held),
        "settled": {"version": settled.version, "reason": settled.reason} if settled else None,
        "added": _added(state.added),
        "later": _added(state.later),
    }


def _by(entry: Entry | None) -> dict[str, Any] | None:
    return entry.model_dump(mode="json", include={"actor", "reason", "at"}) if entry else None


def _added(entry: Entry | None) -> dict[str, Any] | None:
    return entry.model_dump(mode="json", include={"version", "actor", "reason", "at"}) if entry else None


def _entry(store: Ledger, entry: Entry) -> dict[str, Any]:
    include = {"action", "departs", "version", "reason", "actor", "at"}
    release = None
    if entry.action == "departed" and entry.departs is not None:
        release = store.release_of_run(dag_id_of(entry.pipeline), train_run_id(entry.departs))
    return entry.model_dump(mode="json", include=include) | {"release_id": release and release.release_id}
