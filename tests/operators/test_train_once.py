"""What a train brings once, what it takes of a source, and what may be away ahead of it."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
)

from tests.clients.test_git import Source
from tests.operators.train_line import DEPARTS, FILE, NEXT, Line


def test_a_release_that_its_run_comes_to_too_late_is_not_opened(line: Line) -> None:
    started = line.starts()
    line.at(DEPARTS + timedelta(hours=2))
    with pytest.raises(AirflowFailException, match=r"was to start at 2026-12-01 09:00 UTC, 2h ago"):
        line.open(started)
    assert line.ledger.releases() == []


def test_of_departures_that_wait_for_a_paused_dag_only_one_opens_a_version(line: Line) -> None:
    line.open(SimpleNamespace(dag_run_id="manual__1", conf={"version": "1.4.0"}), user="carol", dry_run=True)  # type: ignore[arg-type]
    line.spec(FILE)
    daily = (line.folder / "shop.yaml").read_text().replace("days: [tue]", 'cron: "*/20 10 * * *"')
    (line.folder / "shop.yaml").write_text(daily.replace('  at: "10:00"\n', ""))
    waiting = []
    for late in (0, 20, 40):
        line.at(DEPARTS + timedelta(minutes=late))
        waiting.append(line.starts(DEPARTS + timedelta(minutes=late)))
    first, second, third = waiting
    assert line.open(second) == line.open(second), "tried again"
    for lost in (first, third):
        with pytest.raises(AirflowFailException, match=r"nothing new: 1\.4\.0 was released before"):
            line.open(lost)
    assert [r.plan.options.dry_run for r in line.ledger.releases()] == [False, True]


def test_a_version_that_is_written_otherwise_was_released_before_all_the_same(line: Line) -> None:
    line.open(line.starts())
    line.at(NEXT)
    (line.folder / "VERSION").write_text("v1.4.0\n")
    with pytest.raises(AirflowSkipException, match=r"nothing new: 1\.4\.0 was released before"):
        line.depart(NEXT)
    line.spec(FILE, "cutoff: 2h")
    after = NEXT + timedelta(weeks=1)
    (line.folder / "VERSION").write_text("v1.5.0\n")
    line.at(after - timedelta(hours=2))
    line.wait(after)
    by_hand = SimpleNamespace(dag_run_id="manual__1", conf={"version": "1.5.0"})
    line.open(by_hand, user="carol")  # type: ignore[arg-type]
    line.at(after)
    with pytest.raises(AirflowSkipException, match=r"nothing new: 1\.5\.0 was released before"):
        line.depart(after)


def test_what_somebody_added_goes_even_if_it_was_released_before(line: Line) -> None:
    line.open(line.starts())
    line.at(NEXT)
    line.add("1.4.0")
    assert line.open(line.starts(NEXT)).n == 2


def test_what_is_away_ahead_of_a_departure_is_waited_for(line: Line) -> None:
    line.spec(FILE, "cutoff: 2h")
    (line.folder / "VERSION").unlink()
    line.at(DEPARTS - timedelta(hours=2))
    assert line.wait() == DEPARTS - timedelta(hours=2) + timedelta(minutes=2)
    line.at(DEPARTS - timedelta(minutes=1))
    assert line.wait() == DEPARTS
    assert line.trains.latest("shop") == []
    (line.folder / "VERSION").write_text("1.4.0\n")
    line.at(DEPARTS)
    assert line.starts().conf["version"] == "1.4.0"


def test_a_ledger_that_is_away_is_waited_for_until_the_departure_is_too_late(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.spec(FILE, "announce: 1d")
    with monkeypatch.context() as away:
        away.setenv("AIRFLOW__RELMAN__LEDGER_CONN_ID", "not_there")
        line.at(DEPARTS - timedelta(days=1))
        assert line.wait() == DEPARTS - timedelta(days=1) + timedelta(minutes=2)
        for late in (0, 58):
            line.at(DEPARTS + timedelta(minutes=late))
            assert line.wait() == DEPARTS + timedelta(minutes=late + 2)
        line.at(DEPARTS + timedelta(minutes=59))
        with pytest.raises(AirflowFailException, match=r"no release was started: .*not_there"):
            line.depart()
    assert line.trains.latest("shop") == []
    assert line.starts().conf["version"] == "1.4.0"


def test_what_is_older_than_what_was_released_goes_when_the_file_says_so(
    line: Line,
) -> None:
    line.open(line.starts())
    line.at(NEXT)
    (line.folder / "VERSION").write_text("1.3.0\n")
    assert line.starts(NEXT).conf["version"] == "1.3.0"


def test_the_newest_tag_goes_and_never_one_older_than_what_was_released(line: Line) -> None:
    source = Source(line.folder.parent / "src")
    source.commit("First", a_dot_py="one\n")
    for tag in ("v1.9.0", "v1.10.0", "v2.0.0-rc.1", "1.99.0", "nightly"):
        source.tag(tag)
    line.spec('version: {git: ../src, range: "<2"}')
    assert line.starts().conf["version"] == "1.10.0"
    line.open(line.starts())
    line.at(NEXT)
    line.spec('version: {git: ../src, range: "<1.10"}')
    with pytest.raises(AirflowSkipException, match=r"1\.9\.0 is older than 1\.10\.0"):
        line.depart(NEXT)


def test_the_newest_artefact_of_a_directory_goes_by_its_name(line: Line) -> None:
    dist = line.folder.parent / "dist"
    dist.mkdir()
    for name in (
        "shop-1.9.0.tar.gz",
        "shop-1.10.0.tgz",
        "shop-1.11.0-rc.1.zip",
        "web-3.0.0.zip",
        "shop-x.zip",
    ):
        (dist / name).touch()
    line.spec("version: {directory: ../dist, prefix: shop-}")
    assert line.starts().conf["version"] == "1.10.0"
    line.at(NEXT)
    line.spec("version: {directory: ../dist, prefix: shop-, prereleases: true}")
    assert line.starts(NEXT).conf["version"] == "1.11.0-rc.1"
