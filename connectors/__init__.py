"""How it comes in and goes out, with no meaning of its own."""
