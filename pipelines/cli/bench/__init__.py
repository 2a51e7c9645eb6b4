"""``friction bench``: how fast, how quick, and what it costs; docs/bench.md says how each figure is taken."""
