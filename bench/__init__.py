"""Benchmarks: `make bench`, `make bench-large`. What each measures, and the figures: docs/performance.md."""
