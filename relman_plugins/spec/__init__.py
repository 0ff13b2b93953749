"""Room `spec`."""
