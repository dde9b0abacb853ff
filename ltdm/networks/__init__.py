"""Networks, one file each: F = net(x, level, labels, augment), or a part of such a network."""
