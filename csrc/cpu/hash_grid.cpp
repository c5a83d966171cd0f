// Scalar variant of the hash-grid kernels, and the choice among the variants.
#include "cpu/hash_grid.h"

#include <algorithm>

namespace realfusion::cpu {
namespace {

// Every kernel comes in two: of the features, and of their derivative along the
// directions, which is the same sum with other weights. Only the former has no
// directions.
template <class T>
GridCorners<T> corners_of(const HashGrid& grid, const HashGridLevel& level,
                          const T* directions, const T* positions, int64_t i) {
  const T* position = positions + 3 * i;
  return directions == nullptr ? grid_corners(level, grid.interpolation, position)
                               : grid_corner_tangents(level, grid.interpolation,
                                                      position, directions + 3 * i);
}

template <int F, class T>
void tangent_rows(const HashGrid& grid, const T* directions, const T* positions,
                  const T* table, T* features, int64_t begin, int64_t end) {
  const int64_t stride = int64_t{grid.num_levels} * F;
  for (int64_t chunk = begin; chunk < end; chunk += kHashGridChunk) {
    const int64_t chunk_end = std::min(end, chunk + kHashGridChunk);
    for (int l = 0; l < grid.num_levels; ++l) {
      const HashGridLevel& level = grid.levels[l];
      const T* entries = table + level.offset * F;
      for (int64_t i = chunk; i < chunk_end; ++i) {
        T* out = features + i * stride + int64_t{l} * F;
        if (l < grid.num_active_levels && is_in_unit_cube(positions + 3 * i)) {
          blend_corners<F>(corners_of(grid, level, directions, positions, i), entries,
                           out);
        } else {
          std::fill_n(out, F, T(0));
        }
      }
    }
  }
}

template <int F, class T>
void encode_rows(const HashGrid& grid, const T* positions, const T* table, T* features,
                 int64_t begin, int64_t end) {
  tangent_rows<F, T>(grid, nullptr, positions, table, features, begin, end);
}

template <int F, class T>
void backward_table_level(const HashGrid& grid, int l, const T* grad_features,
                          const T* directions, const T* positions, T* grad_table,
                          int64_t begin, int64_t end) {
  const int64_t stride = int64_t{grid.num_levels} * F;
  const HashGridLevel& level = grid.levels[l];
  T* grad_entries = grad_table + level.offset * F;
  for (int64_t i = begin; i < end; ++i) {
    if (!is_in_unit_cube(positions + 3 * i)) continue;
    const T* grad = grad_features + i * stride + int64_t{l} * F;
    const GridCorners<T> corners = corners_of(grid, level, directions, positions, i);
    for (int c = 0; c < 8; ++c) {
      T* entry = grad_entries + int64_t{corners.indices[c]} * F;
      for (int f = 0; f < F; ++f) entry[f] += corners.weights[c] * grad[f];
    }
  }
}

template <int F, class T>
void tangent_backward_table_levels(const HashGrid& grid, int first_level,
                                   int level_step, const T* grad_features,
                                   const T* directions, const T* positions,
                                   T* grad_table, int64_t num_points) {
  for (int64_t chunk = 0; chunk < num_points; chunk += kHashGridChunk) {
    const int64_t chunk_end = std::min(num_points, chunk + kHashGridChunk);
    for (int l = first_level; l < grid.num_active_levels; l += level_step) {
      backward_table_level<F>(grid, l, grad_features, directions, positions, grad_table,
                              chunk, chunk_end);
    }
  }
}

template <int F, class T>
void backward_table_levels(const HashGrid& grid, int first_level, int level_step,
                           const T* grad_features, const T* positions, T* grad_table,
                           int64_t num_points) {
  tangent_backward_table_levels<F, T>(grid, first_level, level_step, grad_features,
                                      nullptr, positions, grad_table, num_points);
}

template <int F, class T>
void tangent_backward_positions_rows(const HashGrid& grid, const T* grad_features,
                                     const T* directions, const T* positions,
                                     const T* table, T* grad_positions, int64_t begin,
                                     int64_t end) {
  const int64_t stride = int64_t{grid.num_levels} * F;
  for (int64_t chunk = begin; chunk < end; chunk += kHashGridChunk) {
    const int64_t chunk_end = std::min(end, chunk + kHashGridChunk);
    std::fill(grad_positions + 3 * chunk, grad_positions + 3 * chunk_end, T(0));
    for (int l = 0; l < grid.num_active_levels; ++l) {
      const HashGridLevel& level = grid.levels[l];
      const T* entries = table + level.offset * F;
      for (int64_t i = chunk; i < chunk_end; ++i) {
        const T* position = positions + 3 * i;
        if (!is_in_unit_cube(position)) continue;
        const GridCornersWithGradients<T> corners =
            directions == nullptr
                ? grid_corners_with_gradients(level, grid.interpolation, position)
                : grid_corner_tangents_with_gradients(level, grid.interpolation,
                                                      position, directions + 3 * i);
        add_position_gradient<F>(corners, entries,
                                 grad_features + i * stride + int64_t{l} * F,
                                 grad_positions + 3 * i);
      }
    }
  }
}

template <int F, class T>
void backward_positions_rows(const HashGrid& grid, const T* grad_features,
                             const T* positions, const T* table, T* grad_positions,
                             int64_t begin, int64_t end) {
  tangent_backward_positions_rows<F, T>(grid, grad_features, nullptr, positions, table,
                                        grad_positions, begin, end);
}

template <int F, class T>
HashGridKernels<T> kernels_of() {
  return {encode_rows<F, T>,
          backward_table_levels<F, T>,
          backward_positions_rows<F, T>,
          tangent_rows<F, T>,
          tangent_backward_table_levels<F, T>,
          tangent_backward_positions_rows<F, T>};
}

template <class T>
HashGridKernels<T> scalar_kernels(int num_features) {
  switch (num_features) {
    case 1:
      return kernels_of<1, T>();
    case 2:
      return kernels_of<2, T>();
    case 4:
      return kernels_of<4, T>();
    default:
      return kernels_of<8, T>();
  }
}

}  // namespace

HashGridKernels<float> hash_grid_kernels_float(SimdLevel level, int num_features) {
#if RF_HAS_X86_SIMD
  if (level == SimdLevel::avx512) return hash_grid_kernels_avx512(num_features);
  if (level == SimdLevel::avx2) return hash_grid_kernels_avx2(num_features);
#else
  static_cast<void>(level);
#endif
  return scalar_kernels<float>(num_features);
}

HashGridKernels<double> hash_grid_kernels_double(int num_features) {
  return scalar_kernels<double>(num_features);
}

}  // namespace realfusion::cpu
