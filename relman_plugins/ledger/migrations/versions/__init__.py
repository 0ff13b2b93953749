"""One file per schema version, named by it. Never edited once released."""
