"""Evaluation by the core: the exported network, its data, and the check against PyTorch."""
