"""Room 3: the drivers that make an environment real. Each has two verbs, `observe` and `converge`."""
