// Host-side preparation of the hash grid that its kernels and the fused field share.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "bindings/stable.h"
#include "core/hash_grid.h"

namespace realfusion {

// Builds the kernels' grid from the Python layout, checking everything that a kernel
// relies on to stay inside the table. `offsets` has one more item than `scales`.
inline HashGrid make_hash_grid(const char* op, const std::vector<double>& scales,
                               const std::vector<int64_t>& resolutions,
                               const std::vector<int64_t>& offsets,
                               int64_t num_features, int64_t num_active_levels,
                               bool is_tiled, bool is_smoothstep) {
  const auto num_levels = static_cast<int64_t>(scales.size());
  REALFUSION_CHECK(num_levels >= 1 && num_levels <= kMaxHashGridLevels, op,
                   ": `scales` must have 1 to ", kMaxHashGridLevels, " items, got ",
                   num_levels);
  REALFUSION_CHECK(static_cast<int64_t>(resolutions.size()) == num_levels, op,
                   ": `resolutions` must have ", num_levels, " items, got ",
                   resolutions.size());
  REALFUSION_CHECK(static_cast<int64_t>(offsets.size()) == num_levels + 1, op,
                   ": `offsets` must have ", num_levels + 1, " items, got ",
                   offsets.size());
  REALFUSION_CHECK(
      num_features == 1 || num_features == 2 || num_features == 4 || num_features == 8,
      op, ": `num_features` must be 1, 2, 4 or 8, got ", num_features);
  REALFUSION_CHECK(num_active_levels >= 0 && num_active_levels <= num_levels, op,
                   ": `num_active_levels` must be in 0..", num_levels, ", got ",
                   num_active_levels);
  REALFUSION_CHECK(offsets[0] == 0, op, ": `offsets` must start at 0, got ",
                   offsets[0]);

  HashGrid grid{};
  grid.num_levels = static_cast<int32_t>(num_levels);
  grid.num_active_levels = static_cast<int32_t>(num_active_levels);
  grid.num_features = static_cast<int32_t>(num_features);
  grid.interpolation =
      is_smoothstep ? GridInterpolation::smoothstep : GridInterpolation::linear;
  const GridIndexing indexing = is_tiled ? GridIndexing::tiled : GridIndexing::hash;
  for (int64_t l = 0; l < num_levels; ++l) {
    const auto scale = static_cast<float>(scales[l]);
    const int64_t resolution = resolutions[l];
    const int64_t size = offsets[l + 1] - offsets[l];
    REALFUSION_CHECK(resolution >= 2 && resolution <= (1 << 20), op,
                     ": `resolutions` must be in 2..2^20, got ", resolution);
    REALFUSION_CHECK(scale >= 0.0f && scale + 0.5f < static_cast<float>(resolution - 1),
                     op, ": `scales` must keep every corner within `resolutions` = ",
                     resolution, ", got ", scale);
    const bool is_power_of_two = size > 0 && (size & (size - 1)) == 0;
    REALFUSION_CHECK(
        size <= (int64_t{1} << 28) &&
            (is_power_of_two || resolution * resolution * resolution <= size),
        op, ": `offsets` must give level ", l,
        " a power of two of entries, or all of its vertices, got ", size);
    grid.levels[l] =
        make_hash_grid_level(scale, resolution, offsets[l], size, indexing);
  }
  return grid;
}

}  // namespace realfusion
