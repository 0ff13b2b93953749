"""CloudWatch's GetMetricData, asked for what an expression of Metrics Insights or metric math gives.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html, and for signing
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from relman_plugins.clients.metrics.base import Access, Answer, Question, fill, period, unshown
from relman_plugins.clients.metrics.web import WebSource, list_of, object_of
from relman_plugins.errors import ClientRejected, ClientUnavailable

PERIOD_S = 60
"""Seconds that a point stands for: the finest that all metrics have."""

_TARGET = "GraniteServiceVersion20100801.GetMetricData"
_TYPE = "application/x-amz-json-1.0"
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")


class CloudWatch(WebSource):
    """A region: login and password are an access key, ``region_name`` stands in the extra field.

    ``aws_session_token`` of the extra field goes with a temporary key.
    """

    kind = "cloudwatch"
    late_s = 3.0 * PERIOD_S

    def auth(self, access: Access) -> None:
        """Requests are signed instead."""

    async def number(self, question: Question) -> Answer:
        """Ask for the points of one expression over the last ``over_s`` (or ``window_s``) seconds.

        Points are minutes, so what is asked for begins with the minute in which that time begins. A minute
        without a point counts as nothing, since CloudWatch has none where nothing happened; no point at all
        is no data.
        """
        expression = fill(question, lambda _, value: _escaped(value))
        now = self.clock()
        begin = math.floor((now - period(question)) / PERIOD_S) * PERIOD_S
        sent = {
            "MetricDataQueries": [{"Id": "number", "Expression": expression, "Period": PERIOD_S}],
            "StartTime": begin,
            "EndTime": math.ceil(now / PERIOD_S) * PERIOD_S,
            "ScanBy": "TimestampAscending",
        }
        body = object_of(await self._signed(sent), self)
        if body.get("NextToken"):
            raise ClientRejected("the expression gives more points than one answer has; ask over less")
        results = [object_of(one, self) for one in list_of(body.get("MetricDataResults"), self)]
        said = [object_of(m, self) for one in (body, *results) for m in one.get("Messages") or ()]
        told = [unshown(one.get("Value")) for one in said]
        if len(results) > 1:
            raise ClientRejected(
                f"the expression gives {len(results)} series; expected one: leave out GROUP BY"
            )
        if not results:
            return Answer(None, "; ".join(["the expression gave no series", *told]))
        status = results[0].get("StatusCode")
        if status != "Complete":
            why = "; ".join([f"its status is {unshown(status, 30)}", *told])
            raise ClientUnavailable(f"CloudWatch answers only in part: {why}")
        times = list_of(results[0].get("Timestamps"), self)
        values = list_of(results[0].get("Values"), self)
        if len(times) != len(values):
            raise self.nonsense("it has not a value for each time")
        pairs = list(zip(times, values, strict=True))
        if not pairs:
            return Answer(None, "the expression gave no points")
        return self.one_of(pairs, now, question, PERIOD_S)

    async def check(self) -> str:
        """Ask for a number that needs no data."""
        now = self.clock()
        sent = {
            "MetricDataQueries": [{"Id": "one", "Expression": "TIME_SERIES(1)", "Period": PERIOD_S}],
            "StartTime": int(now) - PERIOD_S,
            "EndTime": int(now),
        }
        object_of(await self._signed(sent), self)
        return "CloudWatch answers queries."

    async def _signed(self, sent: Any) -> Any:
        """Sign a request by Signature Version 4, and send it."""
        access, region = self.access, str(self.access.extra.get("region_name") or "")
        if access.auth is None or not _REGION.fullmatch(region):
            raise ClientRejected("the connection needs an access key as login and password, and region_name")
        key, secret = access.auth
        body, at = json.dumps(sent).encode(), datetime.fromtimestamp(self.clock(), UTC)
        host = urlsplit(self.address).netloc.rpartition("@")[2]
        headers = {
            "content-type": _TYPE,
            "host": host,
            "x-amz-date": f"{at:%Y%m%dT%H%M%SZ}",
            "x-amz-target": _TARGET,
        }
        if token := access.extra.get("aws_session_token"):
            headers["x-amz-security-token"] = str(token)
        headers["authorization"] = signature(headers, body, key, secret, region)
        return await self.asked("POST", "", content=body, headers=headers)


def signature(
    headers: dict[str, str], body: bytes, key: str, secret: str, region: str, service: str = "monitoring"
) -> str:
    """Return the ``Authorization`` of a POST to ``/`` with these headers, which have ``x-amz-date``."""
    names, date = ";".join(sorted(headers)), headers["x-amz-date"]
    canonical = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    asked = f"POST\n/\n\n{canonical}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
    signing = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), text):
        signing = hmac.digest(signing, part.encode(), "sha256")
    return f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signing.hex()}"


def _escaped(value: str) -> str:
    """Return a value that stays in the quotes of an expression that it stands in."""
    if not re.fullmatch(r"[\w.:/+ -]*", value, re.ASCII):
        raise ClientRejected("a value has characters that can't stand in quotes in an expression")
    return value
