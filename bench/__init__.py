"""Benchmarks: `make bench`, `make bench-large`. docs/performance.md says what each measures, and has the figures."""
