"""Single-image textual inversion: teach the prior a word for this very object.

After Gal et al. 2022 with RealFusion's augmentation (Sec. 3.2). What can be computed
once is: the latents of a pool of augmented images, the tokenised prompt, and per step
one pass of the text encoder whatever the batch. The loss on held-out augmentations,
with fixed noise, decides when to stop and which vectors to keep.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from realfusion.cameras.camera import Camera
from realfusion.errors import InputError, NonFiniteError
from realfusion.priors.augmentation import augment
from realfusion.priors.config import PLACEHOLDER, Prompt, TextualInversionConfig
from realfusion.priors.guidance import add_noise
from realfusion.priors.learned_embeds import LearnedToken
from realfusion.priors.prompts import ViewText, view_text
from realfusion.priors.stable_diffusion import StableDiffusionPrior
from realfusion.transfer import send

_ENCODE_BATCH = 8
_FINAL_RATE_SHARE = 0.1


@dataclass(frozen=True)
class InversionProgress:
    """One step of a textual inversion.

    Attributes:
        step: Steps done, from 0.
        total_steps: Steps at most.
        loss: Denoising loss of the step's batch; None before the first step, and where
            the device is not waited for.
        heldout_loss: Loss on the held-out images, at steps that look at them.
        token: The result; only in the last item.
    """

    step: int
    total_steps: int
    loss: float | None
    heldout_loss: float | None = None
    token: LearnedToken | None = None


@dataclass(frozen=True)
class _Examples:
    """Latents of augmented images with what the loss needs."""

    latents: Float[Tensor, "count channels height width"]
    weights: Float[Tensor, "count 1 height width"]


@dataclass(frozen=True)
class _HeldOut:
    """Held-out examples with the noise that they are always judged with."""

    examples: _Examples
    noise: Float[Tensor, "count channels height width"]
    timesteps: Int[Tensor, " count"]


def invert(
    prior: StableDiffusionPrior,
    image: Float[Tensor, "height width 4"],
    config: TextualInversionConfig,
    generator: torch.Generator,
    *,
    prompt: Prompt | None = None,
    camera: Camera | None = None,
) -> Iterator[InversionProgress]:
    """Learn a token for the object of a photo; nothing of the prior is changed.

    The work is done as the items are drawn; the last one carries the token, which
    `prior.set_token` puts in force.

    Args:
        prior: Any Stable-Diffusion-shaped prior.
        image: RGBA with straight alpha in [0, 1], the object framed as it will be
            rendered.
        config: Steps, rates, augmentation.
        generator: CPU generator of everything that is random.
        prompt: Holds `<e>`; None takes the prior's own wording.
        camera: That took the photo (names the view); None is the default camera.

    Yields:
        Progress: one item before the first step, one a step, one with the token.

    Raises:
        InputError: If the mask is empty or the prompt lacks `<e>`.
        NonFiniteError: If the loss stops being finite, naming the step.
    """
    if not bool((image[..., 3] > 0.5).any()):
        raise InputError("the image must show an object, got an empty mask")
    inversion = _Inversion(prior, image, config, generator, prompt, camera)
    yield from inversion.run()


def num_inversion_steps(
    prior: StableDiffusionPrior, config: TextualInversionConfig
) -> int:
    """Steps that `invert` takes at most: fewer where an image encoder begins."""
    is_encoded = config.use_image_encoder and prior.image_encoder is not None
    return config.refinement_steps if is_encoded else config.steps


class _Inversion:
    """The state of one textual inversion."""

    def __init__(
        self,
        prior: StableDiffusionPrior,
        image: Tensor,
        config: TextualInversionConfig,
        generator: torch.Generator,
        prompt: Prompt | None,
        camera: Camera | None,
    ) -> None:
        self.prior = prior
        self.config = config
        self.generator = generator
        text = _photo_text(prior, config, prompt, camera)
        self.text = text.positive
        self.class_label = prior.view_class_label(text.view_class)
        self.placeholder = PLACEHOLDER
        # A device that runs ahead is waited for at the looks alone.
        self.reads_at_once = prior.device.type == "cpu"
        self.initial, is_encoded = _initial_vectors(prior, image, config)
        self.steps = num_inversion_steps(prior, config)
        relative_rate = (
            config.refinement_learning_rate if is_encoded else config.learning_rate
        )
        scale = float(self.initial.square().mean().sqrt())
        self.learning_rate = relative_rate * max(scale, 1e-6)
        self.image = image
        self.oldest = 0
        if self.steps > 0:
            self.pool = self._examples(image, config.pool_size)
            self.heldout = self._held_out(image)

    def run(self) -> Iterator[InversionProgress]:
        """Optimise, yielding progress; the last item carries the best vectors."""
        best = self.initial
        if self.steps > 0:
            vectors = self.initial.clone().requires_grad_(True)
            best_loss = self._heldout_loss(vectors)
            yield InversionProgress(0, self.steps, None, best_loss)
            patience = self.config.patience
            for progress in self._optimise(vectors):
                yield progress
                if progress.heldout_loss is None:
                    continue
                if progress.heldout_loss < best_loss:
                    best, best_loss = vectors.detach().clone(), progress.heldout_loss
                    patience = self.config.patience
                else:
                    patience -= 1
                if patience == 0:
                    break
        token = LearnedToken(self.placeholder, best.cpu())
        yield InversionProgress(self.steps, self.steps, None, token=token)

    def _optimise(self, vectors: Tensor) -> Iterator[InversionProgress]:
        # Fused on CUDA: then the scaler's check, too, stays on the device.
        optimizer = torch.optim.AdamW(
            [vectors],
            lr=self.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=0.0,
            fused=vectors.is_cuda,
        )
        # Gradients through a half precision denoiser vanish without scaling.
        scaler = torch.amp.GradScaler(
            self.prior.device.type, enabled=self.prior.dtype is torch.float16
        )
        losses: list[Tensor] = []
        for step in range(1, self.steps + 1):
            share = (step - 1) / self.steps
            cosine = 0.5 * (1.0 + math.cos(math.pi * share))
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * (
                    _FINAL_RATE_SHARE + (1.0 - _FINAL_RATE_SHARE) * cosine
                )
            loss = self._training_loss(vectors)
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.detach())
            looks = step % self.config.evaluate_every == 0 or step == self.steps
            if not (looks or self.reads_at_once):
                yield InversionProgress(step, self.steps, None)
                continue
            last = self._read(losses, step)
            losses.clear()
            heldout_loss = None
            if looks:
                heldout_loss = self._heldout_loss(vectors)
                self._refresh()
            yield InversionProgress(step, self.steps, last, heldout_loss)

    def _read(self, losses: list[Tensor], step: int) -> float:
        """The last of the losses up to `step`; waits for the device."""
        values = torch.stack(losses).tolist()
        for index, value in enumerate(values):
            if not math.isfinite(value):
                raise NonFiniteError(
                    f"the textual inversion's loss must be finite, got {value} at step "
                    f"{step - len(values) + index + 1}: try a lower learning rate or "
                    f"float32"
                )
        return values[-1]

    def _refresh(self) -> None:
        """New augmented images in the place of the pool's oldest."""
        size = self.pool.latents.shape[0]
        count = min(self.config.refresh_size, size)
        if count == 0:
            return
        fresh = self._examples(self.image, count)
        places = (torch.arange(count) + self.oldest) % size
        self.oldest = (self.oldest + count) % size
        places = send(places, self.prior.device)
        self.pool.latents[places] = fresh.latents
        self.pool.weights[places] = fresh.weights

    def _training_loss(self, vectors: Tensor) -> Tensor:
        config, generator = self.config, self.generator
        count = config.batch_size
        chosen = torch.randint(
            0, self.pool.latents.shape[0], (count,), generator=generator
        )
        chosen = send(chosen, self.prior.device)
        batch = _Examples(self.pool.latents[chosen], self.pool.weights[chosen])
        noise = self._noise(batch.latents.shape)
        timesteps = self._timesteps(torch.rand(count, generator=generator))
        loss = self._denoising_loss(vectors, batch, noise, timesteps)
        if config.anchor_weight > 0.0:
            distance = (vectors - self.initial).square().mean()
            mean_square = self.initial.square().mean().clamp(min=1e-12)
            loss = loss + config.anchor_weight * distance / mean_square
        return loss

    @torch.no_grad()
    def _heldout_loss(self, vectors: Tensor) -> float:
        held = self.heldout
        total, count = 0.0, held.timesteps.shape[0]
        for start in range(0, count, _ENCODE_BATCH):
            part = slice(start, min(start + _ENCODE_BATCH, count))
            examples = _Examples(
                held.examples.latents[part], held.examples.weights[part]
            )
            loss = self._denoising_loss(
                vectors, examples, held.noise[part], held.timesteps[part]
            )
            total += loss.item() * (part.stop - part.start)
        return total / count

    def _denoising_loss(
        self, vectors: Tensor, examples: _Examples, noise: Tensor, timesteps: Tensor
    ) -> Tensor:
        """Mean over samples of the weighted mean of ‖ε̂ - ε‖² (Gal et al., Eq. 2)."""
        prior = self.prior
        count = timesteps.shape[0]
        states = prior.text.encode_with_vectors([self.text], vectors)
        labels = None
        if self.class_label is not None:
            labels = torch.full((count,), self.class_label, device=prior.device)
        estimate = prior.predict_noise(
            add_noise(examples.latents, noise, prior.alphas_cumprod[timesteps]),
            timesteps,
            states.expand(count, -1, -1),
            labels,
        )
        error = (estimate - noise).square().mean(dim=1, keepdim=True)
        weighted = (error * examples.weights).sum(dim=(1, 2, 3))
        return (weighted / examples.weights.sum(dim=(1, 2, 3))).mean()

    @torch.no_grad()
    def _examples(self, image: Tensor, count: int) -> _Examples:
        prior, config = self.prior, self.config
        image = image.to(prior.device)
        latents, weights = [], []
        for start in range(0, count, _ENCODE_BATCH):
            augmented = augment(
                image,
                min(_ENCODE_BATCH, count - start),
                prior.image_size,
                config.augmentation,
                self.generator,
            )
            latents.append(prior.encode(augmented.images))
            inside = functional.interpolate(
                augmented.masks, latents[-1].shape[-2:], mode="area"
            )
            floor = max(config.background_weight, 1e-4)
            weights.append(floor + (1.0 - floor) * inside)
        return _Examples(torch.cat(latents), torch.cat(weights))

    def _held_out(self, image: Tensor) -> _HeldOut:
        count = self.config.heldout_size
        examples = self._examples(image, count)
        # Evenly spread noise levels: the same few images see all of them.
        shares = (torch.arange(count) + 0.5) / count
        noise = self._noise(examples.latents.shape)
        return _HeldOut(examples, noise, self._timesteps(shares))

    def _noise(self, shape: torch.Size) -> Tensor:
        noise = torch.randn(shape, generator=self.generator)
        return send(noise, self.prior.device)

    def _timesteps(self, shares: Tensor) -> Tensor:
        low, high = self.config.timestep_range
        last = self.prior.num_train_timesteps - 1
        timesteps = ((low + (high - low) * shares) * last).round().long()
        return send(timesteps, self.prior.device)


def _photo_text(
    prior: StableDiffusionPrior,
    config: TextualInversionConfig,
    prompt: Prompt | None,
    camera: Camera | None,
) -> ViewText:
    if prompt is None:
        prompt = Prompt(subject=prior.metadata.subject)
    if PLACEHOLDER not in prompt.subject:
        raise InputError(
            f"the prompt must hold {PLACEHOLDER} for textual inversion, got "
            f"{prompt.subject!r}"
        )
    if camera is None:
        camera = Camera(azimuth_deg=prompt.reference_azimuth_deg)
    if not config.describe_view and prior.metadata.view_vocabulary is None:
        return ViewText(prompt.subject, prompt.negative, None)
    return view_text(prompt, camera, prior.metadata.view_vocabulary)


def _initial_vectors(
    prior: StableDiffusionPrior, image: Tensor, config: TextualInversionConfig
) -> tuple[Tensor, bool]:
    """The vectors to start from, and whether an image encoder gave them."""
    if config.use_image_encoder:
        token = prior.encode_image_token(image)
        if token is not None:
            return token.vectors.to(prior.device), True
    vectors = prior.text.word_vectors(config.init_word, config.num_vectors)
    return vectors.to(prior.device), False
