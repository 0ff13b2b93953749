"""Systems that keep change tickets, one file each."""
