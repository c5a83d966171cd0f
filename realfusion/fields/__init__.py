"""Functions of position and direction: the radiance field and the background."""
