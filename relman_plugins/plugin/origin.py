"""Refuses requests that another site makes in a signed-in person's name.

A browser sends Airflow's cookie with every request to Airflow, also with one that a page on a sibling host
started (``SameSite=Lax`` stops other sites, not other origins of the same site). A request that carries
its own ``Authorization`` header can't be made that way, unless the server adds the header itself: it does
so for everybody when SimpleAuthManager makes everyone an admin.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request


def is_ambient(request: Request, *, all_admins: bool) -> bool:
    """Say whether the caller is known by what the browser or the server adds by itself."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    # Without credentials Airflow falls back to the cookie.
    return all_admins or scheme.lower() != "bearer" or not credentials.strip()


def is_same_origin(request: Request, *, public_host: str = "") -> bool:
    """Say whether the request comes from a page of this server, or from no page at all.

    ``Sec-Fetch-Site`` decides where the browser sends it (HTTPS and loopback). Elsewhere ``Origin`` must
    name the host asked for, or ``public_host`` when a proxy rewrites ``Host``.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    if origin is None:
        return True
    return urlsplit(origin).netloc.lower() in {
        request.headers.get("host", "").lower(),
        public_host.lower(),
    } - {""}


def is_json(request: Request) -> bool:
    """Say whether the body is declared as JSON: what no HTML form can send without asking first."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
