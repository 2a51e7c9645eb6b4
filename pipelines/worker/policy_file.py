"""The policy from its file: what the settings name, or one that comes with us."""

from importlib.resources import files
from pathlib import Path

from pipelines.policy.policy import Policy, parse_policy
from schemas.errors import PolicyError

SHIPPED = ("default", "three")
"""Names of the policies that come with us: they may stand where a path does, if no file has that name."""


def load_policy(path: Path | None) -> Policy:
    """Return the policy of a file or of a name, or the default one.

    Raises:
        PolicyError: it cannot be read, or cannot mean what it says.
    """
    name = SHIPPED[0] if path is None else str(path)
    if name in SHIPPED and (path is None or not path.exists()):
        text = files("schemas").joinpath("policy", f"{name}.yaml").read_text("utf-8")
        return _parsed(text, f"{name}.yaml")
    path = Path(name)
    try:
        return _parsed(path.read_text("utf-8"), str(path))
    except OSError as error:
        raise PolicyError(f"the policy {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"the policy {path} is not UTF-8: {error}") from error


def _parsed(text: str, name: str) -> Policy:
    """The policy, whose rules fit: who asks for what is compiled of it need not expect that they do not."""
    policy = parse_policy(text, name)
    try:
        _ = policy.compiled
    except ValueError as error:
        raise PolicyError(f"{name}: {error}") from error
    return policy
