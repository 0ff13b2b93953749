"""Readers of reports that tools leave behind, one format per file."""
