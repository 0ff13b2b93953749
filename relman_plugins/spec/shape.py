"""A document → its model, or what is wrong with its shape."""

from __future__ import annotations

from pydantic import ValidationError

from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.models.base import SpecModel
from relman_plugins.spec.position import Document


def validated(document: Document, model: type[SpecModel]) -> tuple[SpecModel | None, list[Diagnostic]]:
    """Return the model, or every place where the document does not have the model's shape."""
    try:
        return model.model_validate(document.root.value), []
    except ValidationError as error:
        return None, [
            Diagnostic("RM104", "error", str(e["msg"]), document.path, *document.place(e["loc"]))
            for e in error.errors()
        ]
