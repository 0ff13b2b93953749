"""Questions to any JSON over HTTP: a path, and a JSONPath that leads to a number in the answer."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

_VALUE = re.compile(r"\$(?:\{[a-z_]+\}|[a-z_]+)")


class JsonQuery(NamedTuple):
    """What is asked, and where in the answer the number stands. Values are not filled in yet."""

    path: str
    pointer: str
    """JSONPath of RFC 9535."""


def read(query: str) -> JsonQuery:
    """Read ``/path?with=parameters $.json.path``.

    Raises:
        ValueError: It is none; the message says why.
    """
    path, _, pointer = query.strip().partition(" ")
    pointer = pointer.strip()
    if not path.startswith("/") or path.startswith("//") or "\\" in path or "#" in path:
        raise ValueError(
            "it must begin with a path on the connection's server, such as /stats?version=$version"
        )
    if ".." in re.split(r"[/?]", path):
        raise ValueError("its path leads upwards")
    if not pointer:
        raise ValueError("after the path, and a space, stands a JSONPath such as $.errors.rate")
    # A value stands in quotes there, so any text will do to see whether it is a JSONPath.
    compiled(_VALUE.sub("x", pointer))
    return JsonQuery(path, pointer)


@lru_cache(maxsize=256)
def compiled(pointer: str) -> Any:
    """Return a JSONPath that can be followed, with ``find`` of python-jsonpath.

    Raises:
        ValueError: It is none of RFC 9535.
    """
    from jsonpath import JSONPathEnvironment, JSONPathError

    environment = JSONPathEnvironment(strict=True)
    for name in ("match", "search"):
        # Regular expressions on what a server sends may take for ever.
        environment.function_extensions.pop(name, None)
    try:
        return environment.compile(pointer)
    except (JSONPathError, RecursionError) as error:
        raise ValueError(f"{pointer!r} is no JSONPath: {str(error).splitlines()[0][:160]}") from error
