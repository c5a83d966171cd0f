// Device kernels of volume rendering: one warp a ray, its lanes 32 samples in a row. No
// torch: the CPU launch shim of csrc/tests runs these very bodies.
#pragma once

#include "core/volume_rendering.h"
#include "cuda/sample_rows.cuh"
#include "cuda/scan.cuh"

namespace realfusion::cuda {

constexpr int kCompositeBlock = 128;
constexpr int kCompositeChannels = 8;  // channels whose sums a pass keeps in registers

// The packed samples of one call.
struct CompositeSamples {
  const float* channels;       // [S, C], in
  const float* t;              // [S], in
  const float* deltas;         // [S] unit, in
  const int64_t* ray_offsets;  // [N + 1], in
  const float* directions;     // [N, 3], in; null where no channels are normals
  int64_t num_rays;
  int64_t num_samples;
  int64_t num_channels;
};

__device__ inline float sum_over_warp(float value) {
  for (int bits = 16; bits > 0; bits /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, bits);
  }
  return value;
}

// densities [S], in; values [N, C], transmittance, depth [N], back_facing [N] (null
// without directions), weights [S] (zeroed), out. Launch: 32 threads a ray.
__global__ void __launch_bounds__(kCompositeBlock)
    composite_kernel(const __grid_constant__ CompositeSamples samples,
                     const float* __restrict__ densities,
                     float early_stop_transmittance, float* __restrict__ values,
                     float* __restrict__ transmittance, float* __restrict__ depth,
                     float* __restrict__ back_facing, float* __restrict__ weights) {
  const int64_t ray = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
  if (ray >= samples.num_rays) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const RayRange range(samples.ray_offsets, ray, samples.num_samples);
  float behind = 1.0f;  // transmittance behind the samples so far, of the whole warp
  float depth_sum = 0.0f;
  int64_t end = range.begin;  // of the samples that the ray reaches
  for (int64_t base = range.begin;
       base < range.end && behind >= early_stop_transmittance; base += 32) {
    const int64_t i = base + lane;
    const bool exists = i < range.end;
    const float alpha =
        exists ? alpha_from_optical_depth(densities[i] * samples.deltas[i]) : 0.0f;
    float through = 1.0f - alpha;  // product over the lanes up to this one
    for (int reach = 1; reach < 32; reach *= 2) {
      const float before = __shfl_up_sync(kAllLanes, through, reach);
      if (lane >= reach) through *= before;
    }
    const float shifted = __shfl_up_sync(kAllLanes, through, 1);
    const float before = behind * (lane == 0 ? 1.0f : shifted);
    const bool is_reached = exists && before >= early_stop_transmittance;
    if (is_reached) {
      const float weight = attenuate(before, alpha).weight;
      weights[i] = weight;
      depth_sum += weight * samples.t[i];
    }
    // Transmittance falls along the ray: the reached samples are the first ones.
    const int count = __popc(__ballot_sync(kAllLanes, is_reached));
    behind *= __shfl_sync(kAllLanes, through, count - 1);
    end += count;
    if (count < 32) break;
  }
  depth_sum = sum_over_warp(depth_sum);
  if (lane == 0) {
    transmittance[ray] = behind;
    depth[ray] = depth_sum;
  }
  for (int64_t first = 0; first < samples.num_channels; first += kCompositeChannels) {
    float sums[kCompositeChannels] = {};
    for (int64_t i = range.begin + lane; i < end; i += 32) {
      const float weight = weights[i];
      const float* channel = samples.channels + i * samples.num_channels + first;
      RF_UNROLL
      for (int c = 0; c < kCompositeChannels; ++c) {
        if (first + c < samples.num_channels) sums[c] += weight * channel[c];
      }
    }
    RF_UNROLL
    for (int c = 0; c < kCompositeChannels; ++c) {
      const float sum = sum_over_warp(sums[c]);
      if (lane == 0 && first + c < samples.num_channels) {
        values[ray * samples.num_channels + first + c] = sum;
      }
    }
  }
  if (samples.directions != nullptr) {
    float sum = 0.0f;
    for (int64_t i = range.begin + lane; i < end; i += 32) {
      const float* normal = samples.channels + (i + 1) * samples.num_channels - 3;
      const float cosine = back_facing_cosine(normal, samples.directions + 3 * ray);
      sum += weights[i] * cosine * cosine;
    }
    sum = sum_over_warp(sum);
    if (lane == 0) back_facing[ray] = sum;
  }
}

