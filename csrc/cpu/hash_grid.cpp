// Scalar variant of the hash-grid kernels, and the choice among the variants.
#include "cpu/hash_grid.h"

#include <algorithm>
#include <cstdlib>

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
                          const T* positions, T* grad_table, int64_t num_points) {
  const int64_t stride = int64_t{grid.num_levels} * F;
  const HashGridLevel& level = grid.levels[l];
  T* grad_entries = grad_table + level.offset * F;
  for (int64_t i = 0; i < num_points; ++i) {
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

// Calls `function` with the number of features as a compile-time constant.
template <class Function>
void dispatch_num_features(int num_features, const Function& function) {
  switch (num_features) {
    case 1:
      return function.template operator()<1>();
    case 2:
      return function.template operator()<2>();
    case 4:
      return function.template operator()<4>();
    case 8:
      return function.template operator()<8>();
    default:
      std::abort();  // the bindings have checked it
  }
}

template <class T>
HashGridKernels<T> scalar_kernels() {
  HashGridKernels<T> kernels{};
  kernels.encode = [](const HashGrid& grid, const T* positions, const T* table,
                      T* features, int64_t begin, int64_t end) {
    dispatch_num_features(grid.num_features, [&]<int F>() {
      encode_rows<F>(grid, positions, table, features, begin, end);
    });
  };
  kernels.backward_table = [](const HashGrid& grid, int level, const T* grad_features,
                              const T* positions, T* grad_table, int64_t num_points) {
    dispatch_num_features(grid.num_features, [&]<int F>() {
      backward_table_level<F>(grid, level, grad_features, positions, grad_table,
                              num_points);
    });
  };
  kernels.backward_positions = [](const HashGrid& grid, const T* grad_features,
                                  const T* positions, const T* table, T* grad_positions,
                                  int64_t begin, int64_t end) {
    dispatch_num_features(grid.num_features, [&]<int F>() {
      backward_positions_rows<F>(grid, grad_features, positions, table, grad_positions,
                                 begin, end);
    });
  };
  return kernels;
}

}  // namespace

HashGridKernels<float> hash_grid_kernels_float(SimdLevel level) {
  static_cast<void>(level);
  return scalar_kernels<float>();
}

HashGridKernels<double> hash_grid_kernels_double() { return scalar_kernels<double>(); }

}  // namespace realfusion::cpu
