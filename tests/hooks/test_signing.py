"""From a connection to the key that the record is signed with."""

from __future__ import annotations

import json

import pytest

from relman_plugins.errors import ClientUnavailable
from relman_plugins.hooks.signing import signing_key
from relman_plugins.ledger.keys import key_id, public_key


def pem(public: bool = False) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.from_private_bytes(b"7" * 32)
    if public:
        return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    def connect(password: str) -> None:
        uri = json.dumps({"conn_type": "relman_signing", "password": password})
        monkeypatch.setenv("AIRFLOW_CONN_RELMAN_SIGNING", uri)
        monkeypatch.setenv("AIRFLOW__RELMAN__SIGNING_CONN_ID", "relman_signing")

    return connect


def test_without_a_setting_nothing_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__RELMAN__SIGNING_CONN_ID", raising=False)
    assert signing_key() is None


def test_the_key_of_the_connection_is_the_one_that_was_put_there(connect) -> None:  # type: ignore[no-untyped-def]
    for text in (pem(), pem().replace("\n", " ")):
        connect(text)
        key = signing_key()
        assert key is not None
        assert key_id(key.public_key()) == key_id(public_key(pem(public=True)))


@pytest.mark.parametrize("password", ["", "no key at all hunter2", pem(public=True)])
def test_a_key_that_cannot_be_read_is_told_without_quoting_it(password: str, connect) -> None:  # type: ignore[no-untyped-def]
    connect(password)
    with pytest.raises(ClientUnavailable, match="cannot sign with the connection 'relman_signing'") as caught:
        signing_key()
    assert "hunter2" not in str(caught.value)


def test_the_private_key_is_not_taken_where_the_public_one_belongs() -> None:
    with pytest.raises(ValueError, match="nobody should hand around"):
        public_key(pem())
