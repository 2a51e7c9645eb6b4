"""What it means: pure functions over columns, and the worker that runs them."""
