// CPU kernels of the multiresolution hash grid: torch-free, one thread's share of work.
#pragma once

#include <cstdint>

#include "core/hash_grid.h"
#include "cpu/simd.h"

namespace realfusion::cpu {

// Points a kernel takes through one level before it turns to the next, so that the
// level's hot entries stay in the cache.
constexpr int64_t kHashGridChunk = 2048;

template <class T>
struct HashGridKernels {
  // positions [n, 3] unit cube, in; table [entries, F], in; features [n, L * F], out.
  // Writes the rows begin..end.
  void (*encode)(const HashGrid& grid, const T* positions, const T* table, T* features,
                 int64_t begin, int64_t end);
  // grad_features [n, L * F], in; positions [n, 3], in; grad_table [entries, F], zeroed
  // by the caller, added to. Writes only the slice of `level`, points in order: the
  // sums do not depend on how levels are shared out among threads.
  void (*backward_table)(const HashGrid& grid, int level, const T* grad_features,
                         const T* positions, T* grad_table, int64_t num_points);
  // grad_positions [n, 3], out. Writes the rows begin..end.
  void (*backward_positions)(const HashGrid& grid, const T* grad_features,
                             const T* positions, const T* table, T* grad_positions,
                             int64_t begin, int64_t end);
};

HashGridKernels<float> hash_grid_kernels_float(SimdLevel level);
HashGridKernels<double> hash_grid_kernels_double();

}  // namespace realfusion::cpu
