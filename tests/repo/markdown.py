"""The parts of a Markdown page that the checks need: links, headings, and blocks with their marks.

A block of commands that is to be run has a comment before it. The commands run in a copy of the specs and
examples, with the specs that stand before them on the page.

- ``<!-- run -->``, or ``<!-- run exit=1 -->``; the block after it may be marked ``<!-- prints -->``: it is
  then exactly what the commands print.
- ``<!-- run server -->``: against an API server, for a release that waits for its approval. More words may
  follow. ``each``: every line has a release of its own. ``gate=x``: the release waits at this checklist.
  ``voted``: alice has approved, and one more approval is needed.
  ``played``: somebody plays the scheduler. ``shipped``: the release has ended well, and brought a version.
  ``owed``: what the release skipped in an emergency was rejected afterwards, by bob.
- ``<!-- run postgres -->``: with a PostgreSQL database where the page has ``database.example``.

YAML has a mark too: ``<!-- spec -->`` for a pipeline, ``<!-- spec environment -->`` (or ``people``,
``policy`` or ``calendar``; ``environment kept`` for one that later commands find) for those that
``release_specs/checkout.yaml`` then refers to, and for what must fit into it:
``<!-- spec part -->`` (keys of a pipeline; ``part kept`` for those that later specs of the page need),
``<!-- spec stage -->`` (of a stage), ``<!-- spec manifests -->`` (objects of Kubernetes for the pipeline),
``<!-- spec route -->`` (one instead of the HTTPRoute among them, with the environment of the page).

``NOT_RUN`` are the lines that no test runs, and why.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.repo import tree

_FENCE = re.compile(
    r"(?:^ *<!--\s*(?P<mark>[^\n]*?)\s*-->\n+)?^(?P<indent> *)```(?P<lang>[\w-]*)[^\n]*\n(?P<text>.*?)"
    r"^(?P=indent)```\s*$",
    re.MULTILINE | re.DOTALL,
)
_TYPED = re.compile(r"^(?:\$ )?(?:relman|openssl) ", re.MULTILINE)
SHELL = frozenset({"bash", "console", "sh", "shell"})
NOT_RUN = {
    "make up": "tests/demo starts the same, and ends it",
    "make demo": "tests/demo runs it, to its end",
    "make test": "it would run itself",
    "source .venv/bin/activate": "the tests run in an environment of their own",
    'pip install -c constraints.txt ".[postgres]"': "tests/packaging installs the wheel",
    'pip install -c constraints.txt ".[reports]"': "the tests' own environment has what the extra names",
    'pip install -c constraints.txt ".[kubernetes]"': "the tests' own environment has what the extra names",
    "kubectl -n shop apply -f deploy/kubernetes-rbac.yaml": "tests/kubernetes reads it",
    "kubectl -n shop label service checkout app.kubernetes.io/managed-by=relman "
    "relman/environment=production relman/service=checkout": "tests/kubernetes reads what relman says of it",
    "airflow connections add production_cluster --conn-type kubernetes "
    """--conn-extra '{"kube_config_path": "/etc/relman/production.kubeconfig"}'""": "it is Airflow's",
    "relman plan release_specs/checkout.yaml --live ~/.kube/config": "tests/cli/test_live.py runs it",
    "kind create cluster --kubeconfig /tmp/kind.yaml": "there is no Docker here",
    "kubectl --kubeconfig /tmp/kind.yaml create namespace relman-test": "there is no Docker here",
    "RELMAN_TEST_KUBECONFIG=/tmp/kind.yaml RELMAN_TEST_SUITE_IMAGE=$THREE .venv/bin/python -m pytest "
    "tests/platforms/test_suite_jobs.py -k real": "there is no cluster here",
    "RELMAN_TEST_KUBECONFIG=/tmp/kind.yaml RELMAN_TEST_IMAGES=$ONE,$TWO .venv/bin/python -m pytest "
    "tests/platforms/test_conformance.py -k real": "there is no Docker here",
    "make stack": "tests/repo/test_compose.py runs it without an engine; there is no Docker here",
    'make stack ARGS="--scale airflow-worker=3"': "tests/system/test_stack.py has two; no Docker here",
    "helm upgrade --install airflow apache-airflow/airflow --namespace airflow -f deploy/helm/values.yaml "
    "-f deploy/helm/celery.yaml": "tests/repo/test_helm.py reads the files; there is no cluster here",
    "relman ledger verify --head 48213:sha256:5f0c…": "the hash is of one ledger; tests/ledger checks heads",
    "relman ledger verify --head 19:sha256:48a8…": "the hash is of one ledger; tests/ledger checks heads",
    "relman ledger verify --key relman.pub": "it needs a ledger signed with that key, as tests/ledger has",
    """curl --json '{"asset_id": 7, "extra": {"version": "1.4.0"}}' -H "Authorization: Bearer $TOKEN" """
    '"$AIRFLOW/api/v2/assets/events"': "tests/system/test_sundry.py sends the same",
}
_LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|(?:src|href)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    lang: str
    mark: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def is_shell(self) -> bool:
        """Whether it says what to type, whatever it is called."""
        return self.lang in SHELL or _TYPED.search(self.text) is not None

    @property
    def words(self) -> list[str]:
        """What the mark says."""
        return self.mark.split()

    @property
    def commands(self) -> list[str]:
        """The lines that a test runs."""
        lines = (line.removeprefix("$ ") for line in self.text.splitlines())
        return [line for line in lines if line.strip() and line not in NOT_RUN]


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            page,
            text.count("\n", 0, m.start("lang")) + 1,
            m["lang"],
            m["mark"] or "",
            textwrap.dedent(m["text"]),
        )
        for m in _FENCE.finditer(text)
    ]


def guides() -> list[Path]:
    """Return the pages that users read, and type after."""
    folders = [tree.ROOT / "docs" / kind for kind in ("tutorial", "how-to", "reference", "explanation")]
    return [p for p in tree.texts(".md") if p == tree.ROOT / "README.md" or p.parent in folders]


def workplace(block: Block, folder: Path) -> Path:
    """Make a copy of what a reader has at this place: specs, examples, and the page's specs so far."""
    shutil.copytree(tree.ROOT / "release_specs", folder / "release_specs")
    (folder / "examples").symlink_to(tree.ROOT / "examples")
    for before in blocks(block.page):
        if before.line < block.line and before.mark == "spec":
            (folder / "release_specs" / f"{name_of(before)}.yaml").write_text(before.text)
        if before.line < block.line and before.mark == "spec people":
            (folder / "release_specs" / "people.yaml").write_text(before.text)
        if before.line < block.line and before.mark == "spec calendar":
            calendars = folder / "release_specs" / "calendars"
            calendars.mkdir(exist_ok=True)
            (calendars / f"{name_of(before)}.yaml").write_text(before.text)
            shutil.copy(tree.ROOT / "examples/calendars/inventory.ics", calendars)
        if before.line < block.line and before.mark == "spec manifests":
            (folder / "release_specs" / "manifests").mkdir(exist_ok=True)
            (folder / "release_specs" / "manifests" / "checkout.yaml").write_text(before.text)
        if before.line < block.line and before.mark == "spec part kept":
            pipeline = folder / "release_specs" / "checkout.yaml"
            kept = yaml.safe_load(pipeline.read_text()) | yaml.safe_load(before.text)
            pipeline.write_text(yaml.safe_dump(kept))
        if before.line < block.line and before.mark == "spec environment kept":
            (folder / "release_specs" / "environments" / f"{name_of(before)}.yaml").write_text(before.text)
    if "kustomize" in block.words:
        kustomized(block, folder / "release_specs")
    return folder


def kustomized(block: Block, specs: Path) -> None:
    """Put the manifests that a page shows into a Kustomize folder."""
    shown = {b.mark: b for b in blocks(block.page) if b.line < block.line}
    source = specs / "manifests" / "checkout"
    source.mkdir()
    (source / "base.yaml").write_text(shown["spec manifests"].text)
    (source / "kustomization.yaml").write_text("resources: [base.yaml]\n")


def name_of(block: Block) -> str:
    """Return the name in the metadata of a spec."""
    found = re.search(r"name:\s*([\w-]+)", block.text)
    assert found, block.place
    return found[1]


def links(page: Path) -> list[str]:
    return [first or second for first, second in _LINK.findall(_prose(page))]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings."""
    found: dict[str, int] = {}
    for heading in _HEADING.findall(_prose(page)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {slug if not n else f"{slug}-{i}" for slug, n in found.items() for i in range(n + 1)} | set(found)


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())
