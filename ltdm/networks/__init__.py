"""Networks, one file each: F = net(x, level, labels, augment); `want` and `taps` ask for more, or less."""
