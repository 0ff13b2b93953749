"""What a new pipeline consists of, as texts: the pipeline and everything that it refers to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NO_POLICY = "none"
OWN_GROUP = "approvers"
"""Group of those who are named as approvers where no policy asks one."""
SCHEMA = "release-pipeline.schema.json"

_WORDS = frozenset({"on", "off", "yes", "no", "y", "n", "true", "false", "null"})
"""Names that some readers of YAML take for something else unless they are quoted."""

_MODELINE = re.compile(r"\A# yaml-language-server:[^\n]*\n")


@dataclass(frozen=True)
class Wanted:
    """What somebody wants a pipeline for."""

    name: str
    owner: str
    policy: str
    """Name of a policy, or ``none``."""
    source: str
    """Folder with the source, relative to the folder of the specs."""
    environments: Sequence[str]
    approvers: Sequence[str]
    """Airflow user ids; placeholders are written when there are none."""
    group: str = ""
    """The group of an existing people.yaml that approves before the last environment changes."""


def shipped() -> Path:
    """Return the folder of the policies that come with relman."""
    here = Path(__file__).resolve().parent
    packed = here / "policies"
    # The wheel carries a copy; a checkout has the originals.
    return packed if packed.is_dir() else here.parents[1] / "release_specs" / "policies"


def policies(folder: Path) -> dict[str, Path]:
    """Return the policies that a pipeline in ``folder`` may extend, by name; the folder's own come first."""
    found = {file.stem: file for file in sorted(shipped().glob("*.yaml"))}
    return found | {file.stem: file for file in sorted((folder / "policies").glob("*.yaml"))}


def files(folder: Path, wanted: Wanted) -> Iterator[tuple[Path, str]]:
    """Yield path and text of every file that the pipeline needs, whether it is there or not."""
    schema = _schema(folder)
    if schema.parent == folder:
        from relman_plugins.spec.schema import schema_text

        yield schema, schema_text()
    extended = list(_extended(folder, wanted.policy))
    for file in extended:
        target = folder / "policies" / file.name
        yield target, _modeline(target, schema) + _MODELINE.sub("", file.read_text())
    for number, name in enumerate(wanted.environments):
        target = folder / "environments" / f"{name}.yaml"
        last = number == len(wanted.environments) - 1
        yield target, _modeline(target, schema) + _environment(name, replicas=2 if last else 1)
    groups, asked = _groups(extended), wanted.group
    if wanted.approvers and not groups:
        groups, asked = {OWN_GROUP: 1}, OWN_GROUP
    if groups:
        target = folder / "people.yaml"
        yield target, _modeline(target, schema) + _people(groups, wanted.approvers)
    target = folder / f"{wanted.name}.yaml"
    # Gates of policies and pipelines add up: a group that a policy asks already is not asked twice.
    asked = asked if asked not in _groups(extended) else ""
    yield target, _modeline(target, schema) + _pipeline(wanted, asked)


def groups_in(folder: Path) -> list[str]:
    """Return the groups of people that there are in ``folder``, as far as its people.yaml can be read."""
    found = _read(folder / "people.yaml").get("groups")
    return [name for name in found if isinstance(name, str)] if isinstance(found, dict) else []


def plain(text: str) -> str:
    """Return text as a YAML scalar that every reader takes for text."""
    if re.fullmatch(r"[A-Za-z./][A-Za-z0-9_./-]*", text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)


