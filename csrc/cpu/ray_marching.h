// CPU kernels of ray marching: torch-free, one thread's share of rays.
#pragma once

#include <cstdint>

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

struct MarchKernels {
  // First pass over the rays begin..end: which steps hit an occupied cell. occupancy
  // [R^3 / 8] bytes, in; masks [num_rays, words], out; counts [num_rays], out.
  void (*count)(const MarchSettings& settings, const MarchRays& rays,
                const uint8_t* occupancy, uint32_t* masks, int32_t* counts,
                int64_t begin, int64_t end);
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
