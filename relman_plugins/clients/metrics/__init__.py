"""Where numbers come from: one file for each kind of source, found by ``registry``."""
