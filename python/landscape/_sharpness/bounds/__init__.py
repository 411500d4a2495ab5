"""Generalisation bounds and intervals as functions of numbers: no model, no data."""
