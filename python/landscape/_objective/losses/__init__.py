"""Losses and metrics: the terms of a batch in each mean over samples."""
