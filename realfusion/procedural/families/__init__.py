"""Families of procedural objects: one function each, listed in the catalogue."""
