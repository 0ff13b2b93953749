"""Room ``judge``: numbers in, one of five verdicts and a reason out. Pure; no I/O and no clock."""
