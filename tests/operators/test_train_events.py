"""A train that departs with the events of assets: what goes, and what an event must say."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DagRunTriggerException

from relman_plugins.domain.identity import departure_of
from relman_plugins.factory.train import build_train
from tests.operators.train_line import ALICE, DEPARTS, NEXT, SPEC, Line


@pytest.fixture(autouse=True)
def by_events(line: Line) -> None:
    head = SPEC.partition("schedule:")[0]
    (line.folder / "shop.yaml").write_text(f"{head}schedule: {{assets: [shop-image, shop-chart]}}\n")


def came(line: Line, *extras: Any, departs: Any = DEPARTS, run_type: str = "asset_triggered") -> None:
    """Run the task as Airflow does when events of the assets have come."""
    task = build_train(line.shape(), "relman_plugins.operators.depart.DepartOperator").get_task("depart")
    run = SimpleNamespace(run_type=run_type, run_after=departs, data_interval_end=None)
    events = {"shop-image": [SimpleNamespace(extra=extra) for extra in extras], "shop-chart": []}
    task.execute({"dag_run": run, "triggering_asset_events": events})


def starts(line: Line, *extras: Any, **more: Any) -> DagRunTriggerException:
    with pytest.raises(DagRunTriggerException) as started:
        came(line, *extras, **more)
    return started.value


def test_an_event_starts_a_release_of_the_version_in_its_extra(line: Line) -> None:
    started = starts(line, {"version": "1.4.0", "digest": "sha256:1"})
    assert started.conf == {"version": "1.4.0", "changes": ""}
    assert departure_of(started.dag_run_id) == DEPARTS
    release = line.open(started)
    assert (release.version, release.started_by.id) == ("1.4.0", "schedule")
    assert starts(line, {"version": "1.9.0"}).conf == started.conf, "tried again, it is the same"


@pytest.mark.parametrize(
    ("said", "goes"),
    [
        (["1.9.0", "1.10.0", "1.4.0"], "1.10.0"),
        (["2.0.0-rc.1", "1.4.0"], "2.0.0-rc.1"),
        (["1.4.0", None, "../x", 7], "1.4.0"),
        (["nightly-2", "nightly-1"], "nightly-1"),
    ],
)
def test_of_several_events_the_newest_version_goes_or_the_last_where_none_can_be_compared(
    line: Line, said: list[Any], goes: str
) -> None:
    extras = [{} if version is None else {"version": version} for version in said]
    assert starts(line, *extras).conf["version"] == goes


def test_what_is_released_already_older_or_unsaid_starts_nothing(line: Line) -> None:
    line.open(starts(line, {"version": "1.4.0"}))
    for after, (extra, why) in enumerate(
        [
            ({"version": "1.4.0"}, r"nothing new: 1\.4\.0 was released before"),
            ({"version": "1.3.0"}, r"1\.3\.0 is older than 1\.4\.0"),
            ({"tag": "1.5.0"}, 'there is no version: the "version" in the event\'s extra'),
        ]
    ):
        line.at(NEXT + timedelta(minutes=after))
        with pytest.raises(AirflowSkipException, match=why):
            came(line, extra, departs=NEXT + timedelta(minutes=after))


def test_a_train_by_events_is_held_and_takes_what_people_add(line: Line) -> None:
    line.add("1.3.9")
    assert starts(line, {"version": "1.4.0"}).conf["version"] == "1.3.9"
    line.at(NEXT)
    line.trains.act("shop", "hold", actor=ALICE, reason="audit")
    with pytest.raises(AirflowSkipException, match="held by Alice: audit"):
        came(line, {"version": "1.4.0"}, departs=NEXT)


@pytest.mark.parametrize("run_type", ["manual", "scheduled"])
def test_a_run_that_no_event_has_started_is_no_departure(line: Line, run_type: str) -> None:
    with pytest.raises(AirflowFailException, match="departs with events only"):
        came(line, {"version": "1.4.0"}, run_type=run_type)
    assert line.trains.latest("shop") == []
