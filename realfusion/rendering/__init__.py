"""From a field and rays to images: occupancy, marching, compositing, shading."""
