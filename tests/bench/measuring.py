"""Runs ``friction bench`` and gives its figures."""

import json
import subprocess
import sys
from typing import Any


def measured(*arguments: str) -> dict[str, Any]:
    """Figures of one command; what it says meanwhile goes to the terminal, and so do the figures."""
    command = [sys.executable, "-m", "pipelines.cli.main", "bench", *arguments, "--json"]
    run = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    assert run.returncode == 0, f"friction bench {' '.join(arguments)} ended with code {run.returncode}"
    sys.stdout.write(run.stdout)
    figures: dict[str, Any] = json.loads(run.stdout)
    return figures
