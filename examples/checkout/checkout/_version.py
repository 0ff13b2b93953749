"""Replaced by build.py."""

VERSION = "0.0.0+source"
