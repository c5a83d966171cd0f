// Device kernels of the occupancy grid. No torch: the CPU launch shim of csrc/tests
// runs these very bodies. Every launch is one thread an item.
#pragma once

#include "core/occupancy.h"

namespace realfusion::cuda {

constexpr int kOccupancyBlock = 256;

// Stops the kernel with an error that the next call reports, as an index out of range
// does in torch itself.
__device__ __forceinline__ void check_cell(int64_t cell, int64_t num_cells) {
  if (cell < 0 || cell >= num_cells) __trap();
}

// coords [n, 3] in 0..1023, in; cells [n], out.
__global__ void __launch_bounds__(kOccupancyBlock)
    morton_encode_kernel(const int32_t* __restrict__ coords,
                         int64_t* __restrict__ cells, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  cells[i] = morton_encode(static_cast<uint32_t>(coords[3 * i]),
                           static_cast<uint32_t>(coords[3 * i + 1]),
                           static_cast<uint32_t>(coords[3 * i + 2]));
}

// cells [n] in 0..2^30 - 1, in; coords [n, 3], out.
__global__ void __launch_bounds__(kOccupancyBlock)
    morton_decode_kernel(const int64_t* __restrict__ cells,
                         int32_t* __restrict__ coords, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  uint32_t decoded[3];
  morton_decode(static_cast<uint32_t>(cells[i]), decoded);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    coords[3 * i + axis] = static_cast<int32_t>(decoded[axis]);
  }
}

// cells [n], in; noise [n, 3] in [0, 1), in; points [n, 3] world units, out.
__global__ void __launch_bounds__(kOccupancyBlock)
    cell_points_kernel(const int64_t* __restrict__ cells,
                       const float* __restrict__ noise, float cell_size, float bound,
                       float* __restrict__ points, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const float place[3] = {noise[3 * i], noise[3 * i + 1], noise[3 * i + 2]};
  float point[3];
  cell_point(static_cast<uint32_t>(cells[i]), cell_size, bound, place, point);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) points[3 * i + axis] = point[axis];
}

// The update ema[c] = max(ema[c] * decay, density) in three launches, so that a cell
// visited twice decays once. First: decayed [n] = ema[c] * decay.
__global__ void __launch_bounds__(kOccupancyBlock)
    decay_kernel(const float* __restrict__ density_ema,
                 const int64_t* __restrict__ cells, float decay,
                 float* __restrict__ decayed, int64_t count, int64_t num_cells) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  check_cell(cells[i], num_cells);
  decayed[i] = density_ema[cells[i]] * decay;
}

// Second: store it. Threads with the same cell store the same value.
__global__ void __launch_bounds__(kOccupancyBlock)
    store_decayed_kernel(const float* __restrict__ decayed,
                         const int64_t* __restrict__ cells,
                         float* __restrict__ density_ema, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < count) density_ema[cells[i]] = decayed[i];
}

// Third: raise. Floats that are not negative order like the integers of their bits; a
// maximum does not depend on the order of the threads. NaN counts as 0.
__global__ void __launch_bounds__(kOccupancyBlock)
    raise_kernel(const float* __restrict__ densities, const int64_t* __restrict__ cells,
                 float* __restrict__ density_ema, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count || !(densities[i] > 0.0f)) return;
  atomicMax(reinterpret_cast<int*>(density_ema + cells[i]),
            __float_as_int(densities[i]));
}

// One thread a byte. density_ema [8 * n], in; threshold [1], in; bits [n], out.
__global__ void __launch_bounds__(kOccupancyBlock)
    pack_kernel(const float* __restrict__ density_ema,
                const float* __restrict__ threshold, uint8_t* __restrict__ bits,
                int64_t num_bytes) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= num_bytes) return;
  const float limit = *threshold;
  unsigned packed = 0;
  RF_UNROLL
  for (int bit = 0; bit < 8; ++bit) {
    packed |= static_cast<unsigned>(density_ema[8 * i + bit] > limit) << bit;
  }
  bits[i] = static_cast<uint8_t>(packed);
}

}  // namespace realfusion::cuda
