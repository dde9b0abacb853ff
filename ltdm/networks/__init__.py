"""Networks, one file each: F = net(x, level, labels, augment), or what lies within it."""
