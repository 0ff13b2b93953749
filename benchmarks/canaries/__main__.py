"""Measure, print and write: ``python -m benchmarks.canaries [--runs N] [--to FOLDER]``."""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np

from benchmarks.canaries.measure import all_measured, cells, speed
from benchmarks.canaries.page import page
from benchmarks.canaries.plots import draw

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> None:
    """Write the page and the plots, and print the page's beginning."""
    parser = argparse.ArgumentParser(prog="benchmarks.canaries", description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="canaries in each cell")
    parser.add_argument("--to", type=Path, default=DOCS, help="folder for explanation/ and images/")
    options = parser.parse_args()
    began = time.monotonic()
    machine = f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} cores"
    took = speed()
    measured = []
    for number, one in enumerate(all_measured(options.runs), start=1):
        measured.append(one)
        print(f"\r{number} of {len(cells())} cells, {time.monotonic() - began:.0f} s", end="", flush=True)
    text = page(measured, options.runs, took, machine)
    target = options.to / "explanation" / "judging-proof.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    drawn = draw(measured, options.to / "images")
    print(f"\n\n{text.split('## When nothing', maxsplit=1)[0]}")
    print("written:", ", ".join(map(str, [target, *drawn])))
    if not drawn:
        print('plots need matplotlib: pip install -c constraints.txt ".[bench]"')


if __name__ == "__main__":
    main()
