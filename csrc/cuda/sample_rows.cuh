// Packed samples as the device kernels see them. No torch: the CPU launch shim of
// csrc/tests includes it too.
#pragma once

#include "core/host_device.h"

namespace realfusion::cuda {

// Packed samples, [num_samples] each; positions [num_samples, 3] world units.
struct SampleRows {
  float* positions;
  float* t;
  float* deltas;
  int32_t* ray_indices;
};

// A ray's samples. The host does not check the offsets, which would stall the device:
// here they are clamped to what exists.
struct RayRange {
  int64_t begin;
  int64_t end;

  // ray_offsets [num_rays + 1].
  __device__ RayRange(const int64_t* ray_offsets, int64_t ray, int64_t num_samples)
      : begin(ray_offsets[ray]), end(ray_offsets[ray + 1]) {
    if (begin < 0) begin = 0;
    if (end > num_samples) end = num_samples;
  }
};

}  // namespace realfusion::cuda
