"""A train's departure: until when one is made up for."""

from __future__ import annotations

from datetime import timedelta

TOO_LATE = timedelta(hours=1)
"""A departure that comes later than this is none. Airflow makes up for one when a DAG is unpaused or the
scheduler was down, and nobody expects last week's release on a Monday morning."""
