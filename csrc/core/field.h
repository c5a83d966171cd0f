// The fused radiance field: the maths of one sample, shared by the scalar CPU kernel
// (which is the oracle of the SIMD kernels) and the CUDA kernels. Torch-free.
//
// Let E(x) be the hash-grid features of a position, W1, W2, W3 an MLP with ReLU, and
//   s(x) = o_0 + blob(x),  o = W3 relu(W2 relu(W1 E + b1) + b2) + b3.
// Then density = exp(s), albedo = sigmoid(o_1..3) and normal = -z / |z| with z = grad
// s: the density's gradient is density * z, so that the normal does not depend on the
// density and nothing overflows. The ReLU masks carry the first derivative, so that the
// second order (from a loss on normals to the weights) needs no activation's curvature:
//   z = J^T v + grad blob,  v = W1^T m1 W2^T m2 W3[0],  J = dE/dx,
// and the gradient of <z, zbar> is that of the tangent t = J zbar pushed through the
// masked network.
#pragma once

#include "exponential.h"
#include "hash_grid.h"
#include "host_device.h"

namespace realfusion {

// exp is cut off at this pre-activation: a density of 3e6 1/unit is opaque at any step.
// The gradient passes as if it were not (its factor is the cut-off density).
constexpr float kMaxLogDensity = 15.0f;

// A gradient of the log-density shorter than this (1/unit) has no direction worth the
// name: there the normal shrinks to zero instead of turning at random.
constexpr float kMinGradientNorm = 1e-3f;

constexpr int kFieldOutputs = 4;  // log-density, and albedo before the sigmoid
constexpr int kMaxHiddenWidth = 64;
constexpr int kMaxFieldFeatures = kMaxHashGridLevels * 8;

// The scene's box [-bound, bound]^3 and the blob that the log-density starts from,
// density * exp(-|x|^2 / (2 radius^2)).
template <class T>
struct FieldSettings {
  T inverse_extent;  // 1 / (2 bound)
  T blob_density;
  T blob_inverse_variance;  // 1 / radius^2
};

// Host: the settings from what the user says, rounded once from double.
template <class T>
FieldSettings<T> make_field_settings(double bound, double blob_density,
                                     double blob_radius) {
  return {static_cast<T>(0.5 / bound), static_cast<T>(blob_density),
          static_cast<T>(1.0 / (blob_radius * blob_radius))};
}

// The network, row-major: w1 [H, D], b1 [H], w2 [H, H], b2 [H], w3 [4, H], b3 [4], with
// D = L * F features.
template <class T>
struct FieldNetwork {
  const T* w1;
  const T* b1;
  const T* w2;
  const T* b2;
  const T* w3;
  const T* b3;
};

// Gradients, laid out as the network.
template <class T>
struct FieldNetworkGradients {
  T* w1;
  T* b1;
  T* w2;
  T* b2;
  T* w3;
  T* b3;
};

// What the field says of a sample, and what its backward needs besides: 44 bytes.
template <class T>
struct FieldSample {
  T density;
  T albedo[3];
  T gradient[3];   // z = grad log-density, 1/unit
  uint64_t mask1;  // bit k: hidden unit k of layer 1 is active
  uint64_t mask2;
};

// d loss / d (density, albedo, normal) of one sample.
template <class T>
struct FieldUpstream {
  T density;
  T albedo[3];
  T normal[3];
};

template <class T>
RF_HOST_DEVICE void to_unit_cube(const FieldSettings<T>& settings, const T position[3],
                                 T unit[3]) {
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    unit[axis] = fused_multiply_add(position[axis], settings.inverse_extent, T(0.5));
  }
}

template <class T>
RF_HOST_DEVICE T density_blob(const FieldSettings<T>& settings, const T position[3]) {
  const T squared =
      position[0] * position[0] + position[1] * position[1] + position[2] * position[2];
  return settings.blob_density *
         exponential(T(-0.5) * settings.blob_inverse_variance * squared);
}

template <class T>
RF_HOST_DEVICE T density_from_log(T log_density) {
  const T limit = T(kMaxLogDensity);
  return exponential(log_density > limit ? limit : log_density);
}

template <class T>
RF_HOST_DEVICE T sigmoid(T value) {
  return T(1) / (T(1) + exponential(-value));
}

