"""Procedural objects: random textured meshes with names, rendered from any side.

The embedded prior is trained on these. Needs numpy alone, and imports nothing else of
the package: :mod:`objects` makes objects, :mod:`render` draws them, :mod:`views`
does both at random.
"""
