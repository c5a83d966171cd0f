// Device kernels of ray marching: one warp a ray. No torch: the CPU launch shim of
// csrc/tests runs these very bodies.
#pragma once

#include "core/ray_marching.h"
#include "cuda/sample_rows.cuh"
#include "cuda/scan.cuh"

namespace realfusion::cuda {

constexpr int kMarchBlock = 128;

// The rays of one call. noise may be null: every step in the middle of its interval.
struct MarchRays {
  const float* origins;     // [num_rays, 3]
  const float* directions;  // [num_rays, 3] unit length
  const float* noise;       // [num_rays] in [0, 1), or null
  int64_t num_rays;
};

// Walks one ray, 32 steps at a time, one a lane. All lanes of a warp call it together.
class WarpMarch {
 public:
  __device__ WarpMarch(const MarchSettings& settings, const MarchRays& rays,
                       const uint8_t* occupancy, int64_t ray, int lane)
      : settings_(settings), occupancy_(occupancy), lane_(lane) {
    RF_UNROLL
    for (int axis = 0; axis < 3; ++axis) {
      origin_[axis] = rays.origins[3 * ray + axis];
      direction_[axis] = rays.directions[3 * ray + axis];
    }
    const float noise = rays.noise == nullptr ? 0.5f : rays.noise[ray];
    steps_ = ray_steps(settings, origin_, direction_, noise);
    cone_start_ = steps_.first;
  }

  // Tests the next 32 steps: the mask of those in occupied cells. False once the ray
  // has left the box or used up its steps.
  __device__ bool advance(unsigned* hits) {
    const int32_t i = base_ + lane_;
    if (settings_.cone_angle > 0.0f) {
      // Each lane goes its own steps from the warp's: the same sums on every device.
      t_ = cone_start_;
      for (int k = 0; k < lane_; ++k) t_ = next_cone_step(settings_, t_);
      cone_start_ = __shfl_sync(kAllLanes, next_cone_step(settings_, t_), 31);
    } else {
      t_ = uniform_step(settings_, steps_, i);
    }
    const bool is_active = i < settings_.max_steps && t_ < steps_.far;
    bool is_hit = false;
    if (is_active) {
      ray_point(origin_, direction_, t_, point_);
      is_hit = is_occupied(settings_.grid, occupancy_, point_);
    }
    *hits = __ballot_sync(kAllLanes, is_hit);
    base_ += 32;
    return __ballot_sync(kAllLanes, is_active) != 0;
  }

  // The lane's own step, after `advance`.
  __device__ float t() const { return t_; }
  __device__ const float* point() const { return point_; }

 private:
  const MarchSettings& settings_;
  const uint8_t* occupancy_;
  int lane_;
  int32_t base_ = 0;
  RaySteps steps_;
  float origin_[3];
  float direction_[3];
  float point_[3];
  float t_ = 0.0f;
  float cone_start_;
};

// First pass. counts [num_rays], out. Launch: 32 threads a ray.
__global__ void __launch_bounds__(kMarchBlock)
    march_count_kernel(const __grid_constant__ MarchSettings settings,
                       const __grid_constant__ MarchRays rays,
                       const uint8_t* __restrict__ occupancy,
                       int32_t* __restrict__ counts) {
  const int64_t ray = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x % 32);
  if (ray >= rays.num_rays) return;
  WarpMarch march(settings, rays, occupancy, ray, lane);
  int32_t count = 0;
  unsigned hits = 0;
  while (march.advance(&hits)) count += __popc(hits);
  if (lane == 0) counts[ray] = count;
}

// Second pass: writes each ray's samples at its offset. Rays without room have equal
// offsets and are passed over. Launch: 32 threads a ray.
__global__ void __launch_bounds__(kMarchBlock)
    march_emit_kernel(const __grid_constant__ MarchSettings settings,
                      const __grid_constant__ MarchRays rays,
                      const uint8_t* __restrict__ occupancy,
                      const int64_t* __restrict__ ray_offsets,
                      const __grid_constant__ SampleRows samples) {
  const int64_t ray = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x % 32);
  if (ray >= rays.num_rays) return;
  int64_t first = ray_offsets[ray];
  const int64_t end = ray_offsets[ray + 1];
  if (first == end) return;
  WarpMarch march(settings, rays, occupancy, ray, lane);
  unsigned hits = 0;
  while (first < end && march.advance(&hits)) {
    const int64_t sample = first + __popc(hits & ((1u << lane) - 1u));
    if (hits >> lane & 1u) {
      RF_UNROLL
      for (int axis = 0; axis < 3; ++axis) {
        samples.positions[3 * sample + axis] = march.point()[axis];
      }
      samples.t[sample] = march.t();
      samples.deltas[sample] = step_length(settings, march.t());
      samples.ray_indices[sample] = static_cast<int32_t>(ray);
    }
    first += __popc(hits);
  }
}

}  // namespace realfusion::cuda
