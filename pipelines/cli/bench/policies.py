"""What the measured workers make of interactions: two of the policies that come with us."""

from importlib.resources import files
from pathlib import Path

_SHIPPED = Path(str(files("schemas").joinpath("policy")))
THREE = _SHIPPED / "three.yaml"
POLICIES = {"three": THREE, "full": _SHIPPED / "default.yaml"}
