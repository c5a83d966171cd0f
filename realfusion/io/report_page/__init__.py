"""The parts of `report.html`: template, style sheet and scripts."""
