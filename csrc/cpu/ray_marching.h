// CPU kernels of ray marching: torch-free, one thread's share of rays.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/ray_marching.h"
#include "cpu/simd.h"

namespace realfusion::cpu {

// Words of a ray's mask: one bit a step.
inline int64_t march_mask_words(const MarchSettings& settings) {
  return (int64_t{settings.max_steps} + 31) / 32;
}

// The rays of one call. noise may be null: every step in the middle of its interval.
struct MarchRays {
  const float* origins;     // [num_rays, 3]
  const float* directions;  // [num_rays, 3] unit length
  const float* noise;       // [num_rays] in [0, 1), or null
};

// Packed samples, [num_samples] each; positions [num_samples, 3] world units.
struct MarchSamples {
  float* positions;
  float* t;
  float* deltas;
  int32_t* ray_indices;
};

// A box outside of which no cell is occupied, in world units.
struct OccupiedBox {
  float lower[3];
  float upper[3];
};

// From the bits [R^3 / 8] of a grid over [-bound, bound]^3. Larger than needed by up to
// four cells; empty (lower > upper) if no cell is occupied.
inline OccupiedBox find_occupied_box(const uint8_t* occupancy, int64_t resolution,
                                     float bound) {
  uint32_t first[3] = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
  uint32_t last[3] = {0, 0, 0};
  // In Morton order, 64 bits are a block of 4 x 4 x 4 cells.
  const int64_t num_blocks = resolution * resolution * resolution / 64;
  for (int64_t block = 0; block < num_blocks; ++block) {
    uint64_t bits;
    std::memcpy(&bits, occupancy + 8 * block, sizeof(bits));
    if (bits == 0) continue;
    uint32_t coords[3];
    morton_decode(static_cast<uint32_t>(block), coords);
    for (int axis = 0; axis < 3; ++axis) {
      first[axis] = std::min(first[axis], coords[axis]);
      last[axis] = std::max(last[axis], coords[axis]);
    }
  }
  const float cell = 2.0f * bound / static_cast<float>(resolution);
  OccupiedBox box;
  for (int axis = 0; axis < 3; ++axis) {
    // Half a cell more on either side: rounding must not cut a sample off.
    box.lower[axis] = cell * (4.0f * static_cast<float>(first[axis]) - 0.5f) - bound;
    box.upper[axis] = cell * (4.0f * static_cast<float>(last[axis]) + 4.5f) - bound;
  }
  return box;
}

// The steps of a ray that may lie in the box, for equal steps: begin <= i < end.
struct StepRange {
  int32_t begin;
  int32_t end;
};

inline StepRange steps_in_box(const MarchSettings& settings, const RaySteps& steps,
                              const OccupiedBox& box, const float origin[3],
                              const float direction[3]) {
  float enter = steps.first;
  float leave = steps.far;
  for (int axis = 0; axis < 3; ++axis) {
    const float inverse = 1.0f / direction[axis];
    const float t0 = (box.lower[axis] - origin[axis]) * inverse;
    const float t1 = (box.upper[axis] - origin[axis]) * inverse;
    enter = std::fmax(enter, std::fmin(t0, t1));
    leave = std::fmin(leave, std::fmax(t0, t1));
  }
  if (!(enter <= leave)) return {0, 0};
  const auto most = static_cast<float>(settings.max_steps);
  const float begin = (enter - steps.first) / settings.step_size - 1.0f;
  const float end = (leave - steps.first) / settings.step_size + 2.0f;
  return {static_cast<int32_t>(std::clamp(begin, 0.0f, most)),
          static_cast<int32_t>(std::clamp(end, 0.0f, most))};
}

struct MarchKernels {
  // First pass over the rays begin..end: which steps hit an occupied cell. occupancy
  // [R^3 / 8] bytes, in; all that is occupied lies in `box`; masks [num_rays, words],
  // out; counts [num_rays], out.
  void (*count)(const MarchSettings& settings, const MarchRays& rays,
                const uint8_t* occupancy, const OccupiedBox& box, uint32_t* masks,
                int32_t* counts, int64_t begin, int64_t end);
  // Second pass: writes each ray's samples at its offset. Rays without room have equal
  // offsets and are passed over.
  void (*emit)(const MarchSettings& settings, const MarchRays& rays,
               const uint32_t* masks, const int64_t* ray_offsets,
               const MarchSamples& samples, int64_t begin, int64_t end);
};

MarchKernels march_kernels(SimdLevel level);

#if RF_HAS_X86_SIMD
MarchKernels march_kernels_avx2();
MarchKernels march_kernels_avx512();
#endif

}  // namespace realfusion::cpu
