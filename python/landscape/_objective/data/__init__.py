"""The samples that L is a mean over: reading them, and iterating over them in batches."""
