"""Evaluation by PyTorch: losses, gradients and curvature products of the user's own module."""
