// Argument checks that the CPU and CUDA launchers of composite share.
#pragma once

#include <algorithm>
#include <optional>

#include "bindings/stable.h"

namespace realfusion {

// One call of composite, checked: what the kernels need besides their pointers.
struct CompositeSizes {
  int64_t num_rays;
  int64_t num_samples;
  int64_t num_channels;
  int64_t num_facing;  // rays whose back-facing normals are asked for: all, or 0
};

inline CompositeSizes check_composite(const char* op, const Tensor& channels,
                                      const Tensor& t, const Tensor& deltas,
                                      const Tensor& ray_offsets,
                                      const std::optional<Tensor>& directions) {
  check_shape(op, "channels", channels, {kAny, kAny});
  check_contiguous(op, "channels", channels);
  const ScalarType dtype = channels.scalar_type();
  const int64_t num_samples = channels.size(0);
  check_tensor(op, "t", t, {num_samples}, dtype);
  check_tensor(op, "deltas", deltas, {num_samples}, dtype);
  check_tensor(op, "ray_offsets", ray_offsets, {kAny}, ScalarType::Long);
  REALFUSION_CHECK(ray_offsets.size(0) >= 1, op,
                   ": `ray_offsets` must have one entry more than rays, got none");
  check_device(op, "t", t, "channels", channels);
  check_device(op, "deltas", deltas, "channels", channels);
  check_device(op, "ray_offsets", ray_offsets, "channels", channels);
  const int64_t num_rays = ray_offsets.size(0) - 1;
  const int64_t num_channels = channels.size(1);
  if (directions) {
    check_tensor(op, "directions", *directions, {num_rays, 3}, dtype);
    check_device(op, "directions", *directions, "channels", channels);
    REALFUSION_CHECK(num_channels >= 3, op,
                     ": the last three `channels` must be normals where there are "
                     "`directions`, got ",
                     num_channels, " channels");
  }
  return {num_rays, num_samples, num_channels, directions ? num_rays : 0};
}

inline void check_ray_offsets(const char* op, const int64_t* ray_offsets,
                              int64_t num_rays, int64_t num_samples) {
  const bool is_sorted = std::is_sorted(ray_offsets, ray_offsets + num_rays + 1);
  REALFUSION_CHECK(
      is_sorted && ray_offsets[0] == 0 && ray_offsets[num_rays] <= num_samples, op,
      ": `ray_offsets` must ascend from 0 to at most the number of samples (",
      num_samples, "), got ", ray_offsets[0], " to ", ray_offsets[num_rays],
      is_sorted ? "" : ", not ascending");
}

}  // namespace realfusion
