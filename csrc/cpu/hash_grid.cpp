// Scalar variant of the hash-grid kernels, and the choice among the variants.
#include "cpu/hash_grid.h"

#include <algorithm>

namespace realfusion::cpu {
namespace {

template <int F, class T>
void encode_rows(const HashGrid& grid, const T* positions, const T* table, T* features,
                 int64_t begin, int64_t end) {
  const int64_t stride = int64_t{grid.num_levels} * F;
  for (int64_t chunk = begin; chunk < end; chunk += kHashGridChunk) {
    const int64_t chunk_end = std::min(end, chunk + kHashGridChunk);
    for (int l = 0; l < grid.num_levels; ++l) {
      const HashGridLevel& level = grid.levels[l];
      const T* entries = table + level.offset * F;
      for (int64_t i = chunk; i < chunk_end; ++i) {
        T* out = features + i * stride + int64_t{l} * F;
        const T* position = positions + 3 * i;
        if (l < grid.num_active_levels && is_in_unit_cube(position)) {
          encode_level<F>(level, grid.interpolation, position, entries, out);
        } else {
          std::fill_n(out, F, T(0));
        }
      }
    }
  }
}

template <int F, class T>
void backward_table_level(const HashGrid& grid, int l, const T* grad_features,
                          const T* positions, T* grad_table, int64_t begin,
                          int64_t end) {
  const int64_t stride = int64_t{grid.num_levels} * F;
  const HashGridLevel& level = grid.levels[l];
  T* grad_entries = grad_table + level.offset * F;
  for (int64_t i = begin; i < end; ++i) {
    const T* position = positions + 3 * i;
    if (!is_in_unit_cube(position)) continue;
    const T* grad = grad_features + i * stride + int64_t{l} * F;
    const GridCorners<T> corners = grid_corners(level, grid.interpolation, position);
    for (int c = 0; c < 8; ++c) {
      T* entry = grad_entries + int64_t{corners.indices[c]} * F;
      for (int f = 0; f < F; ++f) entry[f] += corners.weights[c] * grad[f];
    }
  }
}

template <int F, class T>
void backward_table_levels(const HashGrid& grid, int first_level, int level_step,
                           const T* grad_features, const T* positions, T* grad_table,
                           int64_t num_points) {
  for (int64_t chunk = 0; chunk < num_points; chunk += kHashGridChunk) {
    const int64_t chunk_end = std::min(num_points, chunk + kHashGridChunk);
    for (int l = first_level; l < grid.num_active_levels; l += level_step) {
      backward_table_level<F>(grid, l, grad_features, positions, grad_table, chunk,
                              chunk_end);
    }
  }
}

template <int F, class T>
void backward_positions_rows(const HashGrid& grid, const T* grad_features,
                             const T* positions, const T* table, T* grad_positions,
                             int64_t begin, int64_t end) {
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
        encode_level_backward_position<F>(level, grid.interpolation, position, entries,
                                          grad_features + i * stride + int64_t{l} * F,
                                          grad_positions + 3 * i);
      }
    }
  }
}

template <int F, class T>
HashGridKernels<T> kernels_of() {
  return {encode_rows<F, T>, backward_table_levels<F, T>,
          backward_positions_rows<F, T>};
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
