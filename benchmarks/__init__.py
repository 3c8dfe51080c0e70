"""Benchmarks of cryptodash beside its peers: ``python -m benchmarks --help``."""
