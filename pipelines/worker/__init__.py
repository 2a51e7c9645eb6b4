"""The Faust app: agents, checkpoint, settings and metrics."""
