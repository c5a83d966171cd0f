"""Operators with native CPU and CUDA kernels. They know tensors, not scenes.

Importing this package loads the extension. Each operator has a slow pure-torch twin of
the same name in ``realfusion.ops.reference``.
"""

from realfusion._extension import load as _load

_load()

# After the load: the modules register fakes and gradients of the loaded operators.
from realfusion.ops.hash_grid import HashGridLayout, hash_grid_encode  # noqa: E402

__all__ = ["HashGridLayout", "hash_grid_encode"]
