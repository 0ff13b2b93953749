"""The tables of the reference that are made from the code, and the pages that they stand in.

A table stands between ``<!-- generated NAME -->`` and ``<!-- end -->``; what is around it is written by hand.
``scripts/reference`` writes the tables anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from relman_plugins.cli.connect import _OPTIONS as CONNECTION
from relman_plugins.cli.main import app
from relman_plugins.provider_info import get_provider_info
from relman_plugins.spec.codes import CODES
from tests.repo import tree

_REFERENCE = tree.ROOT / "docs" / "reference"


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command of the program, with the name of its group before it, and what there is of it."""

    def walk(found: Any, *group: str) -> Iterator[tuple[str, Any]]:
        inner = getattr(found, "commands", None)
        if inner is None:
            yield " ".join(group), found
        for name, command in (inner or {}).items():
            yield from walk(command, *group, name)

    return walk(typer.main.get_command(app))


def pages() -> dict[Path, str]:
    """Return the pages with tables of the code in them, as they should be."""
    wanted = {
        "cli": {"commands": _commands()},
        "diagnostics": {"codes": _table(("code", "what was found"), CODES.items())},
        "settings": {"settings": _settings()},
    }
    return {_REFERENCE / f"{name}.md": _filled(name, tables) for name, tables in wanted.items()}


def _filled(name: str, tables: dict[str, str]) -> str:
    text = (_REFERENCE / f"{name}.md").read_text()
    for mark, table in tables.items():
        begin = f"<!-- generated {mark} -->\n"
        head, found, rest = text.partition(begin)
        assert found, f"docs/reference/{name}.md has no {begin.strip()}"
        _, found, rest = rest.partition("<!-- end -->\n")
        assert found, f"docs/reference/{name}.md: no <!-- end --> after {begin.strip()}"
        text = f"{head}{begin}\n{table}\n<!-- end -->\n{rest}"
    return text


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = ((cell.replace("|", "\\|").replace("<", "&lt;") for cell in line) for line in (titles, *rows))
    first, *others = (f"| {' | '.join(line)} |\n" for line in cells)
    return "".join([first, f"|{'---|' * len(titles)}\n", *others])


def _settings() -> str:
    options = get_provider_info()["config"]["relman"]["options"].items()
    rows = ((f"`{name}`", o["description"], _code(o["default"]), _code(o["example"])) for name, o in options)
    return _table(("setting", "meaning", "default", "for example"), rows)


def _commands() -> str:
    rows: list[tuple[str, ...]] = []
    for name, command in commands():
        told = [p for p in command.params if p.name not in ("help", "ctx", *CONNECTION)]
        arguments = [p for p in told if p.param_type_name == "argument"]
        typed = " ".join([f"relman {name.removesuffix(' file')}", *map(_argument, arguments)])
        first = re.sub(r"\s+", " ", (command.help or "").partition("\n\n")[0])
        rows.append((f"**`{typed}`**", first, ""))
        rows += [_option(p) for p in told if p.param_type_name == "option"]
    asking = next(command for _, command in commands() if any(p.name == "url" for p in command.params))
    rows.append(("every command that asks a server", "", ""))
    rows += [_option(p) for p in asking.params if p.name in CONNECTION]
    return _table(("command and option", "what it does", "default"), rows)


def _argument(found: Any) -> str:
    name = str(found.name).upper()
    name = f"{name}…" if found.nargs == -1 else name
    return name if found.required else f"[{name}]"


def _option(found: Any) -> tuple[str, ...]:
    choices = type(found.default) if isinstance(found.default, Enum) else ()
    names = ", ".join([*found.opts, *found.secondary_opts])
    value = "" if found.is_flag else " " + ("|".join(map(_word, choices)) if choices else _value(found))
    variable = f" (`{found.envvar}`)" if found.envvar else ""
    default = "required" if found.required else _code(_word(found.default))
    if found.is_flag:
        default = ""
    return f"`{names}{value}`", f"{found.help or ''}{variable}", default


def _value(found: Any) -> str:
    return str(found.metavar or found.opts[0][2:].upper())


def _word(value: Any) -> str:
    if value is None or value == [] or callable(value):
        return ""
    return str(value.value if isinstance(value, Enum) else value)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
