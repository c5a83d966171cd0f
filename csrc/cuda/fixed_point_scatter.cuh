// The last step of the deterministic mode of grid_scatter.cuh. No torch: the CPU launch
// shim of csrc/tests runs these very bodies.
#pragma once

#include "cuda/grid_scatter.cuh"

namespace realfusion::cuda {

constexpr int kFixedPointBlock = 256;

// Adds fixed-point sums [size] to float32 values [size]. Launch: one thread an element.
__global__ void __launch_bounds__(kFixedPointBlock)
    add_fixed_point_kernel(const __grid_constant__ FixedPointTable table,
                           float* __restrict__ values, int64_t size) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const unsigned bound = *table.bound;
  const float unit = power_of_two(-fixed_point_exponent(bound, table.log2_addends));
  const auto sum = static_cast<long long>(table.sums[i]);
  values[i] += is_finite_bound(bound) ? static_cast<float>(sum) * unit
                                      : __uint_as_float(0x7fffffffu);
}

}  // namespace realfusion::cuda
