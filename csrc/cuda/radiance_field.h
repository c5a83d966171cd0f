// The radiance field's forward on the device, for operators that need the field.
#pragma once

#include "bindings/radiance_field_checks.h"

namespace realfusion::cuda {

// The operator `radiance_field`, on the current stream.
FieldForwardResult radiance_field(const Tensor& positions, const Tensor& table,
                                  const Tensor& w1, const Tensor& b1, const Tensor& w2,
                                  const Tensor& b2, const Tensor& w3, const Tensor& b3,
                                  std::vector<double> scales,
                                  std::vector<int64_t> resolutions,
                                  std::vector<int64_t> offsets, int64_t num_features,
                                  int64_t num_active_levels, bool is_tiled,
                                  bool is_smoothstep, double bound, double blob_density,
                                  double blob_radius, bool with_normals);

}  // namespace realfusion::cuda
