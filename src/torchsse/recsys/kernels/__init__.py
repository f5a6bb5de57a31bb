"""Compiled loops. Each kernel has one signature, is compiled on first use and cached on disk (`cache`)."""
