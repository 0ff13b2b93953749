"""Is it there, is it the right one, does it take money."""

from __future__ import annotations

import os

from service import call


def test_the_right_version_answers():
    status, body = call("GET", "/healthz")
    assert status == 200
    assert body["version"] == os.environ.get("RELMAN_VERSION", body["version"])


def test_one_checkout_goes_through():
    status, body = call("POST", "/checkout", {"items": [{"article": "sticker", "quantity": 10}]})
    assert status == 201
    assert body["total"] > 0
