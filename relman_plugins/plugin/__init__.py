"""Room 8: what Airflow's API server gets from relman: the JSON API and the native-answer middleware.

Airflow instantiates the plugin in every process, but only the API server reads the two properties below:
the web framework is imported there and nowhere else.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from relman_plugins.plugin import preload


class RelmanPlugin(AirflowPlugin):
    """Mounts the API at ``/relman`` and lets answers on Airflow's own page count as votes."""

    name = "relman"
    listeners = [preload]  # noqa: RUF012 - Airflow's own attribute

    @property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """The API, closed by default; one instance per process."""
        from relman_plugins.plugin.app import application

        return [{"app": application(), "url_prefix": "/relman", "name": "relman"}]

    @property
    def timetables(self) -> list[Any]:  # type: ignore[override]
        """What decides when trains depart, so that Airflow can read it back from a stored DAG."""
        from relman_plugins.factory.timetable import TrainTimetable

        return [TrainTimetable]

    @property
    def fastapi_root_middlewares(self) -> list[Any]:  # type: ignore[override]
        """The middleware that hands native answers at relman's gates to the vote service."""
        from relman_plugins.plugin.native import NativeAnswers

        return [{"middleware": NativeAnswers, "args": [], "kwargs": {}, "name": "relman native answers"}]
