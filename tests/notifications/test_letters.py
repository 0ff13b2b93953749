"""Email against a real SMTP server, notifiers of Airflow's own kind, and what a copy is recognised by."""

from __future__ import annotations

import email
import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.policy import default
from typing import Any

import pytest
from airflow.sdk import BaseNotifier
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.errors import ClientUnavailable
from relman_plugins.ledger.api import Ledger, Line, ReleaseRecord
from relman_plugins.notifications.about import About
from relman_plugins.notifications.carrier import carry
from relman_plugins.notifications.letter import Letter, letter_of, message_id
from relman_plugins.notifications.limits import GIVE_UP_AFTER
from relman_plugins.notifications.mail import send_mail
from relman_plugins.notifications.notifiers import send_through
from relman_plugins.plan.model import ReleasePlan
from relman_plugins.plan.routing import Route

NOW = datetime(2100, 1, 1, tzinfo=UTC)
MAIL = Line("email", "")
Happens = Callable[..., None]


class Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as a client needs, and ways to misbehave."""

    def handle(self) -> None:
        self.say("220 test")
        while line := self.rfile.readline().decode().strip():
            verb = line.partition(" ")[0].upper()
            if verb == "DATA":
                if not self.take():
                    return
            elif verb == "RCPT" and self.server.refuse:  # type: ignore[attr-defined]
                self.say(self.server.refuse)  # type: ignore[attr-defined]
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def take(self) -> bool:
        if self.server.refuse_letter:  # type: ignore[attr-defined]
            self.say(self.server.refuse_letter)  # type: ignore[attr-defined]
            return True
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        self.server.letters.append(email.message_from_bytes(b"".join(lines), policy=default))  # type: ignore[attr-defined]
        if self.server.lose_answers:  # type: ignore[attr-defined]
            self.server.lose_answers -= 1  # type: ignore[attr-defined]
            return False
        self.say("250 taken")
        return True

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Mailbox)
        self.letters: list[Message] = []
        self.refuse = self.refuse_letter = ""
        self.lose_answers = 0


@pytest.fixture
def smtp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        connect(monkeypatch, server.server_address[1])
        yield server
        server.shutdown()


def connect(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "relman@shop.example", "retry_limit": 0}
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra | {"timeout": 5}}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))


@pytest.fixture
def release(ledger: Ledger, plan: Callable[..., ReleasePlan]) -> ReleaseRecord:
    whole = plan("1.1.0", channel=None)
    routes = (Route(channel="email", addresses=("ops@shop.example",), when=("tested", "closed")),)
    return ledger.open_release(
        plan=whole.model_copy(update={"shape": whole.shape.model_copy(update={"routes": routes})}),
        dag_id="release__checkout",
        run_id="run 1",
        started_by=Actor(kind="person", id="alice", name="Alice", via="airflow"),
        conf={},
    )


def red_suite(release: ReleaseRecord, happens: Happens, key: str = "") -> None:
    failed = [{"name": "test_<b>price</b>", "message": "expected 1 & got <2>"}]
    counts = {"tests": 3, "failures": 1, "seconds": 2, "passed": False, "failed": failed}
    happens(release.release_id, Kind.SUITE_FINISHED, "qa.unit", key=key, suite="unit", **counts)


def mail(ledger: Ledger, now: datetime = NOW) -> Any:
    return carry(ledger, MAIL, send_mail, now, base_url="https://airflow.example")


def test_a_letter_says_what_slack_would_and_where_to_look(
    ledger: Ledger, smtp: Server, release: ReleaseRecord, happens: Happens
) -> None:
    red_suite(release, happens)
    happens(release.release_id, Kind.RELEASE_CLOSED, "close", outcome="failed", reason="unit is red")
    assert mail(ledger).sent == 2
    suite, closed = smtp.letters
    assert suite["To"] == "ops@shop.example"
    assert suite["Subject"] == "checkout 1.1.0: ❌ unit in qa: 3 tests, 1 failed in 2.0 s"
    body = suite.get_payload()[0].get_payload(decode=True).decode()  # type: ignore[union-attr, index]
    assert "<code>test_&lt;b&gt;price&lt;/b&gt;</code> expected 1 &amp; got &lt;2&gt;" in body
    assert 'href="https://airflow.example/dags/release__checkout/runs/run%201"' in body
    (event,) = ledger.events(release.release_id, kinds=[Kind.SUITE_FINISHED])
    assert suite["Message-ID"] == message_id(event.key)
    assert suite["References"] == closed["References"] == message_id(release.release_id)
    assert closed["Message-ID"] != suite["Message-ID"]
    assert closed["X-Relman-Severity"] == "error"
    body = closed.get_payload()[0].get_payload(decode=True).decode()  # type: ignore[union-attr, index]
    assert "Alice: please look" in body
    assert "<blockquote>unit is red</blockquote>" in body


def test_a_lost_answer_repeats_the_letter_with_the_same_id(
    ledger: Ledger, smtp: Server, release: ReleaseRecord, happens: Happens
) -> None:
    red_suite(release, happens)
    smtp.lose_answers = 1
    first = mail(ledger)
    assert (first.sent, first.failed, first.pending) == (0, 1, 1)
    assert mail(ledger, NOW + timedelta(minutes=10)).sent == 1
    assert len(smtp.letters) == 2
    assert len({m["Message-ID"] for m in smtp.letters}) == 1


def test_a_server_that_is_away_loses_nothing_and_keeps_the_order(
    ledger: Ledger,
    smtp: Server,
    release: ReleaseRecord,
    happens: Happens,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    red_suite(release, happens, "1")
    red_suite(release, happens, "2")
    connect(monkeypatch, 9)
    for hour in range(GIVE_UP_AFTER * 2):
        result = mail(ledger, NOW + timedelta(hours=hour))
        assert (result.sent, result.failed, result.given_up, result.pending) == (0, 1, 0, 2)
    assert "smtp_default" in result.errors[0]
    connect(monkeypatch, smtp.server_address[1])
    assert mail(ledger, NOW + timedelta(days=2)).sent == 2


def test_a_recipient_that_is_refused_for_good_is_given_up_and_one_that_is_greylisted_not(
    ledger: Ledger, smtp: Server, release: ReleaseRecord, happens: Happens
) -> None:
    red_suite(release, happens)
    smtp.refuse = "451 come back later"
    for hour in range(GIVE_UP_AFTER):
        assert mail(ledger, NOW + timedelta(hours=hour)).pending == 1
    smtp.refuse = "550 no such user"
    assert mail(ledger, NOW + timedelta(days=1)).given_up == 1
    assert ledger.outbox.pending() == 0
    (backlog,) = ledger.outbox.backlog()
    assert (backlog.given_up, backlog.given_up_error) == (
        1,
        "email through connection smtp_default: the recipient is refused ([550])",
    )


@pytest.mark.parametrize(
    "said",
    ["550 <ops@shop.example> unknown", "451 ops@shop.example: come back", "554 5.7.1 <ops@shop.example>"],
)
def test_nobodys_address_is_kept_with_an_error_that_everybody_may_read(
    ledger: Ledger, smtp: Server, release: ReleaseRecord, happens: Happens, said: str
) -> None:
    red_suite(release, happens)
    smtp.refuse = said
    result = mail(ledger)
    (backlog,) = ledger.outbox.backlog()
    assert result.errors == (backlog.error,)
    assert "smtp_default" in (backlog.error or "")
    assert "shop.example" not in (backlog.error or "")
    smtp.refuse, smtp.refuse_letter = "", said
    result = mail(ledger, NOW + timedelta(hours=1))
    assert result.failed == 1
    assert "shop.example" not in result.errors[0]


def test_a_missing_connection_is_said_and_waits(
    ledger: Ledger, release: ReleaseRecord, happens: Happens, monkeypatch: pytest.MonkeyPatch
) -> None:
    red_suite(release, happens)
    route = Line("email", "")

    def send(letter: Letter) -> str:
        return send_mail(letter._replace(connection="nowhere"))

    result = carry(ledger, route, send, NOW)
    assert (result.failed, result.pending) == (1, 1)
    assert "nowhere" in result.errors[0]
    (backlog,) = ledger.outbox.backlog()
    assert "nowhere" in (backlog.error or "")


class Notebook(BaseNotifier):
    """An Airflow notifier like those of the providers."""

    template_fields = ("text", "where")
    pages: list[tuple[str, str]] = []  # noqa: RUF012 - what was written, for the test

    def __init__(self, text: str, where: str = "", broken: bool = False) -> None:
        super().__init__()
        self.text, self.where, self.broken = text, where, broken

    def notify(self, context: Any) -> None:
        if self.broken:
            raise OSError("no ink")
        self.pages.append((self.where, self.text))


def configured(**arguments: Any) -> dict[str, Any]:
    return {"pager": {"class": f"{__name__}.Notebook", "arguments": arguments}}


LETTER = Letter(
    key="k", release="checkout-1.1.0-1", event="gate.bypassed", severity="critical", environment="production",
    address="team-a", connection="", subject="{{ 7 * 7 }}", text="x", html="x", url="",
)  # fmt: skip


def test_any_notifier_of_airflow_gets_the_letter_as_data(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules[Notebook.__module__])
    Notebook.pages.clear()
    arguments = {"text": "{{ relman.severity }}: {{ relman.subject }}", "where": "{{ relman.address }}"}
    assert send_through("pager", configured(**arguments), LETTER) == "k"
    assert Notebook.pages == [("team-a", "critical: {{ 7 * 7 }}")]


def test_a_notifier_of_a_provider_works_as_it_is(smtp: Server) -> None:
    arguments = {
        "to": "{{ relman.address }}",
        "subject": "{{ relman.subject }}",
        "html_content": "{{ relman.html }}",
    }
    setting = {
        "mail": {"class": "airflow.providers.smtp.notifications.smtp.SmtpNotifier", "arguments": arguments}
    }
    send_through("mail", setting, LETTER._replace(address="team@shop.example", html="<p>{{ 7 * 7 }}</p>"))
    (sent,) = smtp.letters
    assert (sent["To"], sent["Subject"]) == ("team@shop.example", "{{ 7 * 7 }}")
    assert "{{ 7 * 7 }}" in sent.get_payload()[0].get_payload(decode=True).decode()  # type: ignore[union-attr, index]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({}, 'no notifier "pager" in [relman] notifiers, which has: none'),
        ({"pager": {"class": "nowhere.at.All"}}, "ModuleNotFoundError"),
        ({"pager": {"class": "json.JSONDecoder"}}, "not an Airflow notifier"),
        (configured(text="x", broken=True), "OSError; the log of relman_maintenance says more"),
        (configured(wrong="x"), "TypeError"),
    ],
)
def test_a_notifier_that_does_not_work_says_why_and_stays_pending(setting: Any, said: str) -> None:
    with pytest.raises(ClientUnavailable, match=re.escape(said)) as failed:
        send_through("pager", setting, LETTER)
    # Its own words may hold an address with a token, and this is shown to everybody.
    assert "no ink" not in str(failed.value)


def test_what_airflow_knows_as_a_secret_is_not_kept_with_an_error(
    ledger: Ledger, release: ReleaseRecord, happens: Happens
) -> None:
    from airflow.sdk._shared.secrets_masker import mask_secret

    def send(letter: Letter) -> str:
        raise ClientUnavailable("no answer from https://hooks.example/T0/very-secret-token")

    mask_secret("very-secret-token")
    red_suite(release, happens)
    result = carry(ledger, MAIL, send, NOW)
    (waits,) = ledger.outbox.backlog()
    assert result.errors == (waits.error,) == ("no answer from https://hooks.example/T0/***",)


PARTS = st.lists(
    st.sampled_from(
        ["<script>", "&", '"', "*b*", "`", "<!channel>", "<http://x|y>", "\n", "word ", "é", "\u202e"]
    ),
    max_size=60,
)


@given(PARTS)
def test_nobodys_text_becomes_markup_of_a_letter(parts: list[str]) -> None:
    text = "".join(parts)
    known = About(
        "https://a.example", "d", "r", call=(Person(id="x", airflow="x", name=text, slack="U01XX"),)
    )
    event = Event(
        id=1, release_id="r-1-1", kind=Kind.STEP_FAILED, key="k", at=NOW, step=text or "s",
        environment=None, actor=Actor(), data={"message": text},
    )  # fmt: skip
    record = ReleaseRecord.model_construct(pipeline="checkout", version="1.1.0", release_id="r-1-1")
    letter = letter_of(record, event, known, "a@x.example")
    assert letter is not None
    assert "\n" not in letter.subject
    tags = set(re.findall(r"</?(\w+)", letter.html))
    assert tags <= {"p", "br", "b", "code", "blockquote", "a"}
    assert set(re.findall(r'href="([^"]*)"', letter.html)) == {"https://a.example/dags/d/runs/r"}
    assert "<!" not in letter.html


def test_marks_in_an_address_or_in_code_are_none() -> None:
    ticket = "https://tracker.example/*CHG*/1"
    event = Event(
        id=1, release_id="r-*1*-1", kind=Kind.RELEASE_OPENED, key="k", at=NOW, step=None,
        environment=None, actor=Actor(), data={"ticket": ticket, "emergency": True},
    )  # fmt: skip
    record = ReleaseRecord.model_construct(pipeline="checkout", version="1.1.0", release_id="r-1-1")
    letter = letter_of(record, event, About(), "a@x.example")
    assert letter is not None
    assert f'<a href="{ticket}">' in letter.html
    assert "<code>r-*1*-1</code>" in letter.html
    assert "<b>emergency</b>" in letter.html
