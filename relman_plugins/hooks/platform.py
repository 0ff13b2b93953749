"""Airflow connection → platform driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.errors import PlatformRejected, PlatformUnavailable, unread

if TYPE_CHECKING:
    from collections.abc import Callable

    from relman_plugins.plan.model import EnvironmentPlan
    from relman_plugins.platforms.base import Jobs, Platform


def platform_of(environment: EnvironmentPlan) -> Platform:
    """Return the driver of an environment's platform, with the connection's fields.

    Raises:
        PlatformUnavailable: the connection can't be read.
    """
    from airflow.sdk import Connection

    try:
        connection = Connection.get(environment.connection)
    except Exception as error:
        raise _unreadable(environment, error) from error
    return _driver(environment, connection)


async def async_platform_of(environment: EnvironmentPlan) -> Platform:
    """Do as ``platform_of``, from a trigger: the secrets backends are asked without blocking the loop."""
    import asyncio

    # A cluster's configuration is in files, or comes from a program.
    return await asyncio.to_thread(_driver, environment, await _connection(environment))


def jobs_of(environment: EnvironmentPlan) -> Jobs:
    """Return what runs suites on an environment's platform.

    Raises:
        PlatformUnavailable: the connection can't be read.
        PlatformRejected: no suites run there.
    """
    return _jobs(environment, platform_of(environment))


async def jobs_maker(environment: EnvironmentPlan) -> Callable[[], Jobs]:
    """Return what does the rest of ``jobs_of`` in a thread of the caller's choice.

    That may take for ever: a cluster's login may come from a program.

    Raises:
        PlatformUnavailable: the connection can't be read.
    """
    connection = await _connection(environment)
    return lambda: _jobs(environment, _driver(environment, connection))


async def _connection(environment: EnvironmentPlan) -> Any:
    from airflow.sdk import BaseHook

    try:
        return await BaseHook.aget_connection(environment.connection)
    except Exception as error:
        raise _unreadable(environment, error) from error


def _jobs(environment: EnvironmentPlan, platform: Platform) -> Jobs:
    from relman_plugins.platforms.base import RunsJobs

    if not isinstance(platform, RunsJobs):
        raise PlatformRejected(
            f"platform {environment.platform!r} of environment {environment.name!r} runs no suites; remove "
            "pod: from the suite, so that it runs on a worker"
        )
    return platform.jobs()


def _driver(environment: EnvironmentPlan, connection: Any) -> Platform:
    from relman_plugins.platforms.registry import platform

    if environment.workload is not None:
        from relman_plugins.hooks.kubernetes import client_of

        return platform(environment.platform, client=client_of(connection), workload=environment.workload)
    return platform(
        environment.platform,
        host=connection.host,
        port=connection.port,
        login=connection.login,
        password=connection.password,
    )


def _unreadable(environment: EnvironmentPlan, error: Exception) -> PlatformUnavailable:
    return PlatformUnavailable(
        f"cannot read connection {environment.connection!r} of environment {environment.name!r}: "
        f"{unread(error)}; create it in Airflow, or name another in the environment's file"
    )
