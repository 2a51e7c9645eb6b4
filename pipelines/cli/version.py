"""``friction version``."""

import platform
from importlib.metadata import version as installed

DISTRIBUTION = "friction-signals"


def version() -> None:
    """Print the version, and that of Python.

    Example: `friction version`
    """
    print(f"{DISTRIBUTION} {installed(DISTRIBUTION)} (Python {platform.python_version()})")
