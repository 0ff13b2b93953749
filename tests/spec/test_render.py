"""The three ways diagnostics are written."""

from __future__ import annotations

import json

from relman_plugins.spec.diagnostic import Diagnostic, arrange
from relman_plugins.spec.render import render_github, render_json, render_text

FOUND = Diagnostic(
    "RM102",
    "error",
    'unknown key "max_surgee" in stage "production"; expected one of "gates", "monitor", "strategy"',
    "release_specs/checkout.yaml",
    14,
    7,
    14,
    17,
    'stage "production"',
    'did you mean "max_surge"?',
)


def test_text_is_the_form_of_the_design() -> None:
    source = "\n" * 13 + "      max_surgee: 2\n"
    assert render_text([FOUND], {FOUND.path: source}) == (
        'release_specs/checkout.yaml:14:7: unknown key "max_surgee" in stage "production"; '
        'expected one of "gates", "monitor", "strategy" [RM102]\n'
        "   |\n"
        "14 |       max_surgee: 2\n"
        "   |       ^~~~~~~~~~\n"
        '   = hint: did you mean "max_surge"?\n'
    )


def test_without_the_source_only_the_sentence_is_shown() -> None:
    assert render_text([FOUND], {}).splitlines()[1:] == ['   = hint: did you mean "max_surge"?']


def test_json_has_every_field() -> None:
    (read,) = json.loads(render_json([FOUND]))
    assert Diagnostic(**read) == FOUND


def test_github_escapes_what_would_end_the_command() -> None:
    found = Diagnostic("RM001", "warning", "100%, done", "a,b:c.yaml", 1, 2, 1, 3)
    line = "::warning file=a%2Cb%3Ac.yaml,title=RM001,line=1,col=2,endLine=1,endColumn=3::100%25, done\n"
    assert render_github([found]) == line


def test_one_for_each_place_the_error_first_and_sorted() -> None:
    def at(line: int, code: str, severity: str = "error") -> Diagnostic:
        return Diagnostic(code, severity, "m", "p", line, 1)  # type: ignore[arg-type]

    found = arrange([at(3, "RM303", "warning"), at(3, "RM301"), at(3, "RM302"), at(1, "RM207", "warning")])
    assert [d.code for d in found] == ["RM207", "RM301"]
