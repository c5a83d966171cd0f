// Device kernels of the multiresolution hash grid. No torch: the CPU launch shim of
// csrc/tests runs these very bodies.
#pragma once

#include "core/hash_grid.h"
#include "cuda/grid_scatter.cuh"
#include "cuda/vector_access.cuh"

namespace realfusion::cuda {

constexpr int kHashGridBlock = 256;

// Every kernel comes in two: of the features, and of their derivative along the
// directions [n, 3] (`kIsTangent`), which is the same sum with other weights.
template <bool kIsTangent>
__device__ inline GridCorners<float> corners_of(const HashGrid& grid,
                                                const HashGridLevel& level,
                                                const float position[3],
                                                const float* directions, int64_t i) {
  if constexpr (kIsTangent) {
    const float direction[3] = {directions[3 * i], directions[3 * i + 1],
                                directions[3 * i + 2]};
    return grid_corner_tangents(level, grid.interpolation, position, direction);
  } else {
    return grid_corners(level, grid.interpolation, position);
  }
}

// Levels are the slow axis of the launch, so that one level at a time sits in L2.
// Launch: grid (ceil(n / block), L), block kHashGridBlock.
template <int F, bool kIsTangent, class Entry>
__global__ void __launch_bounds__(kHashGridBlock) hash_grid_encode_kernel(
    const __grid_constant__ HashGrid grid,
    const float* __restrict__ directions,  // [n, 3], in; null without kIsTangent
    const float* __restrict__ positions,   // [n, 3] unit cube, in
    const Entry* __restrict__ table,       // [entries, F], in
    float* __restrict__ features,          // [n, L * F], out
    int64_t num_points) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= num_points) return;
  const int l = static_cast<int>(blockIdx.y);
  const float position[3] = {positions[3 * i], positions[3 * i + 1],
                             positions[3 * i + 2]};
  Vector<float, F> sums = {};
  if (l < grid.num_active_levels && is_in_unit_cube(position)) {
    const HashGridLevel& level = grid.levels[l];
    const Entry* entries = table + level.offset * F;
    const GridCorners<float> corners =
        corners_of<kIsTangent>(grid, level, position, directions, i);
    RF_UNROLL
    for (int c = 0; c < 8; ++c) {
      float entry[F];
      load_vector<F>(entries + int64_t{corners.indices[c]} * F, entry);
      RF_UNROLL
      for (int f = 0; f < F; ++f) sums.items[f] += corners.weights[c] * entry[f];
    }
  }
  float* out = features + (i * grid.num_levels + l) * F;
  *reinterpret_cast<Vector<float, F>*>(out) = sums;
}

// Scatters into a table of grid_scatter.cuh. Points without a gradient (early-stopped
// samples, padding) cost no additions. Launch as above, over the active levels only.
template <int F, bool kIsTangent, class Table>
__global__ void __launch_bounds__(kHashGridBlock) hash_grid_backward_table_kernel(
    const __grid_constant__ HashGrid grid,
    const float* __restrict__ grad_features,  // [n, L * F], in
    const float* __restrict__ directions,     // [n, 3], in; null without kIsTangent
    const float* __restrict__ positions,      // [n, 3] unit cube, in
    const __grid_constant__ Table table,      // [entries, F]
    int64_t num_points) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int l = static_cast<int>(blockIdx.y);
  float position[3] = {0.0f, 0.0f, 0.0f};
  float grad[F] = {};
  bool is_active = false;
  if (i < num_points) {
    const float given[3] = {positions[3 * i], positions[3 * i + 1],
                            positions[3 * i + 2]};
    if (is_in_unit_cube(given)) {
      load_vector<F>(grad_features + (i * grid.num_levels + l) * F, grad);
      RF_UNROLL
      for (int axis = 0; axis < 3; ++axis) position[axis] = given[axis];
      RF_UNROLL
      for (int f = 0; f < F; ++f) is_active = is_active || grad[f] != 0.0f;
    }
  }
  const HashGridLevel& level = grid.levels[l];
  const CellRuns runs(grid_cell(level, position).corner, is_active);
  // A lane behind the last point has no gradient: any point's direction will do.
  const GridCorners<float> corners =
      corners_of<kIsTangent>(grid, level, position, directions, i < num_points ? i : 0);
  auto sums = table.open();
  RF_UNROLL
  for (int c = 0; c < 8; ++c) {
    float values[F];
    RF_UNROLL
    for (int f = 0; f < F; ++f) values[f] = corners.weights[c] * grad[f];
    runs.add<F>(sums, (level.offset + int64_t{corners.indices[c]}) * F, values);
  }
  sums.close();
}

// One thread a point goes through the levels: no atomics, the same bits every time.
// Launch: grid ceil(n / block), block kHashGridBlock.
template <int F, bool kIsTangent, class Entry>
__global__ void __launch_bounds__(kHashGridBlock) hash_grid_backward_positions_kernel(
    const __grid_constant__ HashGrid grid,
    const float* __restrict__ grad_features,  // [n, L * F], in
    const float* __restrict__ directions,     // [n, 3], in; null without kIsTangent
    const float* __restrict__ positions,      // [n, 3] unit cube, in
    const Entry* __restrict__ table,          // [entries, F], in
    float* __restrict__ grad_positions,       // [n, 3], out
    int64_t num_points) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= num_points) return;
  const float position[3] = {positions[3 * i], positions[3 * i + 1],
                             positions[3 * i + 2]};
  float sums[3] = {0.0f, 0.0f, 0.0f};
  const int num_levels = is_in_unit_cube(position) ? grid.num_active_levels : 0;
  for (int l = 0; l < num_levels; ++l) {
    float grad[F];
    load_vector<F>(grad_features + (i * grid.num_levels + l) * F, grad);
    const HashGridLevel& level = grid.levels[l];
    const Entry* entries = table + level.offset * F;
    GridCornersWithGradients<float> corners;
    if constexpr (kIsTangent) {
      const float direction[3] = {directions[3 * i], directions[3 * i + 1],
                                  directions[3 * i + 2]};
      corners = grid_corner_tangents_with_gradients(level, grid.interpolation, position,
                                                    direction);
    } else {
      corners = grid_corners_with_gradients(level, grid.interpolation, position);
    }
    RF_UNROLL
    for (int c = 0; c < 8; ++c) {
      float entry[F];
      load_vector<F>(entries + int64_t{corners.indices[c]} * F, entry);
      float dot = 0.0f;
      RF_UNROLL
      for (int f = 0; f < F; ++f) dot += grad[f] * entry[f];
      RF_UNROLL
      for (int axis = 0; axis < 3; ++axis)
        sums[axis] += dot * corners.gradients[c][axis];
    }
  }
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) grad_positions[3 * i + axis] = sums[axis];
}

}  // namespace realfusion::cuda
