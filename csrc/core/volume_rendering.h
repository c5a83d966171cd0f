// Volume rendering along one ray: the maths of one sample (Max 1995, eq. 2; Mildenhall
// et al. 2020, eq. 3), shared by the CPU and CUDA kernels. Torch-free.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "host_device.h"

namespace realfusion {

// 1 - exp(-optical_depth) without cancellation, for optical_depth >= 0.
RF_HOST_DEVICE double alpha_from_optical_depth(double optical_depth) {
  return -::expm1(-optical_depth);
}

// The float version is written out on the host, so that a loop over samples
// vectorises: exp(-x) = 2^n (1 + p(r)), r = -x - n ln 2, and the part of n = 0 is
// -p(r), exact to 2 ulp however small x is.
RF_HOST_DEVICE float alpha_from_optical_depth(float optical_depth) {
#if defined(__CUDA_ARCH__)
  return -expm1f(-optical_depth);
#else
  const float x = optical_depth > 80.0f ? 80.0f : optical_depth;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = -1.44269504f * x + kRound;
  const float n = shifted - kRound;
  const float r = (-x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r;  // exp(r) - 1
  const int32_t exponent = static_cast<int32_t>(n) + 127;
  const int32_t bits = exponent * (1 << 23);
  float power;
  std::memcpy(&power, &bits, sizeof(power));  // 2^n
  return (1.0f - power) - power * p;
#endif
}

// The share of a ray's light that one sample contributes, and what is left behind it.
// Weights telescope: the weights of a ray and its final transmittance sum to 1.
template <typename T>
struct RayStep {
  T weight;
  T transmittance;  // after the sample
};

// transmittance: before the sample; alpha: the sample's own opacity.
template <typename T>
RF_HOST_DEVICE RayStep<T> attenuate(T transmittance, T alpha) {
  const T weight = transmittance * alpha;
  return {weight, transmittance - weight};
}

// What the samples behind sample i sum to, built up from the last sample to the first.
template <typename T>
struct RaySuffix {
  T weight = 0;    // sum of w_j, j > i
  T response = 0;  // sum of w_j b_j, j > i, b_j = sum_c grad_value_c f_jc
};

// d loss / d density of sample i. The transmittance behind i is that behind the ray
// plus the suffix of weights: nothing is subtracted that could cancel.
template <typename T>
RF_HOST_DEVICE T density_gradient(T delta, T response, const RaySuffix<T>& suffix,
                                         T final_transmittance, T grad_opacity) {
  const T behind = final_transmittance + suffix.weight;
  return delta * (behind * response - suffix.response + grad_opacity * final_transmittance);
}

}  // namespace realfusion
