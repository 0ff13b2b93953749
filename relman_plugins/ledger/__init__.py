"""Room 3: every event of every release, append-only, in its own database. Start at ``ledger.api``."""
