"""What a YAML editor shows in a spec: the real language server, asked as editors ask it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "release_specs"
SERVER = "yaml-language-server"


class Editor:
    """Talks to the language server over its standard input and output."""

    def __init__(self, command: str) -> None:
        self.process = subprocess.Popen([command, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.number = 0
        self.findings: dict[str, list[str]] = {}
        can = {
            "textDocument": {
                "completion": {"completionItem": {"documentationFormat": ["markdown"]}},
                "hover": {"contentFormat": ["markdown"]},
            },
            "workspace": {"configuration": True},
        }
        self.ask("initialize", {"processId": None, "rootUri": ROOT.as_uri(), "capabilities": can})
        self.send({"method": "initialized", "params": {}})

    def open(self, name: str, text: str) -> str:
        """Open a file that need not be there, beside the specs; return its address."""
        uri = (SPECS / name).as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return uri

    def at(self, method: str, uri: str, line: int, character: int) -> Any:
        """Ask about a place; both numbers count from 0."""
        position = {"line": line, "character": character}
        return self.ask(f"textDocument/{method}", {"textDocument": {"uri": uri}, "position": position})

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        self.number += 1
        number = self.number
        self.send({"id": number, "method": method, "params": params})
        while "method" in (said := self.receive()) or said.get("id") != number:
            self.heard(said)
        assert "error" not in said, said
        return said["result"]

    def until_found(self, uri: str) -> list[str]:
        """Wait for the findings in a file."""
        while uri not in self.findings:
            self.heard(self.receive())
        return self.findings[uri]

    def heard(self, said: dict[str, Any]) -> None:
        if said.get("method") == "textDocument/publishDiagnostics":
            found = [d["message"] for d in said["params"]["diagnostics"]]
            self.findings[said["params"]["uri"]] = found
        elif "method" in said and "id" in said:  # the server asks for settings: there are none
            self.send({"id": said["id"], "result": [{} for _ in said["params"].get("items", [])]})

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while line := self.process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        assert length, "the language server ended"
        return dict(json.loads(self.process.stdout.read(length)))

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def editor() -> Iterator[Editor]:
    command = shutil.which(SERVER) or shutil.which(SERVER, path=str(ROOT / "node_modules" / ".bin"))
    if command is None:
        missing(SERVER, f"npm install --global {SERVER}")
    found = Editor(str(command))
    yield found
    found.close()


@pytest.mark.real
def test_it_completes_keys_with_what_they_mean(editor: Editor) -> None:
    text = (SPECS / "hello.yaml").read_text() + "    mon\n"
    uri = editor.open("completed.yaml", text)
    offered = editor.at("completion", uri, text.count("\n") - 1, 7)["items"]
    said = {item["label"]: str(item.get("documentation")) for item in offered}
    assert {"gates", "monitor", "soak", "strategy", "suites"} <= set(said)
    assert "environment" not in said  # it is there already
    assert said["monitor"].startswith("Watching after all traffic has moved")


@pytest.mark.real
def test_it_explains_keys(editor: Editor) -> None:
    lines = (SPECS / "hello.yaml").read_text().splitlines()
    uri = editor.open("explained.yaml", "\n".join(lines) + "\n")
    for key, meaning in (("artifact:", "How a version becomes"), ("stages:", "What happens, in order")):
        line = next(n for n, text in enumerate(lines) if text.startswith(key))
        assert meaning in editor.at("hover", uri, line, 2)["contents"]["value"]


@pytest.mark.real
@pytest.mark.parametrize("name", ["checkout.yaml", "hello.yaml"])
def test_it_finds_nothing_wrong_with_the_examples(editor: Editor, name: str) -> None:
    uri = editor.open(name, (SPECS / name).read_text())
    assert editor.until_found(uri) == []


@pytest.mark.real
def test_it_marks_what_has_the_wrong_shape(editor: Editor) -> None:
    text = (SPECS / "hello.yaml").read_text() + "    soak: 30 minutes\n    monitr: {}\n"
    uri = editor.open("marked.yaml", text)
    found = "\n".join(editor.until_found(uri))
    assert "monitr" in found
    assert "pattern" in found
