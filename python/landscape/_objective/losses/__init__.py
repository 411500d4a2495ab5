"""Losses and metrics: what a batch contributes to each mean over samples."""
