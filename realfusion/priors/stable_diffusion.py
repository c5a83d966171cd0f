"""Any Stable-Diffusion-shaped model as a prior: Stable Diffusion 1.x, 2.x, bundled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from realfusion.cameras.camera import Camera
from realfusion.priors.arrangement import arrange
from realfusion.priors.components import Components, PrecisionName
from realfusion.priors.config import PLACEHOLDER, DistillationMode, Prompt
from realfusion.priors.graphs import GraphedNetworks
from realfusion.priors.guidance import GuidanceSides, add_noise, noise_from_prediction
from realfusion.priors.guidance_batch import (
    check_judgement,
    predict_guided,
    predict_sides,
)
from realfusion.priors.latent_codec import LatentCodec, limit_latents
from realfusion.priors.learned_embeds import LearnedToken
from realfusion.priors.memory import HIGH, MemoryPlan
from realfusion.priors.metadata import PriorMetadata
from realfusion.priors.model_files import resolve_alias
from realfusion.priors.model_sources import load_source
from realfusion.priors.network_calls import call_denoiser
from realfusion.priors.protocol import Conditioning, NoiseResidual
from realfusion.priors.text_conditioning import TextConditioner
from realfusion.priors.view_conditioning import ViewConditioner
from realfusion.priors.view_guide import ViewGuide, guide_from_photo, guided_input
from realfusion.transfer import send


class StableDiffusionPrior:
    """A frozen latent diffusion model, asked about one view at a time or in batches.

    It implements `realfusion.priors.protocol.DiffusionPrior`.
    """

    def __init__(
        self,
        components: Components,
        *,
        name: str,
        max_batch: int | None = None,
        memory: MemoryPlan = HIGH,
    ) -> None:
        """Wrap loaded components; `from_pretrained` is the usual way.

        Args:
            components: The parts, frozen and on one device.
            name: What the prior is called in reports.
            max_batch: Largest batch the denoiser gets at once (guidance doubles the
                number of views); None puts everything through in one go.
            memory: What is spared; the components are arranged accordingly.
        """
        if max_batch is not None and max_batch < 1:
            raise ValueError(f"`max_batch` must be positive or None, got {max_batch}")
        self.name = name
        self._device = components.unet.device
        self.memory = memory
        arrange(components, memory, self._device)
        self.unet = components.unet
        self.vae = components.vae
        self.graphs: GraphedNetworks | None = None  # see graphs.use_graphs
        self.compile_mode: str | None = None
        self.scheduler = components.scheduler
        self.image_encoder = components.image_encoder
        self._shape_estimator = components.shape_estimator
        self._is_guided = components.is_guided
        self._guide: ViewGuide | None = None
        self.metadata: PriorMetadata = components.metadata
        self.text = TextConditioner(components.tokenizer, components.text_encoder)
        takes_classes = self.unet.config.num_class_embeds is not None
        self._views = ViewConditioner(
            self.text, self.metadata, takes_classes, self._device
        )
        self.max_batch = memory.max_batch if max_batch is None else max_batch
        self._num_clipped = torch.zeros((), dtype=torch.int64, device=self._device)
        self.alphas_cumprod: Float[Tensor, " timesteps"] = (
            components.scheduler.alphas_cumprod.to(self.device, torch.float32)
        )

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        device: str | torch.device = "cpu",
        dtype: PrecisionName = "auto",
        revision: str | None = None,
        offline: bool = False,
        max_batch: int | None = None,
        memory: MemoryPlan = HIGH,
        vae: str = "own",
    ) -> StableDiffusionPrior:
        """Load a prior.

        Args:
            source: A folder in diffusers' layout, a .safetensors checkpoint, "bundled",
                a Hub id or an alias.
            device: Where it computes.
            dtype: The denoiser's precision; "auto" chooses by device, see
                `choose_precision`.
            revision: Branch, tag or commit on the Hub.
            offline: Never touch the network.
            max_batch: Largest batch the denoiser gets at once, to save memory.
            memory: What is spared.
            vae: "own", or another autoencoder for the same latents: "tiny", a folder or
                a Hub id.

        Returns:
            The prior.

        Raises:
            InputError: If the model is missing or of another kind, with the remedy.
        """
        components = load_source(
            source,
            device=torch.device(device),
            dtype=dtype,
            revision=revision,
            offline=offline,
            vae=vae,
        )
        name = resolve_alias(str(source))
        return cls(components, name=name, max_batch=max_batch, memory=memory)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the denoiser."""
        return self.unet.dtype

    @property
    def latent_factor(self) -> int:
        """Pixels of the image along one side of a latent."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def image_size(self) -> int:
        """Side of the square images it was trained on, in pixels."""
        return int(self.unet.config.sample_size) * self.latent_factor

    @property
    def num_train_timesteps(self) -> int:
        """Number of its noise levels."""
        return self.alphas_cumprod.shape[0]

    @property
    def num_clipped(self) -> int:
        """Latent values beyond `LATENT_LIMIT` so far; waits for the device."""
        return int(self._num_clipped)

    def release_text_encoder(self) -> None:
        """Move the text encoder to the host, if the memory plan says so.

        A text that is first seen afterwards is encoded there, once.
        """
        if self.memory.is_text_released:
            self.text.release()

    @property
    def token(self) -> LearnedToken | None:
        """The learned token in force."""
        return self.text.token

    def set_token(self, token: LearnedToken | None) -> None:
        """Let `<e>` in prompts mean this token (None: nothing).

        Raises:
            InputError: If the token was learnt with a text encoder of another width.
        """
        self.text.set_token(token)

    @torch.no_grad()
    def encode_image_token(
        self, image: Float[Tensor, "height width 4"]
    ) -> LearnedToken | None:
        """The token that the prior's image encoder reads off an image.

        Args:
            image: RGBA with straight alpha in [0, 1].

        Returns:
            The token, or None where the prior has no image encoder.
        """
        if self.image_encoder is None:
            return None
        batch = image.permute(2, 0, 1)[None].to(self.device, torch.float32)
        vectors = self.image_encoder(batch)[0]
        return LearnedToken(PLACEHOLDER, vectors.float().cpu())

    @torch.no_grad()
    def set_photo(
        self, image: Float[Tensor, "size size 4"] | None, camera: Camera
    ) -> None:
        """Guide the denoiser by the body that is guessed from a photo, if it reads one.

        Args:
            image: RGBA with straight alpha in [0, 1]; None for no guide.
            camera: The camera that took it.
        """
        estimator = self._shape_estimator
        self._guide = None
        if image is None or estimator is None or not self._is_guided:
            return
        self._guide = guide_from_photo(
            image, camera, estimator, self.encode, self.image_size, self.device
        )

    @property
    def _codec(self) -> LatentCodec:
        """Its autoencoder as it is now: both that and the graphs may be replaced."""
        one_by_one = self.memory.is_encoding_recomputed
        replayed = None if self.graphs is None else self.graphs.encode
        return LatentCodec(self.vae, self.image_size, self.device, one_by_one, replayed)

    def encode(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels latent_height latent_width"]:
        """Latents of images in [0, 1], differentiable; see `LatentCodec.encode`."""
        return self._codec.encode(images)

    @torch.no_grad()
    def decode(
        self, latents: Float[Tensor, "batch channels latent_height latent_width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """Images in [0, 1] of latents; no gradient."""
        return self._codec.decode(latents)

    def condition(self, prompt: Prompt, cameras: Sequence[Camera]) -> Conditioning:
        """Text states and view classes of one view a camera.

        Args:
            prompt: Subject and options; views are named relative to its reference.
            cameras: At least one.

        Returns:
            Both sides of guidance. Text states are computed once per text.

        Raises:
            InputError: If a prompt is too long, or needs a token that is not set.
        """
        conditioning = self._views.condition(prompt, cameras)
        if self._guide is None:
            return conditioning
        return replace(conditioning, guide=self._guide(cameras))

    def view_class_label(self, view_class: int | None) -> int | None:
        """The denoiser's label of a view class (None: no view), if it takes labels."""
        return self._views.label(view_class)

    def predict_noise(
        self,
        noisy: Float[Tensor, "batch channels height width"],
        timesteps: Int[Tensor, " batch"],
        context: Float[Tensor, "batch tokens text_width"],
        class_labels: Int[Tensor, " batch"] | None = None,
        guide: Float[Tensor, "batch guide_channels height width"] | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """ε̂ of the denoiser, float32; differentiable in latents and context."""
        chunk = self.max_batch or noisy.shape[0]
        latents = guided_input(noisy, guide, self.unet.config.in_channels)
        inputs = [latents.to(self.dtype), timesteps, context.to(self.dtype)]
        inputs += [] if class_labels is None else [class_labels]
        parts = zip(*(each.split(max(chunk, 1)) for each in inputs), strict=True)
        return noise_from_prediction(
            torch.cat([self._denoise(*part) for part in parts]).float(),
            noisy.float(),
            self.alphas_cumprod[timesteps],
            self.scheduler.config.prediction_type,
        )

    def _denoise(self, *inputs: Tensor) -> Tensor:
        if self.graphs is not None:
            return self.graphs.denoise(*inputs)
        return call_denoiser(self.unet, *inputs)

    @torch.no_grad()
    def guided_noise(
        self,
        noisy: Float[Tensor, "batch channels height width"],
        timesteps: Int[Tensor, " batch"],
        conditioning: Conditioning,
        *,
        guidance_scale: float,
        guidance_rescale: float = 0.0,
    ) -> Float[Tensor, "batch channels height width"]:
        """ε̂ with guidance, all sides of it in one batch; no gradient."""
        return predict_guided(
            self.predict_noise,
            noisy,
            timesteps,
            conditioning,
            self.alphas_cumprod[timesteps],
            guidance_scale=guidance_scale,
            guidance_rescale=guidance_rescale,
        )

    @torch.no_grad()
    def guidance_sides(
        self,
        noisy: Float[Tensor, "batch channels height width"],
        timesteps: Int[Tensor, " batch"],
        conditioning: Conditioning,
    ) -> GuidanceSides:
        """ε̂ under every prompt of guidance, in one batch; no gradient."""
        return predict_sides(self.predict_noise, noisy, timesteps, conditioning)

    @torch.no_grad()
    def noise_residual(
        self,
        latents: Float[Tensor, "batch channels height width"],
        conditioning: Conditioning,
        *,
        timesteps: Int[Tensor, " batch"],
        guidance_scale: float,
        generator: torch.Generator,
        guidance_rescale: float = 0.0,
        mode: DistillationMode = "sds",
    ) -> NoiseResidual:
        """How the given noise levels judge the latents (without w(t)).

        `sds` gives ε̂ - ε (DreamFusion, Eq. 3). `csd` gives only what guidance adds to
        ε̂ (Classifier Score Distillation, Yu et al. 2023): no noise is in it, and the
        guidance scale is no more than its scale.

        Args:
            latents: Clean latents from `encode`; their graph is not followed.
            conditioning: One entry a latent, from `condition`.
            timesteps: Noise level of each latent.
            guidance_scale: Classifier-free guidance; 1 is none with `sds`.
            generator: The source of the noise, on any device.
            guidance_rescale: Share of x̂_0's spread that is restored after guidance; 0
                with `csd`, which estimates no x̂_0.
            mode: Score distillation, or its classifier part alone.

        Returns:
            The residual, float32, and ᾱ_t for the weighting.
        """
        check_judgement(latents, conditioning, mode, guidance_rescale)
        clean = latents.detach().to(self.device, torch.float32)
        clean, num_beyond = limit_latents(clean)
        self._num_clipped += num_beyond
        timesteps = send(timesteps, self.device)
        noise = torch.randn(clean.shape, generator=generator, device=generator.device)
        noise = send(noise, self.device)
        alphas_cumprod = self.alphas_cumprod[timesteps]
        noisy = add_noise(clean, noise, alphas_cumprod)
        if mode == "csd":
            sides = self.guidance_sides(noisy, timesteps, conditioning)
            score = sides.classifier_score(guidance_scale)
            return NoiseResidual(score, alphas_cumprod, timesteps)
        estimate = self.guided_noise(
            noisy,
            timesteps,
            conditioning,
            guidance_scale=guidance_scale,
            guidance_rescale=guidance_rescale,
        )
        return NoiseResidual(estimate - noise, alphas_cumprod, timesteps)
