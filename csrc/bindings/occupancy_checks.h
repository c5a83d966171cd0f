// Argument checks of the occupancy operators that both devices share.
#pragma once

#include "bindings/stable.h"
#include "core/occupancy.h"

namespace realfusion {

inline void check_occupancy_resolution(const char* op, int64_t resolution) {
  REALFUSION_CHECK(resolution >= 4 && resolution <= kMaxOccupancyResolution &&
                       (resolution & (resolution - 1)) == 0,
                   op, ": `resolution` must be a power of two in 4..",
                   kMaxOccupancyResolution, ", got ", resolution);
}

inline void check_occupancy_bound(const char* op, double bound) {
  REALFUSION_CHECK(bound > 0.0 && bound < 1e30, op,
                   ": `bound` must be positive and finite, got ", bound);
}

inline void check_cell_points(const Tensor& cells, const Tensor& noise,
                              int64_t resolution, double bound) {
  const char* op = "occupancy_cell_points";
  check_occupancy_resolution(op, resolution);
  check_occupancy_bound(op, bound);
  check_tensor(op, "cells", cells, {kAny}, ScalarType::Long);
  check_tensor(op, "noise", noise, {cells.size(0), 3}, ScalarType::Float);
  check_device(op, "noise", noise, "cells", cells);
}

inline void check_update_occupancy(const Tensor& density_ema, const Tensor& cells,
                                   const Tensor& densities, double decay) {
  const char* op = "update_occupancy_";
  check_tensor(op, "density_ema", density_ema, {kAny}, ScalarType::Float);
  check_tensor(op, "cells", cells, {kAny}, ScalarType::Long);
  check_tensor(op, "densities", densities, {cells.size(0)}, ScalarType::Float);
  check_device(op, "cells", cells, "density_ema", density_ema);
  check_device(op, "densities", densities, "density_ema", density_ema);
  REALFUSION_CHECK(density_ema.numel() <= 8 * kMaxOccupancyBytes, op,
                   ": `density_ema` must have at most ", 8 * kMaxOccupancyBytes,
                   " cells, got ", density_ema.numel());
  REALFUSION_CHECK(decay >= 0.0 && decay <= 1.0, op,
                   ": `decay` must be in [0, 1], got ", decay);
}

inline void check_pack_occupancy(const Tensor& density_ema, const Tensor& threshold) {
  const char* op = "pack_occupancy";
  check_tensor(op, "density_ema", density_ema, {kAny}, ScalarType::Float);
  check_tensor(op, "threshold", threshold, {}, ScalarType::Float);
  check_device(op, "threshold", threshold, "density_ema", density_ema);
  REALFUSION_CHECK(density_ema.numel() % 8 == 0, op,
                   ": `density_ema` must have a multiple of 8 cells, got ",
                   density_ema.numel());
}

inline void check_sample_occupied_cells(const Tensor& bits, const Tensor& uniforms) {
  const char* op = "sample_occupied_cells";
  check_tensor(op, "bits", bits, {kAny}, ScalarType::Byte);
  check_tensor(op, "uniforms", uniforms, {kAny}, ScalarType::Float);
  check_device(op, "uniforms", uniforms, "bits", bits);
  const int64_t num_bytes = bits.numel();
  REALFUSION_CHECK(
      num_bytes > 0 && num_bytes % 8 == 0 && num_bytes <= kMaxOccupancyBytes, op,
      ": `bits` must have a multiple of 8 bytes, 8 to ", kMaxOccupancyBytes, ", got ",
      num_bytes);
}

}  // namespace realfusion
