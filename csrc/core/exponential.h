// Exponentials that vectorise: on the host the float versions are written out, so that
// a compiler turns a loop over samples into SIMD code for whatever target it has, with
// the same bits from every thread. On the device they are the CUDA functions.
#pragma once

#include <cstring>

#include "host_device.h"

namespace realfusion {

namespace detail {

// exp(x) = 2^n (1 + p), |x - n ln 2| <= ln 2 / 2, for -87 <= x <= 88.
struct ReducedExponential {
  float power;          // 2^n
  float remainder_exp;  // p = exp(x - n ln 2) - 1, relative error 2e-7
};

inline __attribute__((always_inline)) ReducedExponential reduce_exponential(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float n = (1.44269504f * x + kRound) - kRound;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const int32_t bits = (static_cast<int32_t>(n) + 127) * (1 << 23);
  float power;
  std::memcpy(&power, &bits, sizeof(power));
  return {power, p * r * r + r};
}

}  // namespace detail

// exp(value); the float version clamps to exp(-87) .. exp(88), so that it is finite.
RF_HOST_DEVICE double exponential(double value) { return ::exp(value); }
RF_HOST_DEVICE float exponential(float value) {
#if defined(__CUDA_ARCH__)
  return ::expf(::fminf(::fmaxf(value, -87.0f), 88.0f));
#else
  float x = value < -87.0f ? -87.0f : value;
  x = x > 88.0f ? 88.0f : x;
  const detail::ReducedExponential e = detail::reduce_exponential(x);
  return e.power + e.power * e.remainder_exp;
#endif
}

// 1 - exp(-value) for value >= 0, without cancellation where value is small: there
// 2^n is 1 and what is left is -p.
RF_HOST_DEVICE double one_minus_exponential(double value) { return -::expm1(-value); }
RF_HOST_DEVICE float one_minus_exponential(float value) {
#if defined(__CUDA_ARCH__)
  return -::expm1f(-value);
#else
  const float x = value > 80.0f ? 80.0f : value;
  const detail::ReducedExponential e = detail::reduce_exponential(-x);
  return (1.0f - e.power) - e.power * e.remainder_exp;
#endif
}

}  // namespace realfusion
