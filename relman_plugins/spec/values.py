"""What a value should have been, in words."""

from __future__ import annotations

import re
from typing import Any

from relman_plugins.domain.identity import NAME_PATTERN
from relman_plugins.domain.image import IMAGE_PATTERN
from relman_plugins.domain.parameter import PARAMETER_PATTERN
from relman_plugins.spec.models.assess import PROJECT_PATTERN
from relman_plugins.spec.models.base import CONNECTION_PATTERN, POOL_PATTERN, VARIABLE_PATTERN
from relman_plugins.spec.models.calendar import (
    COUNTRY_PATTERN,
    ICS_PATTERN,
    MOMENT_PATTERN,
    SUBDIVISION_PATTERN,
)
from relman_plugins.spec.models.notify import CHANNEL_PATTERN, EMAIL_PATTERN, RECIPIENT_PATTERN
from relman_plugins.spec.models.parity import KEY_PATTERN, URL_PATH_PATTERN
from relman_plugins.spec.models.pod import CPU_PATTERN, MEMORY_PATTERN
from relman_plugins.spec.models.window import END_PATTERN, START_PATTERN
from relman_plugins.spec.position import Node
from relman_plugins.spec.words import listed, quoted, suggestion

_TYPES = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
}

_PATTERNS = {
    NAME_PATTERN: "must be lower-case letters, digits and dashes, first a letter, at most 63",
    CONNECTION_PATTERN: "must be an Airflow connection id: letters, digits, dots, dashes and underscores",
    POOL_PATTERN: "must be the name of an Airflow pool: letters, digits, dots, dashes and underscores",
    VARIABLE_PATTERN: "must be the name of an environment variable: letters, digits and underscores",
    PARAMETER_PATTERN: "must be lower-case letters, digits and underscores, first a letter, at most 40",
    KEY_PATTERN: "must be the name of a variable or a service",
    URL_PATH_PATTERN: "must be a path that begins with a slash, without spaces",
    START_PATTERN: "must be a time of day from 00:00 to 23:59",
    END_PATTERN: "must be a time of day from 00:00 to 24:00",
    MOMENT_PATTERN: "must be a day as in 2026-12-18, or a time as in 2026-12-18T18:00",
    ICS_PATTERN: "must be the relative path of an .ics file inside calendars/",
    COUNTRY_PATTERN: "must be two capital letters, such as DE",
    SUBDIVISION_PATTERN: "must be capital letters and digits, such as BE, without the country",
    r"^[^\n\r]*$": "must be one line",
    r"^[^\x00]*$": "must not contain NUL",
    r"^([UW][A-Z0-9]{2,20})?$": "must be a Slack member id such as U01ALICE",
    CHANNEL_PATTERN: "must be a Slack channel such as #releases",
    PROJECT_PATTERN: "must be a repository such as shop/checkout, or the key of a Jira project",
    EMAIL_PATTERN: "must be an email address such as alice@shop.example",
    f"^{IMAGE_PATTERN}$": "must be an image by digest, <repository>@sha256:<64 hex digits>",
    CPU_PATTERN: "must be a number of cores such as 2, 0.5 or 500m",
    MEMORY_PATTERN: "must be memory such as 512Mi or 2Gi",
    RECIPIENT_PATTERN: "must be an email address, or a group from people.yaml",
}


def got(node: Node) -> str:
    """Say what stands there."""
    value = node.value
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        return quoted(value)
    return node.text


def expectation(kind: str, context: dict[str, Any]) -> tuple[str, str]:
    """Return the code and the words for what was expected, by pydantic's type of error."""
    if kind in _TYPES:
        return "RM104", _TYPES[kind]
    if kind == "duration":
        return "RM107", "must be a duration such as 30s, 5m, 2h or 7d, from 1s to 366d"
    if kind in ("literal_error", "enum"):
        return "RM106", f"must be one of {listed(_literals(context))}"
    return "RM105", _limit(kind, context)


def _limit(kind: str, context: dict[str, Any]) -> str:
    match kind:
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "too_short" | "string_too_short":
            return "must not be empty"
        case "too_long":
            return f"must have at most {context['max_length']} items"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "string_pattern_mismatch":
            return _PATTERNS.get(context["pattern"], f"must match {context['pattern']}")
        case "bound":
            return "must be a number of replicas up to 10000, or a percentage such as 25%"
        case "scalar":
            return "must be text, a number, true or false"
        case "percent":
            return "must be a percentage from 0% to 100%, such as 80% or 99.5%"
        case "latency":
            return "must be a response time such as 300ms or 1.5s"
        case "less_than":
            return f"must be less than {context['lt']:g}"
        case "greater_than":
            return f"must be more than {context['gt']:g}"
        case "path_inside":
            return "must be a relative path that stays inside the artifact"
        case "repository":
            return str(context["why"])
        case "path_within":
            return "must be a path from the repository's root that stays in it"
        case _:
            return f"is not allowed ({kind})"


def hint_for(kind: str, node: Node, context: dict[str, Any]) -> str:
    """Return what to do about a value, if it can be said in general."""
    value = node.value
    if value is None:
        return "give it a value, or remove the key"
    if kind == "string_type" and not isinstance(value, (dict, list)):
        return f'put it in quotes: "{node.text}"'
    if kind == "tuple_type" and isinstance(value, (str, dict)):
        items = ", ".join(value.split()[:6]) if isinstance(value, str) else "{…}"
        return f"write it as a list: [{items}]"
    if kind == "bool_type" and isinstance(value, str):
        word = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), "")
        return f"write {word}" if word else ""
    if kind in {"int_type", "float_type"} and (number := re.fullmatch(r"(-?\d{1,9})( ?%)?", str(value))):
        # Weights count percents; what may be a fraction is one.
        share = number[1] if kind == "int_type" else f"{int(number[1]) / 100:g}"
        return f"write {share}" if number[2] else f"write {value} without quotes"
    if kind == "percent" and isinstance(value, (int, float)) and 0 <= value <= 100:
        return f"write {node.text}%"
    if kind == "latency" and isinstance(value, (int, float)) and value > 0:
        return f"write {node.text}ms if milliseconds are meant"
    if kind == "duration" and isinstance(value, int) and value > 0:
        return f"write {value}s if seconds are meant"
    if kind in ("literal_error", "enum"):
        return suggestion(value, _literals(context))
    if kind == "string_pattern_mismatch" and context.get("pattern") == NAME_PATTERN:
        better = re.sub(r"[^a-z0-9]+", "-", str(value).lower()).strip("-")
        return f"for example {quoted(better)}" if better[:1].isalpha() and better != value else ""
    return ""


def _literals(context: dict[str, Any]) -> list[str]:
    return re.findall(r"'([^']*)'", str(context.get("expected", "")))
