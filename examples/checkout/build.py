"""Builds one version of the checkout service: relman's `artifact.build` command.

Reads RELMAN_VERSION, RELMAN_SOURCE (default: the folder of this file) and RELMAN_OUTPUT (a directory to
fill). The source is what all versions share; `versions/<version>/` holds the files that one version adds or
replaces. The version is baked into the package: a replica reports what it was built as, not what it is told.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

SHARED = ("checkout", "tests", "pytest.ini", "relman.json")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".pytest_cache", "reports")


def build(version: str, source: Path, output: Path) -> None:
    """Fill ``output`` with one version; raise SystemExit with a sentence if there is no such version."""
    overlay = source / "versions" / version
    known = sorted(p.name for p in (source / "versions").iterdir() if p.is_dir())
    if version not in known:
        raise SystemExit(
            f'checkout has no version "{version}"; expected one of {", ".join(known)}. '
            f"Add a folder versions/{version or '<version>'} with the files that it changes"
        )
    output.mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        if (source / name).is_dir():
            shutil.copytree(source / name, output / name, ignore=LEFT_OUT, dirs_exist_ok=True)
        else:
            shutil.copyfile(source / name, output / name)
    shutil.copytree(overlay, output, ignore=LEFT_OUT, dirs_exist_ok=True)
    (output / "checkout" / "_version.py").write_text(
        f'"""Written by build.py."""\n\nVERSION = "{version}"\n', encoding="utf-8"
    )


def main() -> None:
    """Build from the environment."""
    output = os.environ.get("RELMAN_OUTPUT")
    if not output:
        raise SystemExit("RELMAN_OUTPUT is not set: say which directory to fill")
    version = os.environ.get("RELMAN_VERSION", "")
    source = Path(os.environ.get("RELMAN_SOURCE") or Path(__file__).parent)
    build(version, source.resolve(), Path(output))
    print(f"built checkout {version} into {output}")


if __name__ == "__main__":
    sys.exit(main())
