"""Training objectives, one file each, written in the network's own output space F."""
