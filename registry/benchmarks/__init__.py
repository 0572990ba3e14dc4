"""The benchmarks, one file each; a new one is a new file (see registry/benchmark.py for what it offers)."""
