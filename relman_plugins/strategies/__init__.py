"""Room `strategies`."""
