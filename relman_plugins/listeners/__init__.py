"""Room `listeners`."""
