"""Graphite, InfluxDB, Datadog, New Relic, Google, CloudWatch: what is sent, and what is a number."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from relman_plugins.clients.metrics.base import Access, Answer, Question
from relman_plugins.clients.metrics.cloudwatch import signature
from relman_plugins.clients.metrics.registry import source
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable
from tests.clients.metrics.asking import ask, vector
from tests.clients.metrics.vendors import Asked, Vendor, cloudwatch, datadog, graphite, influx, nerdgraph

Serving = Callable[..., str]
VALUES = Question("", service="shop", environment="qa", version="1.1.0", stable="1.0.0")


# Graphite


def test_graphite(serving: Serving) -> None:
    server = Vendor(graphite(1, None, 3, 5.0))
    url = serving(server)
    asked = VALUES._replace(query="sumSeries(seriesByTag('version=$version'))", over_s=240)
    assert ask("graphite", url, asked, auth=("a", "b")).value == 3
    assert ask("graphite", url, asked._replace(take="last")).value == 5
    assert server.last.path == "/render"
    target = "sumSeries(seriesByTag('version=1.1.0'))"
    assert server.last.query == {"target": target, "from": "-240s", "until": "now", "format": "json"}
    count = asked._replace(over_s=None, window_s=200.2, take="sum")
    assert ask("graphite", url, count).value == 9
    assert server.last.query["from"] == "-201s"
    server.body = []
    assert "has no series for" in ask("graphite", url, asked).nothing
    server.body = graphite(1) * 2
    with pytest.raises(ClientRejected, match=r"gives 2 series \(x, x\); expected one: wrap it in sumSeries"):
        ask("graphite", url, asked)
    with pytest.raises(ClientRejected, match=r"\$version has characters"):
        ask("graphite", url, asked._replace(version="'), group(a"))


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([[1, 50], [1, 50]], "two points have one time"),
        ([[1, 50], [1, 40]], "out of order"),
        ([[1]], "no pair of time and value"),
        ([[1, None]], "no pair of time and value"),
        ([["many", 50]], "is no number"),
        ([[True, 50]], "is no number"),
        (5, "a list is missing"),
        ([[1, 4_000_000_000]], "ahead of this machine's"),
    ],
)
def test_graphites_points_that_are_none(serving: Serving, points: Any, said: str) -> None:
    body = [{"target": "x", "datapoints": points}]
    with pytest.raises(ClientUnavailable, match=said):
        ask("graphite", serving(Vendor(body)), Question("x", over_s=60))


# InfluxDB


def test_influxdb(serving: Serving) -> None:
    server = Vendor(influx([1, 12]))
    url = serving(server)
    query = "SELECT sum(n) FROM requests WHERE version = '$version' AND time > now() - $window"
    asked = VALUES._replace(query=query, window_s=37.25)
    extra = {"database": "shop", "token": "t0ken"}
    assert ask("influxdb", url, asked, extra=extra, headers={"Authorization": "Bearer t0ken"}).value == 12
    assert (server.last.method, server.last.path) == ("GET", "/query")
    assert server.last.headers["authorization"] == "Token t0ken"
    sent = "SELECT sum(n) FROM requests WHERE version = '1.1.0' AND time > now() - 37250ms"
    assert server.last.query == {"db": "shop", "q": sent, "epoch": "ms"}
    ask("influxdb", url, asked._replace(version="x' OR '1'='1\\"), extra=extra)
    assert r"version = 'x\' OR \'1\'=\'1\\' AND" in server.last.query["q"]
    for body, nothing in [(influx(), "no series"), (influx([1, None]), "null")]:
        server.body = body
        assert nothing in ask("influxdb", url, asked, extra=extra).nothing
    two = influx([1, 2])
    two["results"][0]["series"] *= 2
    bodies: list[tuple[Any, type[ClientError], str]] = [
        ({"results": [{"error": "database not found: shop"}]}, ClientRejected, "database not found"),
        ({"error": "unable to parse"}, ClientRejected, "unable to parse"),
        (influx([1, 2]) | {"results": influx([1, 2])["results"] * 2}, ClientRejected, "2 statements"),
        (two, ClientRejected, "2 series"),
        (influx([1, 2], [2, 3]), ClientRejected, "2 rows"),
        (influx([1, 2, 3], columns=("time", "a", "b")), ClientRejected, "2 columns"),
        (influx([1, "x"]), ClientRejected, "gives text"),
        (influx([1, True]), ClientUnavailable, "is no number"),
        (influx([1, 2, 3]), ClientUnavailable, "a row has not its columns"),
        (influx([1, 2], partial=True), ClientUnavailable, "only in part"),
        ({}, ClientUnavailable, "a list is missing"),
    ]
    for body, kind, said in bodies:
        server.body = body
        with pytest.raises(kind, match=said):
            ask("influxdb", url, asked, extra=extra)
    told = len(server.asked)
    for wrong in ("DROP DATABASE shop", "SELECT 1; DROP DATABASE shop", "SELECT n INTO other FROM requests"):
        with pytest.raises(ClientRejected, match="must be one SELECT, without INTO"):
            ask("influxdb", url, wrong, extra=extra)
    for hidden, said in [
        ("SELECT n FROM x -- '\n; DROP DATABASE shop -- '", "comment"),
        ("SELECT n FROM x /* ' */; DROP DATABASE shop /* ' */", "comment"),
        ("SELECT (/* ' */ n) FROM x; DROP DATABASE shop /* ' */", "comment"),
        ("SELECT n FROM x WHERE y =~ /'/; DROP DATABASE shop; SELECT n FROM x WHERE y =~ /'/", "one SELECT"),
        ("SELECT /'/ INTO other FROM x WHERE y !~ /'/", "one SELECT"),
        ("SELECT n / 2 INTO other FROM x WHERE n / 2 > 1", "one SELECT"),
        (r"SELECT n FROM x WHERE y =~ /\\/ AND z = '/; DROP DATABASE shop; SELECT /'", "two backslashes"),
        ("SELECT n FROM m1./'/; DROP DATABASE shop; SELECT n FROM m1./'/", "after a dot"),
    ]:
        with pytest.raises(ClientRejected, match=said):
            ask("influxdb", url, hidden, extra=extra)
    assert len(server.asked) == told
    server.body = influx([1, 2])
    for fine in (
        "SELECT a / b FROM /into;/ WHERE y =~ /it's; \\/into/ GROUP BY /z/",
        "SELECT (a)/2 FROM x",
        r"SELECT a FROM /\\d[\\]\/x/",
    ):
        assert ask("influxdb", url, fine, extra=extra).value == 2
    assert (
        ask("influxdb", url, "SELECT n FROM x WHERE y = 'into; \\' it' AND \"into\" = 1;", extra=extra).value
        == 2
    )
    with pytest.raises(ClientRejected, match="names no database"):
        ask("influxdb", url, asked)


# Datadog


def test_datadog(serving: Serving) -> None:
    server = Vendor(datadog(1.0, 2.0, None, 3.0))
    url = serving(server)
    asked = VALUES._replace(query="sum:requests{version:$version}.as_count()", over_s=300, take="sum")
    access = {"password": "app", "extra": {"api_key": "api"}, "auth": ("someone", "app")}
    assert ask("datadog", url, asked, **access).value == 6
    assert (server.last.method, server.last.path) == ("GET", "/api/v1/query")
    assert (server.last.headers["dd-api-key"], server.last.headers["dd-application-key"]) == ("api", "app")
    assert "authorization" not in server.last.headers
    assert server.last.query["query"] == "sum:requests{version:1.1.0}.as_count()"
    begin, end = int(server.last.query["from"]), int(server.last.query["to"])
    assert end - begin == 300
    assert end == pytest.approx(time.time(), abs=5)
    server.body = datadog() | {"series": []}
    assert "has no points" in ask("datadog", url, asked, **access).nothing
    bodies: list[tuple[Any, type[ClientError], str]] = [
        ({"status": "error", "error": "Error parsing query"}, ClientRejected, "Error parsing query"),
        ({"series": []}, ClientRejected, "no reason given"),
        (datadog(1) | {"series": datadog(1)["series"] * 2}, ClientRejected, r"2 series \(version:1.1.0, "),
        (datadog() | {"series": [{"pointlist": [[1]]}]}, ClientUnavailable, "no pair"),
        (datadog() | {"series": [{"pointlist": [[4e12, 1]]}]}, ClientUnavailable, "ahead of"),
        (datadog() | {"series": [{}]}, ClientUnavailable, "a list is missing"),
    ]
    for body, kind, said in bodies:
        server.body = body
        with pytest.raises(kind, match=said):
            ask("datadog", url, asked, **access)
    with pytest.raises(ClientRejected, match="no tag of Datadog"):
        ask("datadog", url, asked._replace(version="1} or {*"))
    server.status, server.headers = 429, {"X_RateLimit_Reset": "17"}
    with pytest.raises(ClientUnavailable) as caught:
        ask("datadog", url, asked, **access)
    assert caught.value.retry_after == 17


# New Relic


def test_new_relic(serving: Serving) -> None:
    server = Vendor(nerdgraph({"count": 1000}))
    url = serving(server)
    query = "SELECT count(*) FROM Transaction WHERE version = '$version' SINCE $window ago"
    asked = VALUES._replace(query=query, window_s=37.25)
    access = {"password": "NRAK-x", "extra": {"account_id": "42"}, "auth": ("someone", "NRAK-x")}
    assert ask("newrelic", url, asked, **access).value == 1000
    assert (server.last.method, server.last.path) == ("POST", "/graphql")
    assert server.last.headers["api-key"] == "NRAK-x"
    assert "authorization" not in server.last.headers
    nrql = "SELECT count(*) FROM Transaction WHERE version = '1.1.0' SINCE 38 seconds ago"
    assert server.last.json["variables"] == {"account": 42, "nrql": nrql, "timeout": 15}
    ask("newrelic", url, asked._replace(version="' OR 1=1 --"), **access)
    assert r"version = '\' OR 1=1 --'" in server.last.json["variables"]["nrql"]
    server.body = nerdgraph({"percentile.duration": {"99": 0.25}})
    assert ask("newrelic", url, asked, **access).value == 0.25
    for body, nothing in [(nerdgraph(), "no row"), (nerdgraph({"average.x": None}), "null")]:
        server.body = body
        assert nothing in ask("newrelic", url, asked, **access).nothing
    error = {"errors": [{"message": "NRQL Syntax Error"}], "data": {"actor": {"account": {"nrql": None}}}}
    bodies: list[tuple[Any, type[ClientError], str]] = [
        (error, ClientRejected, "refused the query: NRQL Syntax Error"),
        (nerdgraph({"a": 1}, {"a": 2}), ClientRejected, "2 rows; expected one number: leave out FACET"),
        (nerdgraph({"a": 1, "b": 2}), ClientRejected, r"2 values \(a, b\)"),
        (nerdgraph({"latest.x": "up"}), ClientRejected, "gives text"),
        (nerdgraph({"a": True}), ClientUnavailable, "is no number"),
        (nerdgraph({"a": [1]}), ClientUnavailable, "is no number"),
        ({"data": {"actor": None}}, ClientUnavailable, "an object is missing"),
    ]
    for body, kind, said in bodies:
        server.body = body
        with pytest.raises(kind, match=said):
            ask("newrelic", url, asked, **access)
    with pytest.raises(ClientRejected, match="no account_id"):
        ask("newrelic", url, asked, password="x", extra={"account_id": "1) { x }"})


# Google Cloud Monitoring


@pytest.fixture(scope="module")
def service_account() -> tuple[dict[str, str], Any]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    told = {"client_email": "relman@shop.example", "private_key": text.decode(), "private_key_id": "k1"}
    return told | {"project_id": "shop-1"}, key.public_key()


def test_google_signs_in_once_and_is_asked_in_promql(
    serving: Serving, service_account: tuple[dict[str, str], Any]
) -> None:
    import jwt

    key, public = service_account

    def answer(asked: Asked) -> Any:
        if asked.path == "/token":
            claims = jwt.decode(
                asked.form["assertion"], public, algorithms=["RS256"], audience=f"{url}/token"
            )
            assert claims["iss"] == "relman@shop.example"
            assert claims["scope"].endswith("/monitoring.read")
            assert jwt.get_unverified_header(asked.form["assertion"])["kid"] == "k1"
            assert asked.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            return {"access_token": "fresh", "expires_in": 3600, "token_type": "Bearer"}
        assert asked.headers["authorization"] == "Bearer fresh"
        return vector(7)

    server = Vendor(answer)
    url = serving(server)
    extra = {"keyfile_dict": json.dumps(key | {"token_uri": f"{url}/token"})}

    async def asked() -> list[Answer]:
        client = source("google", Access(url, extra=extra))
        try:
            return list(await asyncio.gather(*(client.number(Question("up")) for _ in range(5))))
        finally:
            await client.aclose()

    assert [answer.value for answer in asyncio.run(asked())] == [7] * 5
    paths = [a.path for a in server.asked]
    assert paths.count("/token") == 1
    assert set(paths[1:]) == {"/v1/projects/shop-1/location/global/prometheus/api/v1/query"}
    for wrong, said in [
        ({}, "no service account's key"),
        ({"keyfile_dict": "{"}, "no service account's key"),
        ({"keyfile_dict": key | {"token_uri": url, "project_id": "a/../b"}}, "names no project"),
        ({"keyfile_dict": key | {"token_uri": url, "private_key": "s3cret"}}, "private key .* is none"),
    ]:
        with pytest.raises(ClientRejected, match=said) as caught:
            ask("google", url, "up", extra=wrong)
        assert "s3cret" not in str(caught.value)
    server.body = lambda _: {"error": "invalid_grant"}
    with pytest.raises(ClientUnavailable, match="it gives no token"):
        ask("google", url, "up", extra=extra)


def test_google_signs_in_anew_after_a_token_was_taken_back(
    serving: Serving, service_account: tuple[dict[str, str], Any]
) -> None:
    tokens = iter(["revoked", "fresh"])

    def answer(asked: Asked) -> Any:
        if asked.path == "/token":
            return {"access_token": next(tokens), "expires_in": 3600}
        server.status = 401 if asked.headers["authorization"] == "Bearer revoked" else 200
        return vector(7)

    server = Vendor(answer)
    url = serving(server)
    extra = {"keyfile_dict": json.dumps(service_account[0] | {"token_uri": f"{url}/token"})}

    async def asked() -> list[float | None]:
        client = source("google", Access(url, extra=extra))
        try:
            with pytest.raises(ClientRejected, match="answered 401"):
                await client.number(Question("up"))
            server.status = 200
            return [(await client.number(Question("up"))).value for _ in range(2)]
        finally:
            await client.aclose()

    assert asyncio.run(asked()) == [7, 7]
    assert [a.path for a in server.asked].count("/token") == 2


# CloudWatch


def test_cloudwatch(serving: Serving) -> None:
    server = Vendor(cloudwatch(1, 2, 3.5))
    url = serving(server)
    query = "SELECT SUM(Requests) FROM SCHEMA(\"Shop\", Version) WHERE Version = '$version'"
    asked = VALUES._replace(query=query, over_s=150, take="sum")
    extra = {"region_name": "eu-central-1", "aws_session_token": "tok"}
    access = {"auth": ("AKID", "s3cret"), "extra": extra}
    assert ask("cloudwatch", url, asked, **access).value == 6.5
    sent = server.last.json
    assert server.last.headers["x-amz-target"] == "GraniteServiceVersion20100801.GetMetricData"
    assert server.last.headers["x-amz-security-token"] == "tok"
    (one,) = sent["MetricDataQueries"]
    assert (one["Expression"], one["Period"]) == (query.replace("$version", "1.1.0"), 60)
    assert sent["EndTime"] % 60 == sent["StartTime"] % 60 == 0
    assert sent["EndTime"] - sent["StartTime"] in (180, 240)
    told = server.last.headers["authorization"]
    names = told.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    signed = {name: server.last.headers[name] for name in names}
    assert {"host", "x-amz-date", "x-amz-security-token", "x-amz-target"} <= set(names)
    assert told == signature(signed, server.last.raw, "AKID", "s3cret", "eu-central-1")
    server.body = cloudwatch()
    assert "no points" in ask("cloudwatch", url, asked, **access).nothing
    server.body = {"MetricDataResults": [], "Messages": [{"Code": "x", "Value": "no such metric"}]}
    assert ask("cloudwatch", url, asked, **access).nothing == "the expression gave no series; no such metric"
    bodies: list[tuple[Any, type[ClientError], str]] = [
        (cloudwatch(1, status="PartialData"), ClientUnavailable, "only in part: its status is PartialData"),
        (cloudwatch(1, status="Forbidden"), ClientUnavailable, "its status is Forbidden"),
        (cloudwatch(1, NextToken="more"), ClientRejected, "more points than one answer has"),
        ({"MetricDataResults": cloudwatch(1)["MetricDataResults"] * 2}, ClientRejected, "gives 2 series"),
        ({"MetricDataResults": [{"StatusCode": "Complete", "Timestamps": [1], "Values": []}]},
         ClientUnavailable, "not a value for each time"),
        ({}, ClientUnavailable, "a list is missing"),
    ]  # fmt: skip
    for body, kind, said in bodies:
        server.body = body
        with pytest.raises(kind, match=said):
            ask("cloudwatch", url, asked, **access)
    with pytest.raises(ClientRejected, match="needs an access key"):
        ask("cloudwatch", url, asked, extra=extra)
    with pytest.raises(ClientRejected, match="can't stand in quotes"):
        ask("cloudwatch", url, asked._replace(version="' OR Version != '"), **access)
    server.status, server.body = 400, {"__type": "AccessDenied", "message": "not allowed"}
    with pytest.raises(ClientRejected, match="400: not allowed"):
        ask("cloudwatch", url, asked, **access)


def test_the_signature_is_that_of_awss_own_example() -> None:
    """``post-vanilla`` of the Signature Version 4 test suite."""
    headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    told = signature(headers, b"", "AKIDEXAMPLE", secret, "us-east-1", service="service")
    assert told.endswith("=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")
