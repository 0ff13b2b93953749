"""What looks like a secret. Specs are printed, stored and sent to Slack: they are no place for one.

Two ways to tell: the name that a value has, and the value itself. A library for it (detect-secrets, gitleaks)
brings an HTTP client or is a program of its own, and looks at lines of code; here name and value are known
apart, and it has to cost nothing when a DAG file is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

CODE = "RM310"
"""The code of a secret in a spec; lines that hold one are never shown."""

MOST_TOLD = 100
"""Characters of a refused value that are told."""

# DB_PASSWORD, db-password, db.password and dbPassword are the same words.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_QUALIFIERS = frozenset(
    {
        "V", "OLD", "NEW", "CURRENT", "PREVIOUS", "PRIMARY", "SECONDARY", "BACKUP", "PROD", "PRODUCTION",
        "LIVE", "STAGING", "QA", "DEV", "TEST", "B", "BASE",
    }
)  # fmt: skip
"""What may follow a secret's name without making another thing of it, like numbers: ``STRIPE_SECRET_V2``."""

_SECRETS = frozenset(
    {
        "PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE", "PASSCODE", "SECRET", "SECRETS", "TOKEN",
        "CREDENTIAL", "CREDENTIALS", "CREDS",
    }
)  # fmt: skip
_KEYS = frozenset(
    {
        "API", "PRIVATE", "SECRET", "ACCESS", "SIGNING", "ENCRYPTION", "DECRYPTION", "FERNET", "JWT",
        "HMAC", "SSH", "DEPLOY", "MASTER", "ACCOUNT", "AUTH", "SHARED", "AES", "RSA", "GPG", "PGP",
        "WEBHOOK", "STRIPE",
    }
)  # fmt: skip
"""What makes a KEY a secret: a PRIMARY_KEY, a SORT_KEY and a PUBLIC_KEY are none."""

_SHORT = frozenset({"PWD", "PASS", "PAT", "PSK", "TOKENS"})
"""Secrets where a word stands before them, and the value could be one: ``DB_PASS``, not ``PWD``."""

_PASSES = frozenset(
    {
        "FIRST", "SECOND", "THIRD", "LAST", "MUST", "MULTI", "SINGLE", "ONE", "TWO", "BOARDING", "SEASON",
        "DID", "CAN",
    }
)  # fmt: skip
_PLAIN = re.compile(r"\s*(true|false|yes|no|on|off|none|null|[-+]?\d+(\.\d+)?)?\s*", re.IGNORECASE)
_PATTERN = re.compile(r"[*?|^\\\[\]]")
_HEADER_NAME = re.compile(r"[A-Za-z]+(-[A-Za-z]+)*")
_BOOLEANS = ("true", "false")
_REFERENCE = re.compile(r"\$\w+|\$?\{{1,2}([^{}\"]*\}{1,2})?|<[^<>]*>|%\(\w+\)s|\*+|")

