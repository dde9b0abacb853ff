"""Data sources, one file each, and the long-tailed subset of their images."""
