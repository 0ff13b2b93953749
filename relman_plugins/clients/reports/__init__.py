"""Readers of reports that tools leave behind, one format per file.

A report comes from the code under test or from a tool that a team chose: it is hostile input. Every reader
refuses what is missing, empty, older than the run, cut off, too large, too deep or not what it claims to be,
with a reason; nothing that could not be read to its end is ever green.

``source`` reads files, ``junit`` and ``merge`` tests, ``coverage`` (from ``cobertura`` or ``lcov``),
``findings`` (from ``sarif``) and ``load`` (from ``k6`` or ``locust``) the rest. Libraries that only some
formats need come with the extra ``reports``.
"""
