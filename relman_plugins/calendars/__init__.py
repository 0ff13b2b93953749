"""Room `calendars`."""
