"""From what the kernels note to alerts, in words, and what teams and customers do to them."""
