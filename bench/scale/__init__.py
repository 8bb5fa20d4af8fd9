"""What pie costs clusters of several sizes, with both runners; `make bench` writes docs/benchmarks.md."""
