// Loads and sums of a few neighbouring floats at once. No torch: the CPU launch shim of
// csrc/tests includes it too.
#pragma once

#include "core/host_device.h"

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#endif

namespace realfusion::cuda {

// N neighbouring elements, aligned for one load where N * sizeof(T) is at most 16.
template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Vector {
  T items[N];
};

__device__ __forceinline__ float to_float(float value) { return value; }
#if defined(__CUDACC__)
__device__ __forceinline__ float to_float(__half value) { return __half2float(value); }
#endif

template <int N, class T>
__device__ __forceinline__ void load_vector(const T* from, float values[N]) {
  const Vector<T, N> vector = *reinterpret_cast<const Vector<T, N>*>(from);
  RF_UNROLL
  for (int k = 0; k < N; ++k) values[k] = to_float(vector.items[k]);
}

// to[k] += values[k], atomically an element, in no fixed order. From sm_90 on
// one reduction adds two or four neighbours.
template <int N>
__device__ __forceinline__ void add_vector(float* to, const float values[N]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  if constexpr (N >= 4) {
    RF_UNROLL
    for (int k = 0; k < N; k += 4) {
      asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to + k),
                   "f"(values[k]), "f"(values[k + 1]), "f"(values[k + 2]),
                   "f"(values[k + 3])
                   : "memory");
    }
  } else if constexpr (N == 2) {
    asm volatile("red.global.add.v2.f32 [%0], {%1, %2};" ::"l"(to), "f"(values[0]),
                 "f"(values[1])
                 : "memory");
  } else
#endif
  {
    RF_UNROLL
    for (int k = 0; k < N; ++k) atomicAdd(to + k, values[k]);
  }
}

}  // namespace realfusion::cuda
