"""Which requests count as made by Airflow's own pages."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from relman_plugins.plugin.origin import is_ambient, is_json, is_same_origin


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request(
        {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"airflow:8080"), *raw]}
    )


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({}, True),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "none"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "http://airflow:8080"}, False),
        ({"origin": "http://airflow:8080"}, True),
        ({"origin": "http://AIRFLOW:8080"}, True),
        ({"origin": "http://airflow:9099"}, False),
        ({"origin": "http://airflow:8080.evil.example"}, False),
        ({"origin": "https://releases.example"}, True),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
    ],
)
def test_same_origin(headers: dict[str, str], same: bool) -> None:
    assert is_same_origin(request(**headers), public_host="releases.example") is same


def test_no_public_host_is_no_wild_card() -> None:
    assert not is_same_origin(request(origin="null"), public_host="")


def test_a_bearer_is_explicit_unless_the_server_adds_it() -> None:
    assert is_ambient(request(), all_admins=False)
    assert is_ambient(request(authorization="Basic YTpi"), all_admins=False)
    assert not is_ambient(request(authorization="bearer x"), all_admins=False)
    assert is_ambient(request(authorization="Bearer x"), all_admins=True)
    assert is_ambient(request(authorization="Bearer "), all_admins=False), "Airflow would take the cookie"


@pytest.mark.parametrize(
    ("content_type", "json"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("text/plain; application/json", False),
    ],
)
def test_only_json_is_json(content_type: str, json: bool) -> None:
    assert is_json(request(content_type=content_type)) is json
