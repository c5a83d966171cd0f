"""`realfusion doctor`: what is installed here, and what is missing."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from realfusion import __version__, _extension

if TYPE_CHECKING:
    import torch

State = Literal["ok", "optional", "missing"]

EXTRAS = {
    "matting": ("rembg", "onnxruntime"),
    "viewer": ("viser",),
    "batch": ("ray",),
    "heic": ("pillow_heif",),
}
REINSTALL = "install again: `pip install .` in the repository"


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        name: What was looked at.
        value: What was found.
        state: Fine, absent but not needed, or needed and missing.
        remedy: What to do about it.
    """

    name: str
    value: str
    state: State = "ok"
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at everything a run may need.

    Returns:
        The findings, in the order to show them.
    """
    parts: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("python", _python),
        ("libraries", _libraries),
        ("torch", _torch),
        ("kernels", _kernels),
        ("cuda", _cuda),
        ("priors", _priors),
        ("ffmpeg", _ffmpeg),
        ("extras", _extras),
    ]
    findings: list[Finding] = []
    for name, part in parts:
        # An examination must not end at the first broken part.
        try:
            findings += part()
        except Exception as error:
            problem = " ".join(f"{type(error).__name__}: {error}".split())
            findings.append(Finding(name, problem, "missing", REINSTALL))
    return findings


def report(findings: list[Finding]) -> str:
    """The findings as lines, with the remedies of what is missing at the end."""
    signs = {"ok": "✓", "optional": "·", "missing": "✗"}
    width = max(len(each.name) for each in findings)
    lines = [
        f"{signs[each.state]} {each.name:{width}}  {each.value}" for each in findings
    ]
    missing = [each for each in findings if each.state == "missing"]
    lines.append("")
    if missing:
        lines.append("What to do:")
        lines += [f"  {each.name}: {each.remedy}" for each in missing]
    else:
        lines.append("Everything needed is here.")
    return "\n".join(lines)


def _python() -> list[Finding]:
    is_supported = sys.version_info >= (3, 10)
    folder = Path(__file__).resolve().parents[1]
    return [
        Finding(
            "python",
            f"{platform.python_version()} on {platform.system()} {platform.machine()}",
            "ok" if is_supported else "missing",
            "use Python 3.10 or newer",
        ),
        Finding("realfusion", f"{__version__} in {folder}"),
    ]


def _libraries() -> list[Finding]:
    """The requirements of the package's own metadata, without the extras."""
    try:
        required = metadata.requires("realfusion") or []
    except metadata.PackageNotFoundError:
        return [Finding("libraries", "not installed by pip", "missing", REINSTALL)]
    names = [
        match[0]
        for text in required
        if "extra ==" not in text and (match := re.match(r"[A-Za-z0-9._-]+", text))
    ]
    absent = [name for name in names if not _is_installed(name)]
    if absent:
        remedy = f"pip install {' '.join(absent)}"
        return [
            Finding("libraries", f"missing: {', '.join(absent)}", "missing", remedy)
        ]
    shown = ("diffusers", "transformers", "numpy")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in shown)
    return [Finding("libraries", f"all {len(names)} here ({versions})")]


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _torch() -> list[Finding]:
    try:
        import torch
    except ImportError as error:
        remedy = "pip install 'torch>=2.10'"
        return [Finding("torch", f"does not load: {error}", "missing", remedy)]
    version = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return [
        Finding(
            "torch",
            f"{torch.__version__} ({build})",
            "ok" if version >= (2, 10) else "missing",
            "pip install 'torch>=2.10', then install realfusion again",
        ),
        Finding(
            "cpu", f"{cores or os.cpu_count()} cores, {torch.get_num_threads()} threads"
        ),
    ]


def _kernels() -> list[Finding]:
    try:
        info = _extension.load().build_info()
    except _extension.MissingKernelsError as error:
        return [Finding("kernels", str(error), "missing", REINSTALL)]
    except RuntimeError as error:  # REALFUSION_SIMD asks for the impossible
        remedy = "correct or unset REALFUSION_SIMD"
        return [Finding("kernels", str(error), "missing", remedy)]
    kernels = registered_kernels()
    findings = [
        Finding(
            "kernels",
            f"{info['compiler']}, for torch ≥ {info['torch_target_version']}, SIMD "
            f"{info['simd_level']} (of {', '.join(info['simd_variants'])})",
        )
    ]
    for device in ("CPU", "CUDA"):
        names = [name for name, devices in kernels.items() if device in devices]
        text = ", ".join(names) or "none"
        state: State = "ok" if names else "optional"
        if device == "CPU" and not names:
            state = "missing"
        findings.append(Finding(f"{device} kernels", text, state, REINSTALL))
    return findings


