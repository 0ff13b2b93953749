"""Room 6: rendered arguments → hook → domain call → ledger event. One step kind, one file."""
