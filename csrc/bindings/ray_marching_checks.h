// Argument checks of march_rays that both devices share.
#pragma once

#include "bindings/occupancy_checks.h"
#include "bindings/stable.h"
#include "core/ray_marching.h"

namespace realfusion {

// positions, t, deltas, ray_indices, ray_offsets, num_requested.
using PackedSamples = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

struct MarchOptions {
  int64_t resolution;
  double bound;
  double step_size;
  int64_t max_steps_per_ray;
  double cone_angle;
  double near;
  std::optional<int64_t> capacity;
  bool pad_to_capacity;
};

// Of the rows of packed samples.
inline void check_capacity(const char* op, std::optional<int64_t> capacity,
                           bool pad_to_capacity) {
  REALFUSION_CHECK(!capacity.has_value() || *capacity >= 0, op,
                   ": `capacity` must not be negative, got ", capacity.value_or(0));
  REALFUSION_CHECK(capacity.has_value() || !pad_to_capacity, op,
                   ": `capacity` must be given where `pad_to_capacity` is true");
}

inline MarchSettings check_march(const Tensor& origins, const Tensor& directions,
                                 const Tensor& occupancy,
                                 const std::optional<Tensor>& noise,
                                 const MarchOptions& options) {
  const char* op = "march_rays";
  check_occupancy_resolution(op, options.resolution);
  check_occupancy_bound(op, options.bound);
  check_tensor(op, "origins", origins, {kAny, 3}, ScalarType::Float);
  const int64_t num_rays = origins.size(0);
  check_tensor(op, "directions", directions, {num_rays, 3}, ScalarType::Float);
  const int64_t num_cells =
      options.resolution * options.resolution * options.resolution;
  check_tensor(op, "occupancy", occupancy, {num_cells / 8}, ScalarType::Byte);
  check_device(op, "directions", directions, "origins", origins);
  check_device(op, "occupancy", occupancy, "origins", origins);
  if (noise.has_value()) {
    check_tensor(op, "noise", *noise, {num_rays}, ScalarType::Float);
    check_device(op, "noise", *noise, "origins", origins);
  }
  REALFUSION_CHECK(num_rays < (int64_t{1} << 31), op,
                   ": `origins` must have fewer than 2^31 rays, got ", num_rays);
  REALFUSION_CHECK(options.step_size > 0.0 && options.step_size < 1e30, op,
                   ": `step_size` must be positive and finite, got ",
                   options.step_size);
  REALFUSION_CHECK(
      options.max_steps_per_ray >= 1 && options.max_steps_per_ray <= (1 << 24), op,
      ": `max_steps_per_ray` must be in 1..2^24, got ", options.max_steps_per_ray);
  REALFUSION_CHECK(options.cone_angle >= 0.0 && options.cone_angle < 1e30, op,
                   ": `cone_angle` must be finite and not negative, got ",
                   options.cone_angle);
  REALFUSION_CHECK(options.near >= 0.0 && options.near < 1e30, op,
                   ": `near` must be finite and not negative, got ", options.near);
  check_capacity(op, options.capacity, options.pad_to_capacity);
  const auto bound = static_cast<float>(options.bound);
  return {make_occupancy_grid(options.resolution, bound),
          bound,
          static_cast<float>(options.step_size),
          static_cast<float>(options.cone_angle),
          static_cast<float>(options.near),
          static_cast<int32_t>(options.max_steps_per_ray)};
}

}  // namespace realfusion
