"""Arrays to files and back: images, mattes, meshes, videos and reports."""
