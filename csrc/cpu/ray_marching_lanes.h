// Kernels of ray marching on SIMD lanes. Included by one .cpp an instruction set, after
//   RF_LANES         the namespace of the lanes (avx2, avx512)
//   RF_LANES_TARGET  the target attribute of every function
// The arithmetic is that of core/ray_marching.h and gives the same bits.
#include <algorithm>
#include <bit>
#include <cstdint>

#include "cpu/ray_marching.h"

namespace realfusion::RF_LANES {
namespace {

#define RF_INLINE inline __attribute__((always_inline)) RF_LANES_TARGET

RF_INLINE Int spread_bits(Int value) {
  value = bit_and(bit_or(value, shift_left<16>(value)), set(0x030000ff));
  value = bit_and(bit_or(value, shift_left<8>(value)), set(0x0300f00f));
  value = bit_and(bit_or(value, shift_left<4>(value)), set(0x030c30c3));
  return bit_and(bit_or(value, shift_left<2>(value)), set(0x09249249));
}

// One ray and its grid, in all lanes.
struct LaneRay {
  Float origin[3];
  Float direction[3];
  Float far;
  Float scale, shift;
  Int last;
};

RF_INLINE LaneRay broadcast(const MarchSettings& settings, const float* origin,
                            const float* direction, float far) {
  LaneRay ray;
  for (int axis = 0; axis < 3; ++axis) {
    ray.origin[axis] = set(origin[axis]);
    ray.direction[axis] = set(direction[axis]);
  }
  ray.far = set(far);
  ray.scale = set(settings.grid.scale);
  ray.shift = set(settings.grid.shift);
  ray.last = set(settings.grid.last);
  return ray;
}

// The cells of the points at the distances t. Truncation instead of floor: they differ
// below 0 only, where the clamp makes them equal.
RF_INLINE Int cells_at(const LaneRay& ray, Float t) {
  Int spread[3];
  for (int axis = 0; axis < 3; ++axis) {
    const Float point = multiply_add(t, ray.direction[axis], ray.origin[axis]);
    const Int cell = truncate(multiply_add(point, ray.scale, ray.shift));
    spread[axis] = spread_bits(minimum(maximum(cell, set(0)), ray.last));
  }
  return bit_or(spread[0], bit_or(shift_left<1>(spread[1]), shift_left<2>(spread[2])));
}

// Bit k: step k lies before the end of the ray, in an occupied cell.
RF_INLINE uint32_t test_cells(const uint8_t* occupancy, Int cells, Mask is_before_end) {
  // Steps behind the end read the first word: their cells may be anything.
  cells = keep(is_before_end, cells);
  const Int words =
      gather(reinterpret_cast<const int32_t*>(occupancy), shift_right<5>(cells));
  const Int bits = shift_right(words, bit_and(cells, set(31)));
  return to_bits(is_odd(bits)) & to_bits(is_before_end);
}

// Distances of the next steps along a cone; returns that of the step behind them.
RF_INLINE float cone_steps(const MarchSettings& settings, float t,
                           float steps[kLanes]) {
  for (int k = 0; k < kLanes; ++k) {
    steps[k] = t;
    t = next_cone_step(settings, t);
  }
  return t;
}

RF_INLINE RaySteps steps_of_ray(const MarchSettings& settings,
                                const cpu::MarchRays& rays, int64_t ray) {
  const float noise = rays.noise == nullptr ? 0.5f : rays.noise[ray];
  return ray_steps(settings, rays.origins + 3 * ray, rays.directions + 3 * ray, noise);
}

RF_LANES_TARGET int32_t count_ray(const MarchSettings& settings,
                                  const cpu::MarchRays& rays, const uint8_t* occupancy,
                                  const cpu::OccupiedBox& box, int64_t ray_index,
                                  uint32_t* mask) {
  const RaySteps steps = steps_of_ray(settings, rays, ray_index);
  const LaneRay ray = broadcast(settings, rays.origins + 3 * ray_index,
                                rays.directions + 3 * ray_index, steps.far);
  const bool is_cone = settings.cone_angle > 0.0f;
  // The steps of a cone are sums from the first on: none can be left out.
  cpu::StepRange range{0, settings.max_steps};
  if (!is_cone) {
    range = steps_in_box(settings, steps, box, rays.origins + 3 * ray_index,
                         rays.directions + 3 * ray_index);
  }
  const Float first = set(steps.first);
  const Float step_size = set(settings.step_size);
  float cone_t = steps.first;
  int32_t count = 0;
  for (int32_t base = range.begin / kLanes * kLanes; base < range.end; base += kLanes) {
    Float t;
    if (is_cone) {
      alignas(64) float distances[kLanes];
      cone_t = cone_steps(settings, cone_t, distances);
      t = load(distances);
    } else {
      t = multiply_add(to_float(add(set(base), lane_numbers())), step_size, first);
    }
    const Mask is_before_end = is_below(t, ray.far);
    if (to_bits(is_before_end) == 0) break;
    uint32_t hits = test_cells(occupancy, cells_at(ray, t), is_before_end);
    const int32_t num_left = settings.max_steps - base;
    if (num_left < kLanes) hits &= (1u << num_left) - 1u;
    mask[base / 32] |= hits << (base % 32);
    count += std::popcount(hits);
  }
  return count;
}

RF_LANES_TARGET void count(const MarchSettings& settings, const cpu::MarchRays& rays,
                           const uint8_t* occupancy, const cpu::OccupiedBox& box,
                           uint32_t* masks, int32_t* counts, int64_t begin,
                           int64_t end) {
  const int64_t num_words = cpu::march_mask_words(settings);
  for (int64_t ray = begin; ray < end; ++ray) {
    uint32_t* mask = masks + ray * num_words;
    std::fill_n(mask, num_words, 0u);
    counts[ray] = count_ray(settings, rays, occupancy, box, ray, mask);
  }
}

RF_INLINE void write_sample(const MarchSettings& settings, const cpu::MarchRays& rays,
                            const cpu::MarchSamples& samples, int64_t ray, float t,
                            int64_t sample) {
  ray_point(rays.origins + 3 * ray, rays.directions + 3 * ray, t,
            samples.positions + 3 * sample);
  samples.t[sample] = t;
  samples.deltas[sample] = step_length(settings, t);
  samples.ray_indices[sample] = static_cast<int32_t>(ray);
}

// Equal steps: only the steps whose bit is set are visited.
RF_LANES_TARGET void emit_uniform(const MarchSettings& settings,
                                  const cpu::MarchRays& rays, const uint32_t* mask,
                                  const cpu::MarchSamples& samples, int64_t ray,
                                  int64_t sample, int64_t last) {
  const RaySteps steps = steps_of_ray(settings, rays, ray);
  for (int32_t word = 0; sample < last; ++word) {
    for (uint32_t bits = mask[word]; bits != 0; bits &= bits - 1) {
      const int32_t i = 32 * word + std::countr_zero(bits);
      write_sample(settings, rays, samples, ray, uniform_step(settings, steps, i),
                   sample++);
    }
  }
}

RF_LANES_TARGET void emit_cone(const MarchSettings& settings,
                               const cpu::MarchRays& rays, const uint32_t* mask,
                               const cpu::MarchSamples& samples, int64_t ray,
                               int64_t sample, int64_t last) {
  float t = steps_of_ray(settings, rays, ray).first;
  for (int32_t i = 0; sample < last; ++i) {
    if (mask[i / 32] >> (i % 32) & 1u) {
      write_sample(settings, rays, samples, ray, t, sample++);
    }
    t = next_cone_step(settings, t);
  }
}

RF_LANES_TARGET void emit(const MarchSettings& settings, const cpu::MarchRays& rays,
                          const uint32_t* masks, const int64_t* ray_offsets,
                          const cpu::MarchSamples& samples, int64_t begin,
                          int64_t end) {
  const int64_t num_words = cpu::march_mask_words(settings);
  for (int64_t ray = begin; ray < end; ++ray) {
    const int64_t sample = ray_offsets[ray];
    const int64_t last = ray_offsets[ray + 1];
    if (sample == last) continue;
    const uint32_t* mask = masks + ray * num_words;
    if (settings.cone_angle > 0.0f) {
      emit_cone(settings, rays, mask, samples, ray, sample, last);
    } else {
      emit_uniform(settings, rays, mask, samples, ray, sample, last);
    }
  }
}

#undef RF_INLINE

}  // namespace
}  // namespace realfusion::RF_LANES
