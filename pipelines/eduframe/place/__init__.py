"""Where a dataset is, and what on this machine belongs to it alone: a lock, a working folder."""
