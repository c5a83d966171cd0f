"""What compute-sanitizer watches: every parity case once, on the device alone."""

from __future__ import annotations

import sys

import torch

from benchmarks.gpu_suite.parity_cases import make_cases
from benchmarks.gpu_suite.parity_operators import NATIVE


def call_all(device: torch.device) -> int:
    """Call every case; how many there were."""
    cases = make_cases()
    for case in cases:
        case.run(NATIVE, device)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return len(cases)


if __name__ == "__main__":
    number = call_all(torch.device(sys.argv[1] if len(sys.argv) > 1 else "cuda"))
    print(f"sanitized: done, {number} cases", flush=True)
