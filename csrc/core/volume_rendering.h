// Volume rendering along one ray: the maths of one sample (Max 1995, eq. 2; Mildenhall
// et al. 2020, eq. 3), shared by the CPU and CUDA kernels. Torch-free.
#pragma once

#include "exponential.h"
#include "host_device.h"

namespace realfusion {

// How much of the light a sample stops: optical depth = density (1/unit) * delta
// (unit).
template <typename T>
RF_HOST_DEVICE T alpha_from_optical_depth(T optical_depth) {
  return one_minus_exponential(optical_depth);
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

// The cosine between a sample's normal and the direction of its ray, if the normal
// faces away from the camera; 0 if it does not. What is not a number stays none.
template <typename T>
RF_HOST_DEVICE T back_facing_cosine(const T* normal, const T* direction) {
  const T cosine =
      normal[0] * direction[0] + normal[1] * direction[1] + normal[2] * direction[2];
  return cosine < T(0) ? T(0) : cosine;
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
  return delta *
         (behind * response - suffix.response + grad_opacity * final_transmittance);
}

}  // namespace realfusion