def registered_kernels() -> dict[str, set[str]]:
    """Operators without their gradients -> devices that have a kernel."""
    import torch

    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    names = [
        name
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith("realfusion::") and "backward" not in name
    ]
    return {
        name.removeprefix("realfusion::"): {
            device for device in ("CPU", "CUDA") if has_kernel(name, device)
        }
        for name in sorted(names)
    }


def _cuda() -> list[Finding]:
    import torch

    findings = [_toolkit()]
    if not torch.cuda.is_available():
        why = (
            "torch is built without CUDA" if torch.version.cuda is None else "no driver"
        )
        findings.append(Finding("CUDA devices", f"none ({why})", "optional"))
        return findings
    info = _extension.load().build_info()
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        capability = f"{properties.major}.{properties.minor}"
        memory = properties.total_memory / 2**30
        findings.append(
            _judge_device(
                f"{properties.name}, {memory:.0f} GiB, capability {capability}",
                info,
                torch.device("cuda", index),
            )
        )
    return findings


def _judge_device(
    description: str, info: dict[str, Any], device: torch.device
) -> Finding:
    """Whether the kernels can run on a device that is there."""
    from realfusion.devices import build_obstacle, trial_obstacle

    obstacle = build_obstacle(info) or trial_obstacle(device)
    if obstacle is not None:
        text = f"{description}: {obstacle}"
        return Finding("CUDA device", text, "missing", "compute with --device cpu")
    built = f"kernels for {info['cuda_architectures']}, CUDA {info['cuda_toolkit']}"
    text = f"{description}; {built}; a trial step agrees with the CPU's"
    return Finding("CUDA device", text)


def _toolkit() -> Finding:
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    nvcc = str(Path(home, "bin", "nvcc")) if home else shutil.which("nvcc")
    if nvcc is None or not Path(nvcc).is_file():
        return Finding("CUDA toolkit", "none found", "optional")
    answer = subprocess.run(
        [nvcc, "--version"], capture_output=True, text=True, check=False
    )
    release = re.search(r"release (\S+),", answer.stdout)
    return Finding("CUDA toolkit", f"{release[1] if release else '?'} ({nvcc})")


def _priors() -> list[Finding]:
    from realfusion.priors.clip import CLIP_ALIASES, cached_clip
    from realfusion.priors.model_files import incomplete_models
    from realfusion.priors.selection import available_priors

    found = available_priors()
    findings = [
        Finding("prior", f"{each.name}, {each.megabytes:.0f} MB in {each.folder}")
        for each in found
    ]
    findings += [
        Finding(
            "prior",
            f"{name}, incomplete in the cache: the download goes on when asked for",
            "optional",
        )
        for name in incomplete_models()
    ]
    if not any(each.name == "bundled" for each in found):
        findings.append(Finding("prior", "bundled: incomplete", "missing", REINSTALL))
    if all(each.name == "bundled" for each in found):
        text = (
            "Stable Diffusion: not in the cache (optional, downloaded when asked for)"
        )
        findings.append(Finding("prior", text, "optional"))
    clip = cached_clip()
    if clip is None:
        text = "CLIP: not in the cache (optional, downloaded when asked for)"
        findings.append(Finding("prior", text, "optional"))
    else:
        findings.append(Finding("prior", f"clip: {CLIP_ALIASES[clip]} in the cache"))
    return findings


def _ffmpeg() -> list[Finding]:
    import imageio_ffmpeg

    try:
        path = imageio_ffmpeg.get_ffmpeg_exe()
        version = imageio_ffmpeg.get_ffmpeg_version()
    except RuntimeError as error:
        remedy = (
            "pip install --force-reinstall imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE"
        )
        return [Finding("ffmpeg", str(error), "missing", remedy)]
    return [Finding("ffmpeg", f"{version} ({path})")]


def _extras() -> list[Finding]:
    findings = []
    for extra, modules in EXTRAS.items():
        absent = [module for module in modules if util.find_spec(module) is None]
        if absent:
            text = f"not installed: pip install 'realfusion[{extra}]'"
            findings.append(Finding(f"[{extra}]", text, "optional"))
        else:
            findings.append(Finding(f"[{extra}]", ", ".join(modules)))
    return findings