def _pipeline(wanted: Wanted, asked: str) -> str:
    extends = ""
    if wanted.policy != NO_POLICY:
        extends = (
            f"extends: [{plain(wanted.policy)}] # what that means stands in policies/{wanted.policy}.yaml\n\n"
        )
    first, *others = map(_stage, wanted.environments)
    gate = f"    gates: [{{approval: {plain(asked)}}}]\n" if asked else ""
    return f"""\
# How {wanted.name} is released. `relman plan` shows what a release does; `relman validate` checks this file.
apiVersion: relman/v1
kind: ReleasePipeline
metadata:
  name: {plain(wanted.name)}
  owner: {plain(wanted.owner)}

{extends}artifact:
  source: {plain(wanted.source)}
  # A command that fills the folder $RELMAN_OUTPUT; without one the source itself is archived.
  # build: [python, build.py]

# Commands that write a JUnit XML report; a stage names those that must pass in it.
# suites:
#   smoke:
#     command: [python, -m, pytest, -q, tests/smoke, --junit-xml, reports/smoke.xml]
#     junit: reports/smoke.xml

stages:
  - environment: {first}
    # suites: [smoke]
{"".join(f"  - environment: {stage}{chr(10)}" for stage in others)}{gate}
# notify:
#   slack: "#rel-{wanted.name}"
"""


def _stage(environment: str) -> str:
    # These are the names of steps that every release has.
    taken = environment in ("open", "build", "close")
    return f"{plain(environment)}\n    name: {environment}-stage" if taken else plain(environment)


def _environment(name: str, replicas: int) -> str:
    return f"""\
apiVersion: relman/v1
kind: Environment
metadata:
  name: {plain(name)}
  owner: platform
# Which driver makes it real, and which Airflow connection leads there.
platform: sandbox
connection: relman_sandbox
replicas: {replicas}
# When changes are allowed; without windows, always.
# windows:
#   - {{days: [mon, tue, wed, thu], from: "09:00", to: "16:00", zone: Europe/Berlin}}
"""


def _people(groups: dict[str, int], approvers: Sequence[str]) -> str:
    most = max(groups.values())
    users = list(approvers) or [f"approver-{n}" for n in range(1, most + 2)]
    ids = [user if _is_id(user) else f"approver-{n}" for n, user in enumerate(users, 1)]
    people = "".join(
        f"  {plain(id_)}: {{airflow: {plain(user)}}}\n" for id_, user in zip(ids, users, strict=True)
    )
    members = ", ".join(map(plain, ids))
    return f"""\
# Who may answer at a gate: `airflow` is the user id in Airflow, `slack` the member id in Slack.
apiVersion: relman/v1
kind: People
people:
{people}groups:
{"".join(f"  {plain(group)}: [{members}]{chr(10)}" for group in groups)}"""


def _is_id(text: str) -> bool:
    from relman_plugins.domain.identity import NAME_PATTERN

    return re.fullmatch(NAME_PATTERN, text) is not None


def _schema(folder: Path) -> Path:
    """Return the schema that editors read: the one of a checkout, else a copy beside the specs."""
    committed = folder.parent / "docs" / "reference" / SCHEMA
    return committed if committed.is_file() else folder / SCHEMA


def _modeline(file: Path, schema: Path) -> str:
    path = Path(_relative(schema, file.parent)).as_posix()
    return f"# yaml-language-server: $schema={path if path.startswith('.') else f'./{path}'}\n"


def _relative(path: Path, start: Path) -> str:
    import os

    return os.path.relpath(path, start)


def _extended(folder: Path, policy: str) -> Iterator[Path]:
    """Yield the files of a policy and of all that it extends, each once."""
    known, wanted, seen = policies(folder), [policy], set()
    while wanted:
        name = wanted.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        yield known[name]
        wanted += [n for n in _read(known[name]).get("extends") or () if isinstance(n, str)]


def _groups(files: Sequence[Path]) -> dict[str, int]:
    """Return the groups that gates in these documents ask, and the largest quorum of each."""
    found: dict[str, int] = {}
    for file in files:
        for gate in _gates(_read(file)):
            quorum = gate.get("quorum", 1)
            found[gate["approval"]] = max(
                found.get(gate["approval"], 1), quorum if isinstance(quorum, int) else 1
            )
    return found


def _gates(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("approval"), str):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _gates(item)


def _read(file: Path) -> dict[str, Any]:
    """Read a policy as far as it can be read: what is wrong with it is said when the result is checked."""
    import yaml

    try:
        found = yaml.safe_load(file.read_bytes())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}
