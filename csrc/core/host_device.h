// Marks functions that compile for the host and, under nvcc, for the device too.
#pragma once

#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define RF_HOST_DEVICE __host__ __device__ __forceinline__
#define RF_UNROLL _Pragma("unroll")
#else
#define RF_HOST_DEVICE inline __attribute__((always_inline))
#define RF_UNROLL _Pragma("GCC unroll 8")
#endif

namespace realfusion {

// a * b + c with one rounding. Written out wherever a floor depends on the result, so
// that every compiler, instruction set and device floors into the same cell.
RF_HOST_DEVICE float fused_multiply_add(float a, float b, float c) {
  return ::fmaf(a, b, c);
}
RF_HOST_DEVICE double fused_multiply_add(double a, double b, double c) {
  return ::fma(a, b, c);
}

RF_HOST_DEVICE float round_down(float value) { return ::floorf(value); }
RF_HOST_DEVICE double round_down(double value) { return ::floor(value); }

}  // namespace realfusion