// The divisor of the normal: the length of z, or the least length that counts.
template <class T>
RF_HOST_DEVICE T gradient_norm(const T gradient[3]) {
  const T squared =
      gradient[0] * gradient[0] + gradient[1] * gradient[1] + gradient[2] * gradient[2];
  const T norm = ::sqrt(squared);
  return norm < T(kMinGradientNorm) ? T(kMinGradientNorm) : norm;
}

template <class T>
RF_HOST_DEVICE void normal_from_gradient(const T gradient[3], T normal[3]) {
  const T factor = T(-1) / gradient_norm(gradient);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) normal[axis] = factor * gradient[axis];
}

// zbar = -(nbar - n (n . nbar)) / |z|, and -nbar / least length below that length.
template <class T>
RF_HOST_DEVICE void normal_from_gradient_backward(const T gradient[3],
                                                  const T grad_normal[3],
                                                  T grad_gradient[3]) {
  const T norm = gradient_norm(gradient);
  const T inverse = T(1) / norm;
  T along = T(0);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) along += gradient[axis] * grad_normal[axis];
  along = norm > T(kMinGradientNorm) ? along * inverse * inverse : T(0);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    grad_gradient[axis] = -(grad_normal[axis] - gradient[axis] * along) * inverse;
  }
}

// d loss / d o, from the outputs themselves: density' = density, c' = c (1 - c).
template <class T>
RF_HOST_DEVICE void activation_backward(T density, const T albedo[3],
                                        const FieldUpstream<T>& upstream,
                                        T grad_outputs[kFieldOutputs]) {
  grad_outputs[0] = density * upstream.density;
  RF_UNROLL
  for (int c = 0; c < 3; ++c) {
    grad_outputs[1 + c] = upstream.albedo[c] * albedo[c] * (T(1) - albedo[c]);
  }
}

// Weights of a cell's corners for the value and for the derivative along a direction
// (in units of the cube, times the level's scale already in `slope`).
template <class T>
struct DirectionalCorners {
  uint32_t indices[8];
  T weights[8];   // alpha_c
  T tangents[8];  // grad alpha_c . direction
};

template <class T>
RF_HOST_DEVICE DirectionalCorners<T> grid_corners_along(const HashGridLevel& level,
                                                        GridInterpolation interpolation,
                                                        const T unit[3],
                                                        const T direction[3]) {
  const GridCornersWithGradients<T> corners =
      grid_corners_with_gradients(level, interpolation, unit);
  DirectionalCorners<T> along;
  RF_UNROLL
  for (int c = 0; c < 8; ++c) {
    along.indices[c] = corners.indices[c];
    along.weights[c] = corners.weights[c];
    along.tangents[c] = corners.gradients[c][0] * direction[0] +
                        corners.gradients[c][1] * direction[1] +
                        corners.gradients[c][2] * direction[2];
  }
  return along;
}

// Features of one level and their derivative along a direction. `entries` is the
// level's slice of the table, [size, F].
template <int F, class T, class Entry>
RF_HOST_DEVICE void encode_level_along(const HashGridLevel& level,
                                       GridInterpolation interpolation, const T unit[3],
                                       const T direction[3], const Entry* entries,
                                       T features[F], T tangents[F]) {
  const DirectionalCorners<T> corners =
      grid_corners_along(level, interpolation, unit, direction);
  RF_UNROLL
  for (int f = 0; f < F; ++f) features[f] = tangents[f] = T(0);
  RF_UNROLL
  for (int c = 0; c < 8; ++c) {
    const Entry* entry = entries + static_cast<int64_t>(corners.indices[c]) * F;
    RF_UNROLL
    for (int f = 0; f < F; ++f) {
      features[f] += corners.weights[c] * T(entry[f]);
      tangents[f] += corners.tangents[c] * T(entry[f]);
    }
  }
}

