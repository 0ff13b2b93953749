"""Processes as the operating system sees them."""

from __future__ import annotations

from pathlib import Path

import psutil


def of(home: Path) -> list[str]:
    """Return every living process whose command line or environment names a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == psutil.Process().pid:
                continue
            words = [*process.cmdline(), *process.environ().values()]
        except (psutil.Error, OSError):
            continue
        if any(str(home) in word for word in words):
            found.append(f"{process.pid} {' '.join(words)[:160]}")
    return found


def gone(pids: list[int], timeout_s: float = 20) -> bool:
    """Wait until none of the processes lives, and say whether that came to pass."""
    processes = []
    for pid in pids:
        try:
            processes.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    return all(p.status() == psutil.STATUS_ZOMBIE for p in alive if p.is_running())
