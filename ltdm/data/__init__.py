"""Data sources, one file each, and the long-tailed subset."""