// The upstream gradients and what the forward left, all [N] but for grad_values [N, C]
// and weights [S]; grad_back_facing is read where there are directions.
struct CompositeUpstream {
  const float* grad_values;
  const float* grad_transmittance;
  const float* grad_depth;
  const float* grad_back_facing;
  const float* transmittance;
  const float* weights;
};

// grad_densities [S] and grad_channels [S, C], zeroed, out. The lanes walk each ray
// from its end, so that sums over the samples behind one are sums over lower lanes.
// Launch: 32 threads a ray.
__global__ void __launch_bounds__(kCompositeBlock)
    composite_backward_kernel(const __grid_constant__ CompositeSamples samples,
                              const __grid_constant__ CompositeUpstream upstream,
                              float early_stop_transmittance,
                              float* __restrict__ grad_densities,
                              float* __restrict__ grad_channels) {
  const int64_t ray = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
  if (ray >= samples.num_rays) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const RayRange range(samples.ray_offsets, ray, samples.num_samples);
  const int64_t num_channels = samples.num_channels;
  const float* grad_values = upstream.grad_values + ray * num_channels;
  const float final_transmittance = upstream.transmittance[ray];
  const float grad_opacity = -upstream.grad_transmittance[ray];
  const float grad_depth = upstream.grad_depth[ray];
  RaySuffix<float> behind_warp;
  for (int64_t base = range.end - 1; base >= range.begin; base -= 32) {
    const int64_t i = base - lane;
    const bool exists = i >= range.begin;
    const float weight = exists ? upstream.weights[i] : 0.0f;
    const float weights = scan_warp(weight);  // of the warp, with this sample's
    const float before = final_transmittance + behind_warp.weight + weights;
    const bool is_reached = exists && before >= early_stop_transmittance;
    // Of a sample that the ray does not reach only the weight is read.
    float response = 0.0f;
    if (is_reached || weight != 0.0f) {
      response = grad_depth * samples.t[i];
      for (int64_t c = 0; c < num_channels; ++c) {
        response += grad_values[c] * samples.channels[i * num_channels + c];
        grad_channels[i * num_channels + c] = weight * grad_values[c];
      }
      if (samples.directions != nullptr) {
        const float* direction = samples.directions + 3 * ray;
        const int64_t normal = (i + 1) * num_channels - 3;
        const float cosine = back_facing_cosine(samples.channels + normal, direction);
        const float slope = 2.0f * weight * upstream.grad_back_facing[ray] * cosine;
        for (int k = 0; k < 3; ++k) grad_channels[normal + k] += slope * direction[k];
      }
    }
    const float responses = scan_warp(weight * response);
    const float lower_weights = __shfl_up_sync(kAllLanes, weights, 1);
    const float lower_responses = __shfl_up_sync(kAllLanes, responses, 1);
    RaySuffix<float> suffix = behind_warp;
    if (lane > 0) {
      suffix.weight += lower_weights;
      suffix.response += lower_responses;
    }
    if (is_reached) {
      grad_densities[i] = density_gradient(samples.deltas[i], response, suffix,
                                           final_transmittance, grad_opacity);
    }
    behind_warp.weight += __shfl_sync(kAllLanes, weights, 31);
    behind_warp.response += __shfl_sync(kAllLanes, responses, 31);
  }
}

}  // namespace realfusion::cuda