// Steps 1-6 of one sample: density, albedo, and with kWithNormal the gradient of the
// log-density. H is the hidden width, F the features a level.
template <class T, int H, int F, bool kWithNormal>
RF_HOST_DEVICE FieldSample<T> field_forward(const HashGrid& grid,
                                            const FieldSettings<T>& settings,
                                            const FieldNetwork<T>& network,
                                            const T* table, const T position[3]) {
  FieldSample<T> sample{};
  T unit[3];
  to_unit_cube(settings, position, unit);
  if (!is_in_unit_cube(unit)) return sample;

  const int num_inputs = grid.num_levels * F;
  const int num_active = grid.num_active_levels * F;
  T hidden1[H];
  for (int k = 0; k < H; ++k) hidden1[k] = network.b1[k];
  for (int l = 0; l < grid.num_active_levels; ++l) {
    const HashGridLevel& level = grid.levels[l];
    T features[F];
    encode_level<F>(level, grid.interpolation, unit, table + level.offset * F,
                    features);
    for (int k = 0; k < H; ++k) {
      const T* row = network.w1 + k * num_inputs + l * F;
      RF_UNROLL
      for (int f = 0; f < F; ++f) hidden1[k] += row[f] * features[f];
    }
  }
  for (int k = 0; k < H; ++k) {
    if (hidden1[k] <= T(0)) {  // false for NaN, which must not vanish here
      hidden1[k] = T(0);
    } else {
      sample.mask1 |= uint64_t{1} << k;
    }
  }

  T outputs[kFieldOutputs];
  for (int o = 0; o < kFieldOutputs; ++o) outputs[o] = network.b3[o];
  T reverse1[H];  // r1 = m1 W2^T m2 W3[0]
  for (int k = 0; k < H; ++k) reverse1[k] = T(0);
  for (int j = 0; j < H; ++j) {
    const T* row = network.w2 + j * H;
    T hidden2 = network.b2[j];
    for (int k = 0; k < H; ++k) hidden2 += row[k] * hidden1[k];
    if (hidden2 <= T(0)) continue;
    sample.mask2 |= uint64_t{1} << j;
    for (int o = 0; o < kFieldOutputs; ++o) {
      outputs[o] += network.w3[o * H + j] * hidden2;
    }
    if constexpr (kWithNormal) {
      const T reverse2 = network.w3[j];
      for (int k = 0; k < H; ++k) reverse1[k] += row[k] * reverse2;
    }
  }

  const T blob = density_blob(settings, position);
  sample.density = density_from_log(outputs[0] + blob);
  for (int c = 0; c < 3; ++c) sample.albedo[c] = sigmoid(outputs[1 + c]);
  if constexpr (kWithNormal) {
    T reverse0[kMaxFieldFeatures];  // v = W1^T r1
    for (int d = 0; d < num_active; ++d) reverse0[d] = T(0);
    for (int k = 0; k < H; ++k) {
      if (!(sample.mask1 >> k & 1)) continue;
      const T* row = network.w1 + k * num_inputs;
      for (int d = 0; d < num_active; ++d) reverse0[d] += row[d] * reverse1[k];
    }
    T gradient[3] = {T(0), T(0), T(0)};
    for (int l = 0; l < grid.num_active_levels; ++l) {
      const HashGridLevel& level = grid.levels[l];
      encode_level_backward_position<F>(level, grid.interpolation, unit,
                                        table + level.offset * F, reverse0 + l * F,
                                        gradient);
    }
    const T pull = -blob * settings.blob_inverse_variance;
    for (int axis = 0; axis < 3; ++axis) {
      sample.gradient[axis] =
          gradient[axis] * settings.inverse_extent + pull * position[axis];
    }
  }
  return sample;
}

// What the scatter into the table needs of one sample.
template <class T>
struct FieldSampleGradients {
  T* features;   // d loss / d E, [active levels * F], out
  T* reverse;    // v of the forward, [active levels * F], out
  T* direction;  // zbar in units of the cube, [3], out
};

