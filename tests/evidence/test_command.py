"""``relman evidence verify`` as an auditor meets it: offline, with files from anywhere."""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from relman_plugins.evidence.dsse import sealed
from relman_plugins.evidence.statement import PAYLOAD_TYPE, payload_of
from tests.cli.command import relman
from tests.evidence.conftest import Book
from tests.evidence.make import Story, changed_minds, fixed_key, pem

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = "<script>alert(1)</script> [x](https://evil.example) \u202eevil \x1b[31m | `c`\n# no heading"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Have a file of evidence and the key, the same each time: clock, ids and key are fixed."""
    folder = tmp_path_factory.mktemp("auditor")
    book = Book(f"sqlite:///{folder / 'ledger.db'}", fixed_key())
    story = changed_minds(book.ledger, book.clock)
    book.ledger.checkpoint(book.key)
    (folder / "good.json").write_bytes(book.file(book.statement(story)))
    (folder / "relman.pub").write_text(pem(book.key))
    (folder / "other.pub").write_text(pem(Book(f"sqlite:///{folder / 'other.db'}").key))
    why = {"emergency": True, "emergency_reason": HOSTILE}
    glass = Story(book.ledger, book.clock, "hostile", "a.dana", **why).build().skip()
    statement = book.statement(glass)
    statement["predicate"]["exported"]["at"] = "2026-04-01T00:00:00.000000Z"
    (folder / "hostile.json").write_bytes(book.file(statement))
    book.ledger.close()
    return folder


def check(folder: Path, *args: object) -> Any:
    return relman("evidence", "verify", *args, COLUMNS="100")


@pytest.mark.parametrize("name", ["report.md", "said.txt"])
def test_the_answer_and_the_report_are_these(folder: Path, name: str) -> None:
    done = check(
        folder, folder / "good.json", "--key", folder / "relman.pub", "--report", folder / "report.md"
    )
    assert done.returncode == 0, done.stdout
    report = (folder / "report.md").read_text().partition("## Evidence")[2]
    # Digests are others with each field that a plan gains.
    found = re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", done.stdout if name == "said.txt" else report)
    if os.environ.get("RELMAN_GOLDEN") == "write":
        (GOLDEN / name).write_text(found)
    assert found == (GOLDEN / name).read_text()


def test_a_program_reads_the_same(folder: Path) -> None:
    done = check(folder, folder / "good.json", "--key", folder / "relman.pub", "--format", "json")
    said = json.loads(done.stdout)
    assert (said["release_id"], said["good"]) == ("checkout-1.2.0-1", True)
    assert {c["check"]: c["state"] for c in said["checks"]}["signature"] == "ok"
    assert said["proves"]
    assert said["proves_not"]


def changed(folder: Path, name: str, change: Any) -> Path:
    envelope = json.loads((folder / "good.json").read_text())
    path = folder / name
    path.write_text(change(envelope))
    return path


CASES: list[tuple[str, Any, int, str]] = [
    ("cut", lambda e: json.dumps(e)[:-40], 1, "it can't be read: the file is not one JSON value"),
    ("empty", lambda e: "", 1, "it can't be read: the file is not one JSON value"),
    ("twice", lambda e: '{"payload": "", "payload": ""}', 1, "'payload' is there twice in one object"),
    ("unsigned", lambda e: json.dumps(e | {"signatures": []}), 1, "the file is not signed"),
    ("deep", lambda e: "[" * 100_000, 1, "nested deeper than 64 levels"),
    ("many", lambda e: "[" + "[],[]," * 3_000_000 + "[]]", 1, "more than 5 million values"),
    ("type", lambda e: json.dumps(e | {"payloadType": "text/plain"}), 1, "payloadType is 'text/plain'"),
]


@pytest.mark.parametrize(("name", "change", "code", "said"), CASES, ids=[c[0] for c in CASES])
def test_what_is_no_evidence_is_said_in_words(
    folder: Path, name: str, change: Any, code: int, said: str
) -> None:
    done = check(folder, changed(folder, f"{name}.json", change), "--key", folder / "relman.pub")
    assert (done.returncode, said in done.stdout) == (code, True), done.stdout[:2000]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["good.json"], "say whose key with --key FILE"),
        (["good.json", "--key", "relman.pub", "--no-key"], "say whose key with --key FILE"),
        (["none.json", "--no-key"], "can't be read: No such file"),
        (["good.json", "--key", "none.pub"], "can't be read: No such file"),
        (["good.json", "--key", "good.json"], "it is no public key in PEM"),
        (["good.json", "--no-key", "--report", "report.pdf"], "expected a name that ends in .md or .html"),
        ([".", "--no-key"], "can't be read: Is a directory"),
    ],
)
def test_a_command_that_can_not_be_done_is_said(folder: Path, args: list[str], said: str) -> None:
    done = check(folder, *(a if a.startswith("--") else folder / a for a in args))
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_another_key_is_a_finding_and_says_whose_it_names(folder: Path) -> None:
    done = check(folder, folder / "good.json", "--key", folder / "other.pub")
    assert done.returncode == 1
    assert re.search(r"fail +signature +none with the key sha256:\w+ that fits .*names sha256:", done.stdout)
    assert "Who made the file: anybody can write one that fits together." in done.stdout
    both = check(folder, folder / "good.json", "--key", folder / "other.pub", "--key", folder / "relman.pub")
    assert both.returncode == 0


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.add(tag)


def test_what_people_wrote_steers_no_terminal_and_no_page(folder: Path) -> None:
    reports = [folder / "hostile.md", folder / "hostile.html"]
    asked = ["--report", reports[0], "--report", reports[1]]
    done = check(folder, folder / "hostile.json", "--key", folder / "relman.pub", *asked)
    assert done.returncode == 0, done.stdout
    for text in (done.stdout, *(r.read_text() for r in reports)):
        assert "alert" in text
        assert not {"\x1b", "\u202e"} & set(text)
    for page in (reports[1].read_text(), MarkdownIt().render(reports[0].read_text())):
        tags = _Tags()
        tags.feed(page)
        assert not {"script", "a", "img"} & tags.found
    assert "\n# no heading" not in done.stdout


def test_a_file_whose_reading_takes_long_is_bounded(folder: Path) -> None:
    """As many changes as fit into a file are not all asked about again."""
    book = Book(f"sqlite:///{folder / 'long.db'}", fixed_key())
    statement = book.statement(changed_minds(book.ledger, book.clock))
    events = statement["predicate"]["events"]
    change = next(e for e in events if e["kind"] == "change.started")
    for n in range(20_000):
        events.append({**change, "id": 1000 + n, "key": f"k{n}:change.started"})
    (folder / "long.json").write_text(json.dumps(sealed(PAYLOAD_TYPE, payload_of(statement), book.key)))
    done = check(folder, folder / "long.json", "--no-key")
    assert done.returncode == 1
    assert "more than 2000 changes" in done.stdout
