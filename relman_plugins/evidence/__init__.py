"""Evidence of one release: a file that holds the record, signed, and how to check it offline."""
