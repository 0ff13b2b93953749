"""Airflow connection → platform driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.errors import PlatformRejected, PlatformUnavailable, unread

if TYPE_CHECKING:
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

    from airflow.sdk import BaseHook

    try:
        connection = await BaseHook.aget_connection(environment.connection)
    except Exception as error:
        raise _unreadable(environment, error) from error
    # A cluster's configuration is in files, or comes from a program.
    return await asyncio.to_thread(_driver, environment, connection)


def jobs_of(environment: EnvironmentPlan) -> Jobs:
    """Return what runs suites on an environment's platform.

    Raises:
        PlatformUnavailable: the connection can't be read.
        PlatformRejected: no suites run there.
    """
    return _jobs(environment, platform_of(environment))


async def async_jobs_of(environment: EnvironmentPlan) -> Jobs:
    """Do as ``jobs_of``, from a trigger."""
    return _jobs(environment, await async_platform_of(environment))


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
