"""A train's departures: what goes, what stays, and the release that a departure starts."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
    DagRunTriggerException,
)

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Actor, train_run_id
from relman_plugins.steps.housekeeping import Housekeeper
from tests.operators.train_line import ALICE, DEPARTS, FILE, NEXT, Line


def test_a_departure_starts_the_release_that_the_schedule_answers_for(line: Line) -> None:
    started = line.starts()
    assert (started.trigger_dag_id, started.conf) == ("release__shop", {"version": "1.4.0", "changes": ""})
    release = line.open(started)
    assert (release.version, release.started_by) == ("1.4.0", Actor(id="schedule", via="schedule"))
    opened = line.ledger.events(release.release_id, kinds=[Kind.RELEASE_OPENED])[0]
    assert opened.data["made_with"]["train"] == {
        "departs": DEPARTS.isoformat(),
        "version": "1.4.0",
        "reason": "what VERSION says",
    }


def test_a_departure_that_is_tried_again_starts_the_same_run_with_the_same_version(line: Line) -> None:
    first = line.starts()
    (line.folder / "VERSION").write_text("1.5.0\n")
    line.add("1.6.0")
    again = line.starts()
    assert (again.dag_run_id, again.conf) == (first.dag_run_id, first.conf)
    assert again.skip_when_already_exists
    assert len([e for e in line.trains.latest("shop") if e.action == "departed"]) == 1


def test_what_was_released_before_does_not_go_again_and_a_dry_run_is_no_release(line: Line) -> None:
    line.open(line.starts(), user="carol", dry_run=True)
    line.at(NEXT)
    started = line.starts(NEXT)
    line.open(started)
    line.at(NEXT + timedelta(days=7))
    with pytest.raises(AirflowSkipException, match=r"nothing new: 1\.4\.0 was released before"):
        line.depart(NEXT + timedelta(days=7))


def test_that_nothing_is_new_is_told_once(line: Line) -> None:
    line.open(line.starts())
    for week in range(1, 4):
        line.at(DEPARTS + timedelta(weeks=week))
        with pytest.raises(AirflowSkipException):
            line.depart(DEPARTS + timedelta(weeks=week))
    told = [e.channel for e in reversed(line.trains.latest("shop")) if e.action == "nothing"]
    assert told == ["#rel-shop", "", ""]


def test_what_a_person_added_goes_first_and_that_person_started_it(line: Line) -> None:
    line.add("1.3.9")
    started = line.starts()
    assert started.conf == {"version": "1.3.9", "changes": "added by Alice: it is ready"}
    release = line.open(started)
    assert release.started_by == ALICE.model_copy(update={"via": "schedule"}), "who must not approve it"
    line.at(NEXT)
    assert line.starts(NEXT).conf["version"] == "1.4.0", "it went once"


def test_a_reason_of_any_length_fits_into_the_release(line: Line) -> None:
    line.trains.act("shop", "add", actor=ALICE, reason="x" * 4000, version="1.3.9")
    assert len(line.open(line.starts()).plan.options.changes) == 4000


def test_without_a_source_only_what_was_added_departs(line: Line) -> None:
    line.spec()
    with pytest.raises(AirflowSkipException, match="nobody has added a version"):
        line.depart()


def test_what_comes_after_the_cut_off_waits_for_the_next_train(line: Line) -> None:
    line.spec(FILE, "cutoff: 2h")
    line.at(DEPARTS - timedelta(hours=3))
    line.add("2.0.0")
    assert line.wait() == DEPARTS - timedelta(hours=2)
    line.at(DEPARTS - timedelta(hours=2))
    assert line.wait() == DEPARTS
    line.at(DEPARTS - timedelta(hours=1))
    line.add("3.0.0")
    (line.folder / "VERSION").write_text("1.5.0\n")
    line.at(DEPARTS)
    assert line.starts().conf["version"] == "2.0.0"
    line.at(NEXT)
    assert line.starts(NEXT).conf["version"] == "3.0.0"


def test_the_source_is_settled_at_the_cut_off_and_what_is_late_waits(line: Line) -> None:
    line.spec(FILE, "cutoff: 2h")
    line.at(DEPARTS - timedelta(hours=2))
    line.wait()
    (line.folder / "VERSION").write_text("1.5.0\n")
    line.at(DEPARTS - timedelta(hours=1))
    line.add("3.0.0")
    line.at(DEPARTS)
    assert line.starts().conf["version"] == "1.4.0"


def test_what_somebody_released_since_the_cut_off_does_not_go_again(line: Line) -> None:
    line.spec(FILE, "cutoff: 2h")
    line.at(DEPARTS - timedelta(hours=2))
    line.wait()
    by_hand = SimpleNamespace(dag_run_id="manual__1", conf={"version": "1.4.0"})
    line.open(by_hand, user="carol")  # type: ignore[arg-type]
    line.at(DEPARTS)
    with pytest.raises(AirflowSkipException, match="released before"):
        line.depart()


def test_of_trains_that_are_settled_at_once_only_one_takes_a_version(line: Line) -> None:
    line.spec("cutoff: 10d")
    line.at(DEPARTS - timedelta(days=11))
    line.add("2.0.0")
    line.at(DEPARTS)
    line.wait(NEXT)
    assert line.starts().conf["version"] == "2.0.0"
    line.at(NEXT)
    with pytest.raises(AirflowSkipException, match="went with an earlier departure"):
        line.depart(NEXT)


def test_what_an_earlier_departure_is_settled_on_is_not_for_the_next(line: Line) -> None:
    line.spec(FILE, "cutoff: 10d")
    line.at(DEPARTS - timedelta(days=11))
    line.add("2.0.0")
    line.at(DEPARTS - timedelta(days=10))
    line.wait()
    line.at(NEXT - timedelta(days=10))
    line.wait(NEXT)
    line.at(DEPARTS)
    assert line.starts().conf["version"] == "2.0.0"
    line.at(NEXT)
    assert line.starts(NEXT).conf["version"] == "1.4.0"


def test_what_a_skipped_departure_was_settled_on_is_for_the_next(line: Line) -> None:
    line.spec(FILE, "cutoff: 2h")
    line.add("2.0.0")
    line.at(DEPARTS - timedelta(hours=2))
    line.trains.act("shop", "skip", actor=ALICE, reason="audit", departs=DEPARTS)
    line.wait()
    line.at(DEPARTS)
    with pytest.raises(AirflowSkipException):
        line.depart()
    line.at(NEXT)
    assert line.starts(NEXT).conf["version"] == "2.0.0"


def test_what_was_taken_off_after_the_cut_off_does_not_go(line: Line) -> None:
    line.spec("cutoff: 2h")
    line.at(DEPARTS - timedelta(hours=3))
    line.add("2.0.0")
    line.at(DEPARTS - timedelta(hours=2))
    line.wait()
    line.trains.act("shop", "remove", actor=ALICE, reason="it is not")
    line.at(DEPARTS)
    with pytest.raises(AirflowSkipException, match=r"2\.0\.0 was taken off again"):
        line.depart()


def test_it_is_announced_ahead_once_with_what_would_go(line: Line) -> None:
    line.spec(FILE, "announce: 1d", "cutoff: 2h")
    line.at(DEPARTS - timedelta(days=1))
    assert line.wait() == DEPARTS - timedelta(hours=2)
    assert line.wait() == DEPARTS - timedelta(hours=2)
    (said,) = line.trains.latest("shop")
    assert (said.action, said.version, said.channel) == ("announced", "1.4.0", "#rel-shop")
    assert said.data == {"closes": (DEPARTS - timedelta(hours=2)).isoformat(), "settled": False, "stays": ""}


@pytest.mark.parametrize("action", ["hold", "skip"])
def test_a_train_that_is_held_or_skipped_stays_and_the_next_goes_with_what_was_added(
    line: Line, action: str
) -> None:
    line.add("2.0.0")
    departs = DEPARTS if action == "skip" else None
    line.trains.act("shop", action, actor=ALICE, reason="audit", departs=departs)
    end = {"hold": "held", "skip": "skipped"}[action]
    with pytest.raises(AirflowSkipException, match=f"{end} by Alice: audit"):
        line.depart()
    line.at(NEXT)
    if action == "hold":
        with pytest.raises(AirflowSkipException):
            line.depart(NEXT)
        line.trains.act("shop", "resume", actor=ALICE, reason="over")
        with pytest.raises(AirflowSkipException):
            line.depart(NEXT)
        line.at(NEXT + timedelta(weeks=1))
        assert line.starts(NEXT + timedelta(weeks=1)).conf["version"] == "2.0.0"
    else:
        assert line.starts(NEXT).conf["version"] == "2.0.0"


def test_a_departure_that_was_missed_long_ago_starts_nothing(line: Line) -> None:
    line.at(DEPARTS + timedelta(minutes=61))
    with pytest.raises(AirflowFailException, match="it was to depart 1h 1m ago"):
        line.depart()
    line.at(NEXT + timedelta(minutes=59))
    assert line.starts(NEXT).conf["version"] == "1.4.0"


def test_a_departure_that_the_schedule_no_longer_has_starts_nothing(line: Line) -> None:
    line.spec(FILE)
    text = (line.folder / "shop.yaml").read_text()
    (line.folder / "shop.yaml").write_text(text.replace("10:00", "11:00"))
    with pytest.raises(AirflowFailException, match="the schedule was changed"):
        line.depart()


def test_a_source_that_cannot_be_read_is_tried_again_and_then_said(line: Line) -> None:
    (line.folder / "VERSION").unlink()
    for minute in range(0, 60, 2):
        line.at(DEPARTS + timedelta(minutes=minute))
        assert line.wait() == DEPARTS + timedelta(minutes=minute + 2)
    (delayed,) = line.trains.latest("shop")
    assert (delayed.action, delayed.channel) == ("delayed", "#rel-shop")
    assert "cannot read the version to release from VERSION" in delayed.reason
    assert delayed.reason.endswith("; tried again until 10:00 UTC")
    line.at(DEPARTS + timedelta(minutes=60))
    with pytest.raises(AirflowFailException, match="could not be found out: cannot read the version"):
        line.depart()
    failed = line.trains.latest("shop")[0]
    assert (failed.action, failed.channel) == ("failed", "#rel-shop")
    (line.folder / "VERSION").write_text("1.4.0\n")
    with pytest.raises(AirflowFailException):
        line.depart()


def test_a_run_by_hand_is_no_departure(line: Line) -> None:
    with pytest.raises(AirflowFailException, match="departs at its time only"):
        line.depart(run_type="manual")
    assert line.trains.latest("shop") == []


def test_who_gives_a_run_the_id_of_a_departure_is_no_train(line: Line) -> None:
    claimed = SimpleNamespace(dag_run_id=train_run_id(DEPARTS), conf={"version": "6.6.6"})
    assert line.open(claimed).started_by == Actor(id="airflow", via="airflow")  # type: ignore[arg-type]
    line.at(NEXT)
    started = line.starts(NEXT)
    with pytest.raises(AirflowFailException, match=r"departed with 1\.4\.0, and this run is of '6\.6\.6'"):
        line.open(started, version="6.6.6")
    assert line.open(started, user="carol", version="6.6.6").started_by.id == "carol"


def test_a_source_that_is_back_within_the_hour_departs_late(line: Line) -> None:
    (line.folder / "VERSION").unlink()
    line.at(DEPARTS + timedelta(minutes=50))
    line.wait()
    (line.folder / "VERSION").write_text("1.4.0\n")
    assert line.starts().conf["version"] == "1.4.0"


def test_that_nothing_came_of_a_departure_is_told_once(line: Line) -> None:
    keeper = Housekeeper(line.ledger, SimpleNamespace())  # type: ignore[arg-type]
    line.open(line.starts())
    line.at(NEXT)
    (line.folder / "VERSION").write_text("1.5.0\n")
    line.starts(NEXT)
    line.at(NEXT + timedelta(minutes=14))
    assert keeper.tell_lost_trains() == []
    line.at(NEXT + timedelta(minutes=16))
    said = "1.5.0 departed, and its run opened no release: look at the runs of release__shop"
    assert [keeper.tell_lost_trains() for _ in range(2)] == [[f"the train of shop: {said}"], []]
    (lost,) = [e for e in line.trains.latest("shop") if e.action == "lost"]
    assert (lost.departs, lost.channel, lost.reason) == (NEXT, "#rel-shop", said)


@pytest.mark.parametrize("lines", [["cutoff: 2h"], ["announce: 1d"]])
def test_a_departure_that_has_begun_and_that_nobody_ends_is_told_once(line: Line, lines: list[str]) -> None:
    keeper = Housekeeper(line.ledger, SimpleNamespace())  # type: ignore[arg-type]
    line.spec(FILE, *lines)
    line.at(DEPARTS - timedelta(hours=2))
    line.wait()
    line.at(DEPARTS + timedelta(minutes=74))
    assert keeper.tell_lost_trains() == []
    line.at(DEPARTS + timedelta(minutes=76))
    said = "its run has not ended it within 1h: look at the runs of train__shop"
    assert [keeper.tell_lost_trains() for _ in range(2)] == [[f"the train of shop: {said}"], []]
    lost = line.trains.latest("shop")[0]
    assert (lost.action, lost.departs, lost.channel, lost.reason) == ("failed", DEPARTS, "#rel-shop", said)
    with pytest.raises(AirflowFailException, match="its run has not ended it"):
        line.depart()


def test_it_is_announced_late_as_long_as_it_is_to_come(line: Line) -> None:
    line.spec(FILE, "announce: 1d", "cutoff: 2h")
    line.at(DEPARTS - timedelta(minutes=1))
    assert line.wait() == DEPARTS
    assert [e.action for e in reversed(line.trains.latest("shop"))] == ["settled", "announced"]
    assert line.trains.latest("shop")[0].data["settled"]
    line.at(NEXT)
    with pytest.raises(DagRunTriggerException):
        line.depart(NEXT)
    assert "announced" not in [e.action for e in line.trains.of("shop", NEXT)], "it is no news any more"


def test_it_is_announced_while_its_version_can_not_be_settled(line: Line) -> None:
    line.spec(FILE, "announce: 1d", "cutoff: 2d")
    (line.folder / "VERSION").unlink()
    line.at(DEPARTS - timedelta(days=1))
    assert line.wait() == DEPARTS - timedelta(days=1) + timedelta(minutes=2)
    (said,) = line.trains.latest("shop")
    assert (said.action, said.version, said.data["settled"]) == ("announced", "", False)
    assert said.reason.startswith("not known yet: cannot read the version to release from VERSION")
    (line.folder / "VERSION").write_text("1.4.0\n")
    line.at(DEPARTS - timedelta(days=1) + timedelta(minutes=2))
    assert line.wait() == DEPARTS
    line.at(DEPARTS)
    assert line.starts().conf["version"] == "1.4.0"
