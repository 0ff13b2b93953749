"""The route of a release's evidence."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, HTTPException

from relman_plugins import __version__
from relman_plugins.errors import ClientUnavailable
from relman_plugins.evidence.dsse import sealed
from relman_plugins.evidence.statement import PAYLOAD_TYPE, payload_of, statement_of
from relman_plugins.hooks.signing import signing_key
from relman_plugins.plugin import access
from relman_plugins.plugin.deps import ledger, release_or_404

router = APIRouter()


@router.get("/releases/{release_id}/evidence")
def get_evidence(release_id: str, user: access.Reader) -> dict[str, Any]:
    """Return everything that is recorded of a release, as a DSSE envelope with an in-toto statement.

    403 for whoever may not read the DAG's Required Actions: it tells who answered them.

    Signed when `[relman] signing_conn_id` names a key; 503 when it names one that can't be used, since
    nobody should take an unsigned file for the signed one that they expected.
    """
    store = ledger()
    access.require_answers(user, release_or_404(store, release_id, user).dag_id)
    dossier = store.dossier(release_id)
    if dossier is None:
        raise HTTPException(404, f"release {release_id!r} went to the archive just now")
    try:
        key = signing_key()
    except ClientUnavailable as error:
        raise HTTPException(503, str(error)) from error
    statement = statement_of(
        dossier,
        at=store.now(),
        by={"id": access.user_id(user), "name": access.display_name(user)},
        versions={"relman": __version__, "airflow": version("apache-airflow-core")},
    )
    return sealed(PAYLOAD_TYPE, payload_of(statement), key)
