"""Low-level code that results depend on: device, precision, seeds, blocks, shards, weight files."""
