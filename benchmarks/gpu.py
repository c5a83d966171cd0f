"""Proves the CUDA kernels on a machine with a GPU, and measures them.

    python benchmarks/gpu.py                        # all, under nine minutes
    python benchmarks/gpu.py --quick                # two minutes
    python benchmarks/gpu.py --peer torch-ngp=PATH  # beside other implementations
    python benchmarks/gpu.py --dry-run              # the same plumbing on a CPU

From a bare checkout, offline: it builds the extension in place first. It needs torch
with CUDA, nvcc and ninja; benchmarks/README.md says what else each section wants.
"""

import sys
from pathlib import Path

# A script's own folder leads the path, which would make its `ops` a top-level package.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.gpu_suite.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
