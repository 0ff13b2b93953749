"""Room `triggers`."""
