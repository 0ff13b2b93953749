"""The DAG that stands where a broken spec's DAG would be, under another id, and says what is wrong."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from relman_plugins.factory.docs import fenced
from relman_plugins.plan.model import INVALID_TAG

PREFIX = "relman_invalid__"
_WIDTH = 54
"""Characters that a line of code has in the window in which Airflow shows a DAG's docs."""


class InvalidSpecOperator(BaseOperator):
    """Fails with the diagnostics of a broken spec, at once and without a retry."""

    def __init__(self, *, diagnostics: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.diagnostics = diagnostics

    def execute(self, context: Any) -> None:
        """Raise AirflowFailException with the diagnostics."""
        raise AirflowFailException(
            f"this spec is not valid, so there is nothing to release:\n{self.diagnostics}"
        )


def sentinel_id(stem: str) -> str:
    """Return the id of the sentinel of a spec file: ``relman_invalid__<stem>``, odd characters as ``_``."""
    return PREFIX + re.sub(r"[^A-Za-z0-9_.-]", "_", stem)[:200]


def build_sentinel(stem: str, diagnostics: str) -> DAG:
    """Build the paused DAG that shows ``diagnostics`` in its docs and fails with them when it is run.

    The broken pipeline's own id stays free: a release can then neither start from a spec that does not
    hold, nor does the broken text become a version of its DAG.
    """
    stem, diagnostics = storable(stem), storable(diagnostics)
    docs = [
        f"**`{stem}.yaml` is not valid**, so its pipeline is not here. Others are not affected. "
        "Correct the file; `relman validate` shows the same:",
        "",
        *fenced(_narrow(diagnostics), "text"),
    ]
    dag = DAG(
        sentinel_id(stem),
        description=f"{stem}.yaml is not valid: see the docs",
        schedule=None,
        catchup=False,
        is_paused_upon_creation=True,
        tags=["relman", INVALID_TAG],
        doc_md="\n".join(docs) + "\n",
    )
    InvalidSpecOperator(task_id="invalid_spec", diagnostics=diagnostics, retries=0, dag=dag)
    return dag


def _narrow(diagnostics: str) -> str:
    """Put a place on a line of its own and wrap the sentence after it, whose end would be cut off.

    Quoted lines of the spec keep their columns.
    """
    diagnostics = re.sub(r"^(\S.*?:\d+:\d+:) ", r"\1\n    ", diagnostics, flags=re.MULTILINE)
    wrapper = textwrap.TextWrapper(
        _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    lines = (
        [line] if re.match(r"\s*\d*\s*\|", line) else wrapper.wrap(line) or [""]
        for line in diagnostics.splitlines()
    )
    return "\n".join(part for wrapped in lines for part in wrapped)


def storable(text: str) -> str:
    """Replace what no database stores: file names need not be Unicode."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
