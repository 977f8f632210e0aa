"""How fast, how light: the sync beside what people would use instead. ``python -m benchmarks``."""
