"""What the figures depend on: the machine, the versions and the commit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path


def describe_machine(device: str, threads: int | None) -> list[str]:
    """What the figures depend on, a line each."""
    import torch

    from realfusion import _extension

    info = _extension.load().build_info()
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = re.findall(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.MULTILINE)
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [
        f"- CPU: {model}, {os.cpu_count()} cores, SIMD {info['simd_level']}, "
        f"{memory:.0f} GiB, {threads or torch.get_num_threads()} threads, load average "
        f"{os.getloadavg()[0]:.1f} at the start",
        f"- Python {platform.python_version()}, torch {torch.__version__}, kernels by "
        f"{info['compiler']}",
    ]
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        lines.append(
            f"- GPU: {properties.name}, CUDA {info['cuda_toolkit']}, kernels for "
            f"{info['cuda_architectures']}"
        )
    return lines


def describe_commit() -> str:
    """The commit, and whether files differ from it; `unknown` without git."""
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return "unknown"
    return result.stdout.strip() or "unknown"
