"""Timings of the operators and of a training step; see README.md."""
