"""Whom FAB lets in without a login (``[fab] auth_role_public``): whatever that role may, they do nothing."""

from __future__ import annotations

import pytest
from airflow.api_fastapi.core_api.security import get_user
from airflow.providers.fab.auth_manager.models.anonymous_user import AnonymousUser
from fastapi import FastAPI
from fastapi.testclient import TestClient

from relman_plugins.plugin.access import NOBODY
from relman_plugins.plugin.app import application


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/releases/checkout-1.1.0-1/gates/production.approval/votes"),
        ("DELETE", "/api/v1/releases/checkout-1.1.0-1/gates/production.approval/votes"),
        ("POST", "/api/v1/releases/checkout-1.1.0-1/gates/production.break_glass/settlement"),
        ("POST", "/api/v1/releases/checkout-1.1.0-1/abort"),
        ("POST", "/api/v1/releases/checkout-1.1.0-1/rollback"),
        ("POST", "/api/v1/freezes"),
    ],
)
def test_what_is_done_needs_a_name(method: str, path: str) -> None:
    app = FastAPI()
    app.mount("/", application())
    application().dependency_overrides[get_user] = AnonymousUser
    try:
        body = {"decision": "approve", "digest": "sha256:00", "reason": "x"}
        answer = TestClient(app).request(method, path, json=body)
    finally:
        del application().dependency_overrides[get_user]
    assert (answer.status_code, answer.json()["detail"]) == (403, NOBODY)
