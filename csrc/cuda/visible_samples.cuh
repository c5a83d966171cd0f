// Device kernels of visible_samples: one warp a ray. No torch: the CPU launch shim of
// csrc/tests runs these very bodies.
#pragma once

#include "core/volume_rendering.h"
#include "cuda/sample_rows.cuh"
#include "cuda/scan.cuh"

namespace realfusion::cuda {

constexpr int kVisibleBlock = 128;

// The packed samples of one call.
struct VisibleRays {
  const float* deltas;         // [S], in
  const int64_t* ray_offsets;  // [N + 1], in
  int64_t num_rays;
  int64_t num_samples;
};

// counts [N], out: the leading samples of each ray at which `min_transmittance` of the
// light arrives. densities [S], in. Launch: 32 threads a ray.
__global__ void __launch_bounds__(kVisibleBlock)
    visible_count_kernel(const __grid_constant__ VisibleRays rays,
                         const float* __restrict__ densities, float min_transmittance,
                         int32_t* __restrict__ counts) {
  const int64_t ray = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
  if (ray >= rays.num_rays) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const RayRange range(rays.ray_offsets, ray, rays.num_samples);
  float arriving = 1.0f;  // at the first of the warp's 32 samples
  int32_t count = 0;
  for (int64_t base = range.begin; base < range.end && arriving >= min_transmittance;
       base += 32) {
    const int64_t i = base + lane;
    const bool exists = i < range.end;
    float through =  // product over the lanes up to this one
        exists ? 1.0f - alpha_from_optical_depth(densities[i] * rays.deltas[i]) : 1.0f;
    for (int reach = 1; reach < 32; reach *= 2) {
      const float before = __shfl_up_sync(kAllLanes, through, reach);
      if (lane >= reach) through *= before;
    }
    const float before = __shfl_up_sync(kAllLanes, through, 1);
    const float own = lane == 0 ? arriving : arriving * before;
    count += __popc(__ballot_sync(kAllLanes, exists && own >= min_transmittance));
    arriving *= __shfl_sync(kAllLanes, through, 31);
  }
  if (lane == 0) counts[ray] = count;
}

// Copies each ray's leading samples to its new offset. Launch: 32 threads a ray.
__global__ void __launch_bounds__(kVisibleBlock)
    keep_leading_kernel(const __grid_constant__ VisibleRays rays,
                        const __grid_constant__ SampleRows from,
                        const int64_t* __restrict__ new_offsets,
                        const __grid_constant__ SampleRows to) {
  const int64_t ray = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
  if (ray >= rays.num_rays) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t source = RayRange(rays.ray_offsets, ray, rays.num_samples).begin;
  const int64_t target = new_offsets[ray];
  const int64_t count = new_offsets[ray + 1] - target;
  for (int64_t k = lane; k < 3 * count; k += 32) {
    to.positions[3 * target + k] = from.positions[3 * source + k];
  }
  for (int64_t k = lane; k < count; k += 32) {
    to.t[target + k] = from.t[source + k];
    to.deltas[target + k] = from.deltas[source + k];
    to.ray_indices[target + k] = from.ray_indices[source + k];
  }
}

}  // namespace realfusion::cuda
