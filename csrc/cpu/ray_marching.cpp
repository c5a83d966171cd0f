// Scalar variant of the ray-marching kernels, and the choice among the variants.
#include "cpu/ray_marching.h"

#include <algorithm>

namespace realfusion::cpu {
namespace {

RaySteps steps_of_ray(const MarchSettings& settings, const MarchRays& rays, int64_t i) {
  const float noise = rays.noise == nullptr ? 0.5f : rays.noise[i];
  return ray_steps(settings, rays.origins + 3 * i, rays.directions + 3 * i, noise);
}

void count(const MarchSettings& settings, const MarchRays& rays,
           const uint8_t* occupancy, const OccupiedBox&, uint32_t* masks,
           int32_t* counts, int64_t begin, int64_t end) {
  const int64_t num_words = march_mask_words(settings);
  for (int64_t ray = begin; ray < end; ++ray) {
    uint32_t* mask = masks + ray * num_words;
    std::fill_n(mask, num_words, 0u);
    const RaySteps steps = steps_of_ray(settings, rays, ray);
    const bool is_cone = settings.cone_angle > 0.0f;
    int32_t num_hits = 0;
    float t = steps.first;
    for (int32_t i = 0; i < settings.max_steps && t < steps.far; ++i) {
      float point[3];
      ray_point(rays.origins + 3 * ray, rays.directions + 3 * ray, t, point);
      if (is_occupied(settings.grid, occupancy, point)) {
        mask[i / 32] |= 1u << (i % 32);
        ++num_hits;
      }
      t = is_cone ? next_cone_step(settings, t) : uniform_step(settings, steps, i + 1);
    }
    counts[ray] = num_hits;
  }
}

void emit(const MarchSettings& settings, const MarchRays& rays, const uint32_t* masks,
          const int64_t* ray_offsets, const MarchSamples& samples, int64_t begin,
          int64_t end) {
  const int64_t num_words = march_mask_words(settings);
  for (int64_t ray = begin; ray < end; ++ray) {
    int64_t sample = ray_offsets[ray];
    const int64_t last = ray_offsets[ray + 1];
    if (sample == last) continue;
    const uint32_t* mask = masks + ray * num_words;
    const RaySteps steps = steps_of_ray(settings, rays, ray);
    const bool is_cone = settings.cone_angle > 0.0f;
    float t = steps.first;
    for (int32_t i = 0; sample < last; ++i) {
      if (mask[i / 32] >> (i % 32) & 1u) {
        ray_point(rays.origins + 3 * ray, rays.directions + 3 * ray, t,
                  samples.positions + 3 * sample);
        samples.t[sample] = t;
        samples.deltas[sample] = step_length(settings, t);
        samples.ray_indices[sample] = static_cast<int32_t>(ray);
        ++sample;
      }
      t = is_cone ? next_cone_step(settings, t) : uniform_step(settings, steps, i + 1);
    }
  }
}

}  // namespace

MarchKernels march_kernels(SimdLevel level) {
#if RF_HAS_X86_SIMD
  if (level == SimdLevel::avx512) return march_kernels_avx512();
  if (level == SimdLevel::avx2) return march_kernels_avx2();
#else
  static_cast<void>(level);
#endif
  return {count, emit};
}

}  // namespace realfusion::cpu
