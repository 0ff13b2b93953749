"""Ed25519 keys that what relman says is signed with: read from text, named by a fingerprint.

``cryptography`` does the work; Airflow brings it. It is imported when a key is used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LIMIT = 10_000
"""Characters of a key that are read; a key has about a hundred."""

MAKE = "`openssl genpkey -algorithm ed25519 -out relman.pem` makes one"
MAKE_PUBLIC = "`openssl pkey -in relman.pem -pubout -out relman.pub` makes it of the private one"
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)


def private_key(text: str) -> Ed25519PrivateKey:
    """Return the private key in PEM (PKCS #8, not encrypted), or what stands between its first and last line.

    A form's field makes spaces of line ends; so any white space is taken. Raises ValueError, which never
    quotes the text.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    key = None
    try:
        key = load_der_private_key(_der(text, "PRIVATE KEY"), password=None)
    except Exception as error:  # cryptography raises many kinds, and one of them may quote what it read
        raise ValueError(
            f"it is no private key in PEM without a password ({type(error).__name__}); {MAKE}"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"it is a private key of another kind than Ed25519; {MAKE}")
    return key


def public_key(text: str) -> Ed25519PublicKey:
    """Return the public key in PEM; ValueError for anything else, a private key above all."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    if "PRIVATE KEY" in text:
        raise ValueError(f"it is the private key, which nobody should hand around; {MAKE_PUBLIC}")
    try:
        key = load_der_public_key(_der(text, "PUBLIC KEY"))
    except Exception as error:
        raise ValueError(f"it is no public key in PEM ({type(error).__name__}); {MAKE_PUBLIC}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"it is a public key of another kind than Ed25519; {MAKE_PUBLIC}")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """Return ``sha256:<hex>`` of the key's DER, as ``openssl pkey -pubin -outform DER | sha256sum``."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256:" + hashlib.sha256(der).hexdigest()


def _der(text: str, label: str) -> bytes:
    if len(text) > LIMIT:
        raise ValueError("too long")
    text = text.replace("\\n", "\n").strip()
    found = _PEM.search(text)
    if found is not None and found[1] != label:
        raise ValueError("another kind")
    try:
        return base64.b64decode("".join((found[2] if found else text).split()), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
