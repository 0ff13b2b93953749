"""DSSE envelopes with Ed25519: https://github.com/secure-systems-lab/dsse, version 1.

By hand over ``cryptography``, which Airflow brings: what is needed of the protocol is these few lines, and of
the libraries for it one brings key stores and other formats (securesystemslib), the other has had no release
for years (in-toto-attestation). The protocol's own test vector is in ``tests/evidence``.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NamedTuple

from relman_plugins.ledger.keys import key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MOST_SIGNATURES = 16


class Signature(NamedTuple):
    """A signature and the name of its key; the name itself is not signed, it only helps to find the key."""

    keyid: str
    sig: bytes


class Envelope(NamedTuple):
    """What is signed, as it was found: nothing is checked yet but its form."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: the pre-authentication encoding of a payload and its type."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sealed(payload_type: str, payload: bytes, key: Ed25519PrivateKey | None) -> dict[str, Any]:
    """Return the envelope as JSON; without a key it has no signature."""
    signatures = []
    if key is not None:
        sig = base64.b64encode(key.sign(pae(payload_type, payload))).decode()
        signatures = [{"keyid": key_id(key.public_key()), "sig": sig}]
    return {
        "payloadType": payload_type,
        "payload": base64.b64encode(payload).decode(),
        "signatures": signatures,
    }


def opened(value: Any) -> Envelope:
    """Return the envelope in a JSON value; ValueError, saying what is wrong, when there is none.

    Fields that the protocol does not know are ignored, as it demands.
    """
    if not isinstance(value, dict):
        raise ValueError("it is no object with payload, payloadType and signatures, as a DSSE envelope is")
    signatures = value.get("signatures")
    if not isinstance(signatures, list) or len(signatures) > MOST_SIGNATURES:
        raise ValueError(f"signatures: expected a list of at most {MOST_SIGNATURES}")
    found = []
    for n, signature in enumerate(signatures):
        if not isinstance(signature, dict):
            raise ValueError(f"signatures[{n}]: expected an object with keyid and sig")
        keyid = signature.get("keyid", "")
        if not isinstance(keyid, str):
            raise ValueError(f"signatures[{n}].keyid: expected text")
        found.append(Signature(keyid, _bytes(signature.get("sig"), f"signatures[{n}].sig")))
    kind = value.get("payloadType")
    if not isinstance(kind, str):
        raise ValueError("payloadType: expected text")
    return Envelope(kind, _bytes(value.get("payload"), "payload"), tuple(found))


def is_signed_by(envelope: Envelope, key: Ed25519PublicKey) -> bool:
    """Say whether a signature in the envelope was made with the private half of ``key``, and names it."""
    from cryptography.exceptions import InvalidSignature

    name, text = key_id(key), pae(envelope.payload_type, envelope.payload)
    for signature in envelope.signatures:
        if signature.keyid not in ("", name):
            continue
        try:
            key.verify(signature.sig, text)
        except InvalidSignature:
            continue
        return True
    return False


def _bytes(value: Any, where: str) -> bytes:
    """Decode base64 of either alphabet, and take only the one spelling of what it says."""
    if isinstance(value, str):
        text = value.replace("-", "+").replace("_", "/")
        try:
            decoded = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            decoded = None
        if decoded is not None and base64.b64encode(decoded).decode() == text:
            return decoded
    raise ValueError(f"{where}: expected base64")
