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

}  // namespace realfusion::cuda
