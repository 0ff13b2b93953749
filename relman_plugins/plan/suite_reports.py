"""The reports of a suite beside its tests: what the plan carries, and when a change makes them weaker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relman_plugins.spec.models.reports import Coverage, Findings, Load, milliseconds, points


def compiled(*reports: Coverage | Findings | Load | None) -> list[dict[str, Any]]:
    """Return ``{kind, format, path}`` and the limits of each: shares in percent, times in milliseconds."""
    return [_compiled(report) for report in reports if report is not None]


def _compiled(report: Coverage | Findings | Load) -> dict[str, Any]:
    match report:
        case Coverage():
            return _file("coverage", cobertura=report.cobertura, lcov=report.lcov) | {
                "min_line": points(report.min_line),
                "min_branch": points(report.min_branch),
                "max_drop": points(report.max_drop),
            }
        case Findings():
            return _file("findings", sarif=report.sarif) | {
                "max": report.max.model_dump(),
                "new_only": report.new_only,
            }
        case Load():
            times = {name: getattr(report, name) for name in ("max_p50", "max_p95", "max_p99")}
            return _file("load", k6=report.k6, locust=report.locust) | {
                "max_error_rate": points(report.max_error_rate),
                **{name: milliseconds(time) if time else None for name, time in times.items()},
                "min_rate": report.min_rate,
                "min_requests": report.min_requests,
            }


def _file(kind: str, **paths: str | None) -> dict[str, Any]:
    return next({"kind": kind, "format": form, "path": path} for form, path in paths.items() if path)


def flat(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return a suite's arguments with those of its reports beside them, as ``coverage min_line``."""
    found = {name: value for name, value in args.items() if name not in ("reports", "pod")}
    found |= {f"pod {name}": value for name, value in (args.get("pod") or {}).items()}
    found |= {"runs": "in a pod" if "pod" in args else "on a worker"}
    for report in args.get("reports") or ():
        limits = {name: value for name, value in report.items() if name not in ("kind", "max")}
        limits |= {f"max {severity}": most for severity, most in (report.get("max") or {}).items()}
        found |= {f"{report['kind']} {name}": value for name, value in limits.items()}
    return found


def weaker(what: str, before: Any, after: Any) -> str:
    """Say why a change of what ``flat`` returned makes a suite say less; empty when it does not."""
    name = what.rpartition(" ")[2] if " max " not in what else "max"
    if name in ("junit", "path") and before and not after:
        return "this report is read no more"
    if name == "new_only":
        return "known findings no longer count" if after and before is False else ""
    if name == "retries":
        return "raised" if (after or 0) > (before or 0) else ""
    if before is None or not name.startswith(("min", "max")):
        return ""
    if after is None:
        return "no limit any more"
    if name.startswith("min"):
        return "lowered" if after < before else ""
    return "raised" if after > before else ""
