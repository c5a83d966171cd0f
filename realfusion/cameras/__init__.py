"""Orbit cameras, their rays, their samplers and the words for where they stand."""
