"""Room `judge`."""
