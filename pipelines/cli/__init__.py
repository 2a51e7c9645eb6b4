"""The command line: friction."""
