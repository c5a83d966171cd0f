// CPU kernels of the multiresolution hash grid: torch-free, one thread's share of work.
#pragma once

#include <cstdint>

#include "core/hash_grid.h"
#include "cpu/simd.h"

namespace realfusion::cpu {

// Points a kernel takes through one level before it turns to the next: so many that a
// level's part of the table (4 MiB at T = 2^19, F = 2) is fetched from memory once and
// reused from the cache. Measured at 2^18 points, one thread: 2^15 is 1.8 times slower,
// 2^13 2.1 times; fetching entries ahead by prefetch instructions is slower too.
constexpr int64_t kHashGridChunk = 1 << 18;

template <class T>
struct HashGridKernels {
  // positions [n, 3] unit cube, in; table [entries, F], in; features [n, L * F], out.
  // Writes the rows begin..end.
  void (*encode)(const HashGrid& grid, const T* positions, const T* table, T* features,
                 int64_t begin, int64_t end);
  // grad_features [n, L * F], in; positions [n, 3], in; grad_table [entries, F], zeroed
  // by the caller, added to. Takes the levels first_level, first_level + level_step,
  // ... and writes only their slices, points in order: the sums do not depend on how
  // levels are shared out among threads.
  void (*backward_table)(const HashGrid& grid, int first_level, int level_step,
                         const T* grad_features, const T* positions, T* grad_table,
                         int64_t num_points);
  // grad_positions [n, 3], out. Writes the rows begin..end.
  void (*backward_positions)(const HashGrid& grid, const T* grad_features,
                             const T* positions, const T* table, T* grad_positions,
                             int64_t begin, int64_t end);
  // The same three for the derivative of the features along a direction a point,
  // directions [n, 3], in: the derivative itself (to `tangents` [n, L * F], out), and
  // its backward to the table and to the positions.
  void (*tangent)(const HashGrid& grid, const T* directions, const T* positions,
                  const T* table, T* tangents, int64_t begin, int64_t end);
  void (*tangent_backward_table)(const HashGrid& grid, int first_level, int level_step,
                                 const T* grad_tangents, const T* directions,
                                 const T* positions, T* grad_table, int64_t num_points);
  void (*tangent_backward_positions)(const HashGrid& grid, const T* grad_tangents,
                                     const T* directions, const T* positions,
                                     const T* table, T* grad_positions, int64_t begin,
                                     int64_t end);
};

// The kernels for F = 1, 2, 4 or 8 features an entry.
HashGridKernels<float> hash_grid_kernels_float(SimdLevel level, int num_features);
HashGridKernels<double> hash_grid_kernels_double(int num_features);

#if RF_HAS_X86_SIMD
HashGridKernels<float> hash_grid_kernels_avx2(int num_features);
HashGridKernels<float> hash_grid_kernels_avx512(int num_features);
#endif

}  // namespace realfusion::cpu
