"""Room `factory`."""
