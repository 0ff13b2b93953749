"""What the admission webhooks of ingress-nginx and of Istio refuse, as far as relman may run into it.

After `checkOverlap` of ingress-nginx and the validation of a VirtualService in Istio.
"""

from __future__ import annotations

from collections.abc import Iterable

from relman_plugins.testing.kube.resources import ApiError, Obj

CANARY = "nginx.ingress.kubernetes.io/canary"


def review(new: Obj, others: Iterable[Obj]) -> None:
    """Raise ApiError for an object that a webhook refuses; ``others`` are the ones of its kind beside it."""
    if new["kind"] == "Ingress" and new["spec"].get("ingressClassName") == "nginx":
        _ingress(new, others)
    if new["kind"] == "VirtualService":
        for rule in new["spec"].get("http") or []:
            _rule(rule)


def _ingress(new: Obj, others: Iterable[Obj]) -> None:
    """Two for one host and path are one canary and one that is none."""
    for other in others:
        if _is_canary(other) == _is_canary(new) and (both := _paths(new) & _paths(other)):
            host, path = min(both)
            meta = other["metadata"]
            raise _denied(
                "validate.nginx.ingress.kubernetes.io",
                f'host "{host}" and path "{path}" is already defined in ingress '
                f"{meta['namespace']}/{meta['name']}",
            )


def _rule(rule: Obj) -> None:
    routes = rule.get("route") or []
    if not routes and not any(k in rule for k in ("redirect", "directResponse", "delegate")):
        raise _denied("validation.istio.io", "HTTP route, redirect or direct_response is required")
    if len(routes) > 1 and not sum(to.get("weight", 0) for to in routes):
        raise _denied("validation.istio.io", "total destination weight = 0")


def _denied(webhook: str, why: str) -> ApiError:
    return ApiError(400, "BadRequest", f'admission webhook "{webhook}" denied the request: {why}')


def _is_canary(ingress: Obj) -> bool:
    return (ingress["metadata"].get("annotations") or {}).get(CANARY) == "true"


def _paths(ingress: Obj) -> set[tuple[str, str]]:
    return {
        (rule.get("host", ""), path.get("path", "/"))
        for rule in ingress["spec"].get("rules") or []
        for path in (rule.get("http") or {}).get("paths") or []
    }
