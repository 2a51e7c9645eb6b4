"""What fails, is spoken of or is not used any more for many at once."""
