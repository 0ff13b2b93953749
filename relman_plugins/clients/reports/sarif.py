"""SARIF 2.1.0: what security scanners and linters found.

A result's severity comes from the rule's ``security-severity``, a CVSS score in the buckets that GitHub uses
(9.0 critical, 7.0 high, 4.0 medium, below that low). Without one it comes from the level: ``error`` is high,
``warning`` medium, anything else low; without a level it is a warning, as the standard has it. Results that
passed, do not apply or only inform are no findings, and neither are those that an accepted suppression
covers. A run that says that it did not succeed, or has no list of results, found nothing out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from relman_plugins.clients.reports import source as files
from relman_plugins.clients.reports.findings import MAX_FINDINGS, Finding, Findings, Severity
from relman_plugins.errors import ClientRejected

if TYPE_CHECKING:
    from sarif_pydantic.sarif import ReportingDescriptor, Result, Run

_BUCKETS = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.0, Severity.LOW))
_LEVELS = {
    "error": Severity.HIGH,
    "warning": Severity.MEDIUM,
    "note": Severity.LOW,
    "none": Severity.LOW,
}
_NO_FINDING = ("pass", "notApplicable", "informational")


def read(source: Path | bytes, since: float | None = None, root: Path | None = None) -> Findings:
    """Read a log from a file or from its content.

    Args:
        source: The file, or its content.
        since: As in ``source.content``.
        root: Where the scanner ran: paths below it are told, and compared with other releases', without it.

    Raises:
        ClientRejected: The file is not to be read, is no whole SARIF log, or a run in it did not succeed.
    """
    found, where = files.content(source, "the SARIF log", since=since)
    text = files.text(found, where)
    files.need("sarif")
    from sarif_pydantic import Sarif

    try:
        log = Sarif.model_validate_json(text)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in detail["loc"][:6])
        raise ClientRejected(f"{where} is not a whole SARIF log: {at}: {detail['msg']}"[:400]) from None
    if not log.version.startswith("2.1"):
        raise ClientRejected(f"{where} is SARIF {log.version[:20]}; expected 2.1.0")
    if not log.runs:
        raise ClientRejected(f"{where} has no runs: no tool has looked at anything")
    try:
        return _findings(log.runs, where, root)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ClientRejected(f"{where} has a result that cannot be judged: {str(error)[:200]}") from None


def _findings(runs: list[Run], where: str, root: Path | None) -> Findings:
    kept: list[Finding] = []
    suppressed = 0
    seen: Counter[str] = Counter()
    for run in runs:
        tool = run.tool.driver.name
        if any(not call.execution_successful for call in run.invocations or ()):
            raise ClientRejected(f"{where} says that the run of {tool[:60]} did not succeed")
        if run.results is None:
            raise ClientRejected(f"{where} has no results of {tool[:60]}: it did not look, or did not finish")
        rules = list(_rules(run))
        for result in run.results:
            if result.kind in _NO_FINDING or _extra(result).get("baselineState") == "absent":
                continue
            if _is_suppressed(result):
                suppressed += 1
                continue
            if len(kept) == MAX_FINDINGS:
                raise ClientRejected(
                    f"{where} has more than {MAX_FINDINGS} findings; let the scanner report fewer"
                )
            kept.append(_finding(tool, result, _rule(run, result, rules), seen, root))
    return Findings(found=tuple(kept), suppressed=suppressed)


def _finding(
    tool: str, result: Result, rule: ReportingDescriptor | None, seen: Counter[str], root: Path | None
) -> Finding:
    name = result.rule_id or (rule.id if rule else None) or "(a rule without an id)"
    message = _without(result.message.text or (rule.name if rule else None) or "no message", root)
    file, line = _place(result, root)
    identity = repr((tool, name, _identity(result, file, message)))
    print_ = hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:16]
    seen[print_] += 1
    baseline = _extra(result).get("baselineState")
    return Finding(
        rule=name[: files.MAX_TEXT],
        severity=_severity(result, rule),
        where=f"{file}:{line}" if line else file,
        message=" ".join(message.split())[: files.MAX_TEXT],
        # The second of the same kind in one place is another finding.
        fingerprint=print_ if seen[print_] == 1 else f"{print_}.{seen[print_]}",
        baseline=str(baseline) if baseline is not None else None,
    )


def _identity(result: Result, file: str, message: str) -> Any:
    """Return what makes a result the same in the next log; lines move, so they do not."""
    if result.fingerprints:
        return sorted(result.fingerprints.items())
    if result.partial_fingerprints:
        return file, sorted(result.partial_fingerprints.items())
    return file, message


def _severity(result: Result, rule: ReportingDescriptor | None) -> Severity:
    for properties in (result.properties, rule.properties if rule else None):
        score = (properties or {}).get("security-severity")
        if score is not None:
            value = float(score)
            if not 0 <= value <= 10:
                raise ValueError(f"a security-severity of {score}")
            return next(severity for least, severity in _BUCKETS if value >= least)
    level = result.level.value if result.level else None
    if level is None and rule is not None and rule.default_configuration is not None:
        level = rule.default_configuration.level
    return _LEVELS.get(level or "warning", Severity.MEDIUM)


def _place(result: Result, root: Path | None) -> tuple[str, int | None]:
    for location in result.locations or ():
        place = location.physical_location
        if place is not None and place.artifact_location is not None:
            line = place.region.start_line if place.region else None
            uri = place.artifact_location.uri or "(no file)"
            if uri.startswith("file:"):
                uri = unquote(urlsplit(uri).path)
            return _without(uri, root)[: files.MAX_TEXT], line
    return "(no file)", None


def _without(text: str, root: Path | None) -> str:
    """Return the text without the folder of this run, which is another one each time."""
    for folder in (root, root.resolve()) if root is not None else ():
        text = text.replace(f"{folder}/", "")
    return text


def _is_suppressed(result: Result) -> bool:
    """Say whether somebody accepted the result: not when any suppression is rejected or under review."""
    there = _extra(result).get("suppressions")
    if not isinstance(there, list) or not there:
        return False
    return all(isinstance(s, dict) and s.get("status") in (None, "accepted") for s in there)


def _rules(run: Run) -> Iterator[ReportingDescriptor]:
    yield from run.tool.driver.rules or ()
    for extension in run.tool.extensions or ():
        yield from extension.rules or ()


def _rule(run: Run, result: Result, rules: list[ReportingDescriptor]) -> ReportingDescriptor | None:
    reference = result.rule
    component = reference.tool_component if reference else None
    extensions = run.tool.extensions or []
    home: list[ReportingDescriptor] = run.tool.driver.rules or []
    if component is not None and component.index is not None and 0 <= component.index < len(extensions):
        home = extensions[component.index].rules or []
    index = result.rule_index if result.rule_index is not None else (reference.index if reference else None)
    if index is not None and 0 <= index < len(home):
        return home[index]
    wanted = result.rule_id or (reference.id if reference else None) or ""
    # An id may name a variant below the rule: CA1000/1.
    return next((r for r in rules if r.id == wanted or wanted.startswith(f"{r.id}/")), None)


def _extra(result: Result) -> dict[str, Any]:
    """Return what the library's model does not name."""
    return result.model_extra or {}
