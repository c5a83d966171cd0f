// Argument checks of visible_samples and visible_field; the field's own are in
// radiance_field_checks.h.
#pragma once

#include <tuple>
#include <utility>

#include "bindings/radiance_field_checks.h"
#include "bindings/ray_marching_checks.h"

namespace realfusion {

// Packed samples, and what radiance_field says of them.
using VisibleFieldResult = decltype(std::tuple_cat(std::declval<PackedSamples>(),
                                                   std::declval<FieldForwardResult>()));

inline void check_visible_samples(const char* op, const Tensor& positions,
                                  const Tensor& t, const Tensor& deltas,
                                  const Tensor& ray_indices, const Tensor& ray_offsets,
                                  std::optional<int64_t> capacity,
                                  bool pad_to_capacity) {
  const int64_t num_samples = positions.size(0);
  check_tensor(op, "t", t, {num_samples}, ScalarType::Float);
  check_tensor(op, "deltas", deltas, {num_samples}, ScalarType::Float);
  check_tensor(op, "ray_indices", ray_indices, {num_samples}, ScalarType::Int);
  check_tensor(op, "ray_offsets", ray_offsets, {kAny}, ScalarType::Long);
  REALFUSION_CHECK(ray_offsets.size(0) >= 1, op,
                   ": `ray_offsets` must have one entry more than rays, got none");
  check_device(op, "t", t, "positions", positions);
  check_device(op, "deltas", deltas, "positions", positions);
  check_device(op, "ray_indices", ray_indices, "positions", positions);
  check_device(op, "ray_offsets", ray_offsets, "positions", positions);
  check_capacity(op, capacity, pad_to_capacity);
}

}  // namespace realfusion
