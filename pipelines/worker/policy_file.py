"""The policy from its file: what the settings name, or the default one that comes with us."""

from importlib.resources import files
from pathlib import Path

from pipelines.policy import Policy, parse_policy
from schemas.errors import PolicyError


def load_policy(path: Path | None) -> Policy:
    """Return the policy of a file, or the default one.

    Raises:
        PolicyError: it cannot be read, or cannot mean what it says.
    """
    if path is None:
        return parse_policy(files("schemas").joinpath("policy", "default.yaml").read_text("utf-8"), "default.yaml")
    try:
        return parse_policy(path.read_text("utf-8"), path.name)
    except OSError as error:
        raise PolicyError(f"the policy {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"the policy {path} is not UTF-8: {error}") from error
