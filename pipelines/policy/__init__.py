"""What interactions mean: read from YAML, checked, and compiled to tables for the kernels."""
