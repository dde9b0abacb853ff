"""What maintainers run: benchmarks, and the pages written by `make docs`."""
