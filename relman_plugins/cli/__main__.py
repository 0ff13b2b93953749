"""``python -m relman_plugins.cli`` is ``relman``."""

from __future__ import annotations

from relman_plugins.cli.main import main

main()
