"""Room `platforms`."""
