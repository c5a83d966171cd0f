"""Diffusion priors: what a view of the object should look like.

A prior sees images and prompts only; it never meets the field.
"""
