"""Networks, one file each: F = net(x, level, labels, augment), or its bottleneck too (`want`)."""
