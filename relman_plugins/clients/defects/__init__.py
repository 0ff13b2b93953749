"""Systems that keep defects, one file each."""