# What values give themselves away by. Prefixes are those that the issuers document for secret scanners.
# Nothing in these patterns looks ahead without a bound: a line of a hostile file may be very long.
# Before each stands what a text must contain to match it, so that most texts need no look at the pattern.
_GIVEN_AWAY = (
    # An address with a password, or with a key, as of Sentry.
    (("://",), r"://[^/\s:@]*:[^/\s@]+@ | \bhttps?://[^/\s@?#]+@"),
    (("-----BEGIN",), r"-----BEGIN\ [A-Z ]{0,40}PRIVATE\ KEY"),
    (
        ("Bearer", "Basic"),
        r"\b(?:Bearer|Basic)\s+(?=\S{0,4000}(?:\d|[a-z][A-Z]))[\w.~+/=-]{8,}",
    ),
    (("eyJ",), r"\beyJ[\w-]{8,2000}\.eyJ[\w-]{8}"),  # JSON Web Token
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), r"\b(?:gh[pousr]_|github_pat_)\w{20}"),
    (("glpat-",), r"\bglpat-[\w-]{20}"),
    (("xox", "xapp-"), r"\bxox[a-z]-[\w-]{10} | \bxapp-\d-\w{10}"),
    (("hooks.slack.com",), r"\bhooks\.slack\.com/(?:services|workflows|triggers)/\w"),
    (("/api/webhooks/",), r"\bdiscord(?:app)?\.com/api/webhooks/\d"),
    (("webhook.office.com",), r"\bwebhook\.office\.com/webhookb2/\w"),
    (("AKIA", "ASIA"), r"\bA(?:KIA|SIA)[A-Z0-9]{16}"),
    (("AIza", "GOCSPX-"), r"\bAIza[\w-]{35} | \bGOCSPX-[\w-]{10}"),
    (("k_live_", "k_test_", "whsec_"), r"\b[rs]k_(?:live|test)_\w{8} | \bwhsec_\w{8}"),
    (("SG.",), r"\bSG\.[\w-]{16,40}\.[\w-]{16}"),
    (("npm_", "pypi-AgE"), r"\bnpm_\w{30} | \bpypi-AgE\w{10}"),
    (("hvs.", "dop_v1_"), r"\bhvs\.\w{20} | \bdop_v1_\w{20}"),
    (("sk-", "hf_"), r"\bsk-(?:[a-z]{1,20}-){0,4}\w{20} | \bhf_\w{30}"),
)
_SIGNS = tuple(sign for signs, _ in _GIVEN_AWAY for sign in signs)
_VALUE = re.compile("|".join(pattern for _, pattern in _GIVEN_AWAY), re.VERBOSE)
# What a value says by name: host=db password=…, ?password=…, AccountKey=…;, --token=…, {"password": "…"}.
_PAIR = re.compile(
    r"""(?<![\w.-])(?P<name>[\w.-]++)(?:=(?P<quote>["']?)(?P<plain>[^\s;&,"']+)|"\s*:\s*"(?P<json>[^"]+)")"""
)


def none_secret(values: Iterable[str]) -> bool:
    """Say whether it is certain that none of many values is a secret; cheaper than to ask for each.

    False says nothing: a value may look like one and be none.
    """
    texts = list(values)
    together = "\n".join(texts)
    return not any(sign in together for sign in _SIGNS) and not any(
        looks_secret("", text) for text in texts if "=" in text or '"' in text
    )


def looks_secret(name: object, value: object = None) -> bool:
    """Say whether a variable of this name would hold a secret, or this value is one.

    Without a value the name alone decides. An empty value, a boolean and a reference (``${DB_PASSWORD}``) are
    no secrets, whatever their name. What may be one, is one: hiding too much does less harm.
    """
    if isinstance(name, str) and _named(name, value):
        return True
    if not isinstance(value, str):
        return False
    # Whoever says pass=x or pwd=x in a value means no folder and no turn: as if another word stood before it.
    return _VALUE.search(value) is not None or any(
        _named(f"in_{found['name']}", found["plain"] or found["json"]) for found in _PAIR.finditer(value)
    )


def told(name: str, value: object) -> str:
    """Return a value for the message that refuses it: its beginning, and nothing of what may be a secret.

    Refusals are recorded, logged and sent to Slack, and people paste into the wrong field.
    """
    if looks_secret(name, value):
        return "what looks like a secret"
    text = repr(value)
    return text if len(text) <= MOST_TOLD else f"{text[:MOST_TOLD]}…"


def _named(name: str, value: object) -> bool:
    words = [word.upper() for word in _WORD.findall(name)]
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in _QUALIFIERS):
        words.pop()
    text = value.strip() if isinstance(value, str) else None
    if not words or isinstance(value, bool):
        return False
    if text is not None and (text.lower() in _BOOLEANS or _REFERENCE.fullmatch(text)):
        return False
    *_, before, last = ["", *words]
    if last.removesuffix("S").removesuffix("KEY") in _KEYS and "KEY" in last:
        return True
    if last in _SECRETS or (last in ("KEY", "KEYS") and before in _KEYS):
        return True
    if last == "HEADER" and before == "AUTH":
        return text is None or _HEADER_NAME.fullmatch(text) is None
    if last not in _SHORT or not before or (last == "PASS" and before in _PASSES):
        return False
    return text is None or not (_PLAIN.fullmatch(text) or _PATTERN.search(text))
