"""Room `clients`."""
