"""Room 8: the ``relman`` command. It imports what a subcommand needs when that subcommand runs."""
