"""Small things that results depend on: device, seeds, fixed blocks, shards, weight files."""
