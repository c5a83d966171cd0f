"""A run in the browser; viser holds the page."""
