"""The core as plain Python: what kernels say, without the compiler."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run every kernel of the core uncompiled, in whichever module it is called."""
    with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore"):
        for module in [m for name, m in sorted(sys.modules.items()) if name.startswith("pipelines.")]:
            for name, kernel in list(vars(module).items()):
                if name.endswith("_compiled"):
                    patch.setattr(module, name, getattr(kernel, "py_func", kernel))
        yield
