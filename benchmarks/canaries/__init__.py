"""Simulated canaries: who cries wolf, who notices, and how many requests go wrong until then.

``python -m benchmarks.canaries`` writes the tables and plots of ``docs/explanation/judging-proof.md``.
"""
