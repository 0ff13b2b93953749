"""Room `notifications`."""
