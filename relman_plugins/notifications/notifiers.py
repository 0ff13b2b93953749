"""Any Airflow notifier as a channel, by the name that the platform's owner gave it.

At least once: a notifier says nothing about what arrived, so a letter whose sending ended with an error, or
in a process that died, is sent again. ``relman.key`` is the same in both copies.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

from relman_plugins.errors import ClientUnavailable
from relman_plugins.notifications.letter import Letter
from relman_plugins.plan.routing import EMAIL, SLACK

_log = logging.getLogger(__name__)


def send_through(name: str, configured: dict[str, Any], letter: Letter) -> str:
    """Send a letter through a notifier; return the event's key.

    ``configured`` is the setting: name → ``{"class": dotted path, "arguments": {…}}``. The notifier's
    templated arguments see the letter as ``relman``: ``{{ relman.subject }}``, ``{{ relman.text }}``, ….

    Raises:
        ClientUnavailable: There is no such notifier, or it raised; trying again can help.
    """
    entry = configured.get(name)
    if not isinstance(entry, dict) or not isinstance(entry.get("class"), str) or name in (SLACK, EMAIL):
        known = ", ".join(sorted(configured)) or "none"
        raise ClientUnavailable(
            f'no notifier "{name}" in [relman] notifiers, which has: {known}; '
            'add it as {"class": "…", "arguments": {…}}'
        )
    try:
        notifier = _made(entry["class"], copy.deepcopy(entry.get("arguments") or {}))
        notifier({"relman": letter._asdict()})
    except ClientUnavailable:
        raise
    except Exception as error:
        # It is anybody's code: whatever it does must stay here. What it says may hold an address with a
        # token, and what is raised here is shown to everybody; the log is for those who may read it.
        _log.warning('notifier "%s" failed', name, exc_info=True)
        raise ClientUnavailable(
            f'notifier "{name}": {type(error).__name__}; the log of relman_maintenance says more'
        ) from error
    return letter.key


def _made(path: str, arguments: dict[str, Any]) -> Any:
    from importlib import import_module

    from airflow.sdk import BaseNotifier

    module, _, name = path.rpartition(".")
    found = getattr(import_module(module), name)
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise ClientUnavailable(f"{path} is not an Airflow notifier (a subclass of airflow.sdk.BaseNotifier)")
    return found(**arguments)
