"""What interactions, and time, do to what is open of a customer: the kernels, and the tables that they read."""
