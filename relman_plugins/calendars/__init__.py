"""Calendars: when changes are allowed, and why."""
