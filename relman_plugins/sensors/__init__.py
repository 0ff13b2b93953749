"""Room 6: steps that wait for something outside: people, and time."""
