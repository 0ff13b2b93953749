"""Parameters: fields of the trigger form that can be told apart, filled in, and left alone."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.domain.parameter import FORM_FIELDS
from relman_plugins.spec.bundle import Bundle, entries
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.models.parameter import ParameterField
from relman_plugins.spec.secrets import looks_secret
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import listed, quoted


def names(bundle: Bundle) -> Iterator[Diagnostic]:
    """No parameter is called like a field that every form has."""
    for path, _ in entries(bundle.pipeline, "parameters"):
        if path[-1] in FORM_FIELDS:
            message = f"{holder(bundle.pipeline, path)} has the name of a field that every trigger form has"
            hint = f"choose another name than {listed(FORM_FIELDS)}"
            yield finding(bundle.pipeline, path, "RM601", message, key=True, hint=hint)


def values(bundle: Bundle) -> Iterator[Diagnostic]:
    """Limits and choices go with the type, and the default is one of the values that the field takes."""
    for path, node in entries(bundle.pipeline, "parameters"):
        try:
            field = ParameterField.model_validate(node.value)
        except ValueError:
            continue
        numeric = field.type in ("integer", "number")
        wrong = ["enum"] if field.enum and field.type != "string" else []
        wrong += [key for key in ("min", "max") if getattr(field, key) is not None and not numeric]
        for key in wrong:
            message = (
                f'"{key}" says nothing about {holder(bundle.pipeline, path)}, whose type is "{field.type}"'
            )
            yield finding(bundle.pipeline, (*path, key), "RM602", message, key=True, hint=f"remove {key}:")
        if field.min is not None and field.max is not None and field.min > field.max:
            where = holder(bundle.pipeline, path)
            message = f"no value fits {where}: min {field.min:g} is above max {field.max:g}"
            yield finding(bundle.pipeline, (*path, "min"), "RM602", message)
        elif not wrong and field.default is not None:
            parameter = field.called(str(path[-1]))
            try:
                parameter.taken(field.default)
            except ValueError:
                if looks_secret("", field.default):
                    continue  # said already, and no message may quote it
                where = holder(bundle.pipeline, path)
                message = f"the default {quoted(field.default)} of {where} is not {parameter.takes()}"
                yield finding(bundle.pipeline, (*path, "default"), "RM602", message)


def defaults(bundle: Bundle) -> Iterator[Diagnostic]:
    """A release that starts by itself has nobody to fill in a field."""
    if bundle.pipeline.root.child("schedule") is None:
        return
    for path, node in entries(bundle.pipeline, "parameters"):
        needs = isinstance(node.value, dict) and node.value.get("type") != "boolean"
        if needs and node.value.get("default") is None:
            message = f"{holder(bundle.pipeline, path)} has no default, and the schedule has nobody to ask"
            hint = "add default:, or remove schedule:"
            yield finding(bundle.pipeline, path, "RM603", message, key=True, hint=hint)


RULES = (names, values, defaults)
