"""The API as a client sees it."""

from __future__ import annotations

import os

import pytest
from service import call


def test_health_names_the_version():
    status, body = call("GET", "/healthz")
    assert status == 200
    assert body["status"] == "ok"
    assert body["version"] == os.environ.get("RELMAN_VERSION", body["version"])


def test_articles_have_prices():
    status, body = call("GET", "/articles")
    assert status == 200
    assert body["articles"]["mug"] == 1250


def test_a_quote_is_not_paid():
    status, body = call("POST", "/quote", {"items": [{"article": "mug", "quantity": 2}], "country": "DE"})
    assert status == 200
    assert body == {"net": 2500, "discount": 0, "tax": 475, "total": 2975}


def test_a_checkout_is_paid():
    status, body = call("POST", "/checkout", {"items": [{"article": "shirt"}], "country": "CH"})
    assert status == 201
    assert body["payment"].endswith(f"_{body['total']}")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"items": []}, 422),
        ({"items": [{"article": "boat"}]}, 422),
        ({"items": [{"article": "mug", "quantity": 0}]}, 422),
        ({"items": [{"article": "mug"}], "country": "XX"}, 422),
        ({"items": "mug"}, 400),
        (b"{", 400),
        (b"[]", 400),
    ],
)
def test_what_makes_no_sense_is_refused_before_it_is_paid(body, status):
    assert call("POST", "/checkout", body)[0] == status


def test_an_unknown_path_is_not_found():
    assert call("GET", "/nothing")[0] == 404
    assert call("POST", "/nothing", {})[0] == 404
