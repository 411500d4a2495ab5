"""Invariance: a measure computed again on copies of the model that compute the same function."""

CHECK_COPIES = 6


def check_invariance(measure, definition, context, make_context):
    raise NotImplementedError
