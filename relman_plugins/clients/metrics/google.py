"""Google Cloud Monitoring, asked in PromQL by the API of Prometheus that it has.

https://cloud.google.com/stackdriver/docs/managed-prometheus/query-api-ui, and for signing in
https://developers.google.com/identity/protocols/oauth2/service-account#httprest.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from relman_plugins.clients.http import async_client, async_request
from relman_plugins.clients.metrics.base import Access
from relman_plugins.clients.metrics.prometheus import Prometheus
from relman_plugins.clients.metrics.web import LIMIT_S, number_of, object_of
from relman_plugins.errors import ClientRejected

SCOPE = "https://www.googleapis.com/auth/monitoring.read"
EARLY_S = 120.0
"""So many seconds before its end a token is replaced."""

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_PROJECT = re.compile(r"[a-z0-9][a-z0-9:.-]{0,60}")


class Google(Prometheus):
    """A project: ``project`` and ``keyfile_dict`` (a service account's key) stand in the extra field."""

    kind = "google"

    def __init__(self, access: Access, **more: Any) -> None:
        """Remember where it is, and whose key it is.

        Raises:
            ClientRejected: There is no key, or no project.
        """
        super().__init__(access, **more)
        self._key = _key_of(access)
        self._token = ("", 0.0)
        self._signing = asyncio.Lock()

    def home(self, access: Access) -> str:
        """Return the address of the project's Prometheus."""
        project = str(access.extra.get("project") or _key_of(access).get("project_id") or "")
        if not _PROJECT.fullmatch(project):
            raise ClientRejected("the connection names no project; put it into its extra field")
        return f"{access.address}/v1/projects/{project}/location/global/prometheus"

    def auth(self, access: Access) -> None:
        """Google knows no basic authentication."""

    async def asked(self, method: str, path: str, **kwargs: Any) -> Any:
        """Do as any source, with a token that is fresh."""
        token = await self._fresh()
        headers = {"Authorization": f"Bearer {token}"}
        try:
            return await super().asked(method, path, headers=headers, **kwargs)
        except ClientRejected as error:
            if error.status == 401 and self._token[0] == token:
                # It was taken back before its end; the next question signs in anew.
                self._token = ("", 0.0)
            raise

    async def _fresh(self) -> str:
        async with self._signing:
            token, until = self._token
            now = self.clock()
            if now >= until - EARLY_S:
                found = await self._signed_in(now)
                token, lasts = str(found.get("access_token") or ""), number_of(found.get("expires_in"), self)
                if not token or lasts is None:
                    raise self.nonsense("it gives no token")
                self._token = token, now + lasts
            return token

    async def _signed_in(self, now: float) -> Any:
        import jwt

        where = str(self._key["token_uri"])
        claims = {"iss": self._key["client_email"], "scope": SCOPE, "aud": where}
        claims |= {"iat": int(now), "exp": int(now) + 3600}
        kid = {"kid": str(self._key.get("private_key_id") or "")}
        try:
            signed = jwt.encode(claims, str(self._key["private_key"]), algorithm="RS256", headers=kid)
        except (ValueError, TypeError, jwt.PyJWTError):
            # Not with the library's words: they may quote the key.
            raise ClientRejected("the private key of the connection's service account is none") from None
        async with async_client(where) as http:
            sent = {"grant_type": _GRANT, "assertion": signed}
            answer = await async_request(http, "POST", where, data=sent, limit_s=LIMIT_S)
        try:
            return object_of(answer.json(), self)
        except ValueError as error:
            raise self.nonsense("its answer to signing in is no JSON") from error


def _key_of(access: Access) -> dict[str, Any]:
    key = access.extra.get("keyfile_dict")
    try:
        found = json.loads(key) if isinstance(key, str) else key
    except ValueError:
        found = None
    if not isinstance(found, dict) or not {"client_email", "private_key", "token_uri"} <= found.keys():
        raise ClientRejected("the connection has no service account's key in keyfile_dict of its extra")
    return found
