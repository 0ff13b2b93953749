"""What each version was made from, kept in the cluster: a ConfigMap for each, that nothing changes.

Its name ends with the version's key, which is a digest of all of it. So a version that stands, and one that
is brought back after its Deployment is gone, is made from its own manifests and configuration, and the ledger
is not needed for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from relman_plugins.domain.base import canonical_json
from relman_plugins.domain.state import Revision
from relman_plugins.domain.workload import problems
from relman_plugins.platforms.kubernetes.api import Kube
from relman_plugins.platforms.kubernetes.objects import DIGEST, IMAGE, URI, VERSION, Obj, Objects, key_of

RECORD = "relman/record"
"""Label of such a ConfigMap: the key of its version."""

DATA = "made-from"


class Records:
    """Reads them, each once, for one call of a driver."""

    def __init__(self, kube: Kube, objects: Objects) -> None:
        """Keep where to ask.

        Args:
            kube: makes the requests.
            objects: of the service, as the workload at hand has them.
        """
        self.kube, self.objects = kube, objects
        self._known: dict[str, tuple[Objects | None, dict[str, str]]] = {}

    def of(self, deployment: Obj) -> Objects | None:
        """Return what a Deployment was made from; None when that is not known."""
        return self._of(deployment)[0]

    def noted(self, deployment: Obj) -> dict[str, str]:
        """Return a Deployment's annotations, whole: what somebody removed is from its record, else empty."""
        _, notes = self._of(deployment)
        there = deployment["metadata"].get("annotations") or {}
        return dict.fromkeys((VERSION, DIGEST, URI, IMAGE), "") | notes | there

    def _of(self, deployment: Obj) -> tuple[Objects | None, dict[str, str]]:
        key = key_of(deployment)
        if key not in self._known:
            record = self.kube.get(self.objects.path("ConfigMap", self.name(key)))
            made = self._read(record)
            self._known[key] = (made, record["metadata"]["annotations"] if record and made else {})
        return self._known[key]

    def find(self, revision: Revision, served: Sequence[str]) -> Objects | None:
        """Return what a revision was made from when it served last; None when that is not known."""
        found, _ = self.kube.list(self.objects.path("ConfigMap"), f"{self.objects.selector},{RECORD}")
        found.sort(key=lambda o: str(o["metadata"].get("creationTimestamp")), reverse=True)
        order = {key: place for place, key in enumerate(served)}
        found.sort(key=lambda o: order.get(o["metadata"]["labels"][RECORD], len(order)))
        for record in found:
            notes = record["metadata"].get("annotations") or {}
            same = (notes.get(VERSION), notes.get(DIGEST), notes.get(IMAGE))
            if same == (revision.version, revision.digest, revision.image) and (made := self._read(record)):
                return made
        return None

    def name(self, key: str) -> str:
        """Return the name of the ConfigMap of a version."""
        return f"relman-{self.objects.environment}-{self.objects.service}-{key}"

    def made(self, revision: Revision, objects: Objects) -> Obj:
        """Return the ConfigMap of a version."""
        key = objects.revision_key(revision)
        data = {DATA: canonical_json(objects.made_from)}
        record = self.objects.memory(self.name(key), data, **{RECORD: key}) | {"immutable": True}
        record["metadata"]["annotations"] = {
            VERSION: revision.version,
            DIGEST: revision.digest,
            URI: revision.uri,
            IMAGE: str(revision.image),
        }
        return record

    def _read(self, record: Obj | None) -> Objects | None:
        """Return what a record says, if it is as relman wrote it: its key is a digest of it."""
        try:
            meta, data = (record or {})["metadata"], (record or {})["data"]
            notes = meta["annotations"]
            made = self.objects.remade(json.loads(data[DATA]))
            revision = Revision(
                version=notes[VERSION], digest=notes[DIGEST], uri=notes[URI], image=notes[IMAGE]
            )
            work = made.workload
            strange = any(problems(work.objects, work.container, work.namespace))
            return made if made.revision_key(revision) == meta["labels"][RECORD] and not strange else None
        except (KeyError, ValueError, TypeError):
            return None
