"""Measuring a reconstruction: against its photo, or against known geometry."""