// Steps 7-13 of one sample: adds to the network's gradients and writes what the scatter
// needs. Every ReLU is taken from the saved masks, never decided again.
template <class T, int H, int F, bool kWithNormal>
RF_HOST_DEVICE void field_backward(const HashGrid& grid,
                                   const FieldSettings<T>& settings,
                                   const FieldNetwork<T>& network, const T* table,
                                   const T position[3], const FieldSample<T>& sample,
                                   const FieldUpstream<T>& upstream,
                                   const FieldNetworkGradients<T>& gradients,
                                   const FieldSampleGradients<T>& out) {
  const int num_inputs = grid.num_levels * F;
  const int num_active = grid.num_active_levels * F;
  for (int axis = 0; axis < 3; ++axis) out.direction[axis] = T(0);
  for (int d = 0; d < num_active; ++d) out.features[d] = out.reverse[d] = T(0);
  T unit[3];
  to_unit_cube(settings, position, unit);
  if (!is_in_unit_cube(unit)) return;

  T grad_outputs[kFieldOutputs];
  activation_backward(sample.density, sample.albedo, upstream, grad_outputs);
  if constexpr (kWithNormal) {
    normal_from_gradient_backward(sample.gradient, upstream.normal, out.direction);
    for (int axis = 0; axis < 3; ++axis) out.direction[axis] *= settings.inverse_extent;
  }

  T features[kMaxFieldFeatures];
  T tangents[kMaxFieldFeatures];
  for (int l = 0; l < grid.num_active_levels; ++l) {
    const HashGridLevel& level = grid.levels[l];
    const T* entries = table + level.offset * F;
    if constexpr (kWithNormal) {
      encode_level_along<F>(level, grid.interpolation, unit, out.direction, entries,
                            features + l * F, tangents + l * F);
    } else {
      encode_level<F>(level, grid.interpolation, unit, entries, features + l * F);
    }
  }

  T hidden1[H];   // h1
  T tangent1[H];  // t1 = m1 W1 t0
  T grad1[H];     // A1 = m1 W2^T A2
  T reverse1[H];  // r1
  for (int k = 0; k < H; ++k) {
    hidden1[k] = tangent1[k] = grad1[k] = reverse1[k] = T(0);
    if (!(sample.mask1 >> k & 1)) continue;
    const T* row = network.w1 + k * num_inputs;
    hidden1[k] = network.b1[k];
    for (int d = 0; d < num_active; ++d) {
      hidden1[k] += row[d] * features[d];
      if constexpr (kWithNormal) tangent1[k] += row[d] * tangents[d];
    }
  }

  for (int o = 0; o < kFieldOutputs; ++o) gradients.b3[o] += grad_outputs[o];
  for (int j = 0; j < H; ++j) {
    if (!(sample.mask2 >> j & 1)) continue;
    const T* row = network.w2 + j * H;
    T* grad_row = gradients.w2 + j * H;
    T hidden2 = network.b2[j];
    T tangent2 = T(0);
    T grad2 = T(0);
    const T reverse2 = network.w3[j];
    for (int o = 0; o < kFieldOutputs; ++o) {
      grad2 += network.w3[o * H + j] * grad_outputs[o];
    }
    for (int k = 0; k < H; ++k) {
      hidden2 += row[k] * hidden1[k];
      grad1[k] += row[k] * grad2;
      if constexpr (kWithNormal) {
        tangent2 += row[k] * tangent1[k];
        reverse1[k] += row[k] * reverse2;
        grad_row[k] += grad2 * hidden1[k] + reverse2 * tangent1[k];
      } else {
        grad_row[k] += grad2 * hidden1[k];
      }
    }
    gradients.b2[j] += grad2;
    for (int o = 0; o < kFieldOutputs; ++o) {
      gradients.w3[o * H + j] += grad_outputs[o] * hidden2;
    }
    gradients.w3[j] += tangent2;
  }

  for (int k = 0; k < H; ++k) {
    if (!(sample.mask1 >> k & 1)) continue;
    const T* row = network.w1 + k * num_inputs;
    T* grad_row = gradients.w1 + k * num_inputs;
    gradients.b1[k] += grad1[k];
    for (int d = 0; d < num_active; ++d) {
      out.features[d] += row[d] * grad1[k];
      if constexpr (kWithNormal) {
        out.reverse[d] += row[d] * reverse1[k];
        grad_row[d] += grad1[k] * features[d] + reverse1[k] * tangents[d];
      } else {
        grad_row[d] += grad1[k] * features[d];
      }
    }
  }
}

// Step 14 of one sample on one level: one scatter serves the value and the normal.
// grad_features, reverse [F], in; grad_entries [size, F], added to. Only the entries
// first_entry..last_entry are written: several owners may share out a level.
template <int F, class T>
RF_HOST_DEVICE void scatter_level(const HashGridLevel& level,
                                  GridInterpolation interpolation, const T unit[3],
                                  const T direction[3], const T* grad_features,
                                  const T* reverse, T* grad_entries,
                                  uint32_t first_entry, uint32_t last_entry) {
  const DirectionalCorners<T> corners =
      grid_corners_along(level, interpolation, unit, direction);
  RF_UNROLL
  for (int c = 0; c < 8; ++c) {
    if (corners.indices[c] < first_entry || corners.indices[c] >= last_entry) continue;
    T* entry = grad_entries + static_cast<int64_t>(corners.indices[c]) * F;
    RF_UNROLL
    for (int f = 0; f < F; ++f) {
      entry[f] +=
          corners.weights[c] * grad_features[f] + corners.tangents[c] * reverse[f];
    }
  }
}

}  // namespace realfusion
