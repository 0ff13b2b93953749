"""What git would hand out: the files of the repository, committed or about to be."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def files() -> tuple[Path, ...]:
    """Return every file that is tracked, or new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    paths = (ROOT / name for name in listed.split("\0") if name)
    return tuple(sorted(path for path in paths if path.is_file()))


def texts(*suffixes: str) -> tuple[Path, ...]:
    """Return the text files with one of the suffixes; all text files without one."""
    return tuple(p for p in files() if (p.suffix in suffixes if suffixes else _is_text(p)))


def name(path: Path) -> str:
    """Return a path as a reader of the repository writes it."""
    return path.relative_to(ROOT).as_posix()


def _is_text(path: Path) -> bool:
    return b"\0" not in path.read_bytes()[:4096]


def copied_into_the_image() -> list[str]:
    """What the Dockerfile takes from this repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1] if not source.startswith("--")]
