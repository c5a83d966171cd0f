// Running sums over the lanes of a warp and over the threads of a block. No torch: the
// CPU launch shim of csrc/tests includes it too.
#pragma once

#include "core/host_device.h"

namespace realfusion::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

// The sum of `value` over the lanes up to this one. All lanes call it together.
template <class T>
__device__ __forceinline__ T scan_warp(T value) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  RF_UNROLL
  for (int reach = 1; reach < 32; reach *= 2) {
    const T before = __shfl_up_sync(kAllLanes, value, reach);
    if (lane >= reach) value += before;
  }
  return value;
}

// The sum of `value` over the threads up to this one, and over the whole block.
// `warp_sums` [kThreads / 32] is shared memory. All threads call it together.
template <int kThreads, class T>
__device__ __forceinline__ T scan_block(T value, T* warp_sums, T* total) {
  const int warp = static_cast<int>(threadIdx.x / 32);
  T sum = scan_warp(value);
  if (threadIdx.x % 32 == 31) warp_sums[warp] = sum;
  __syncthreads();
  *total = 0;
  for (int w = 0; w < kThreads / 32; ++w) {
    if (w < warp) sum += warp_sums[w];
    *total += warp_sums[w];
  }
  __syncthreads();  // before the next scan writes warp_sums
  return sum;
}

}  // namespace realfusion::cuda
