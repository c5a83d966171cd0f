// What the device kernels of the fused radiance field share. No torch: the CPU launch
// shim of csrc/tests runs these very bodies.
//
// A block of four warps takes tiles of 32 samples: the lane is the sample, and each
// warp owns a quarter of the levels (gather, scatter) and a quarter of every layer's
// units. Activations pass from layer to layer through shared memory, [unit][sample]
// with a padded row, so that both directions are free of bank conflicts. The numbers of
// the steps are those of core/field.h and cpu/radiance_field_simd.h.
#pragma once

#include "core/field.h"
#include "cuda/vector_access.cuh"

#if defined(__CUDACC__)
#define RF_DYNAMIC_SHARED(name) extern __shared__ float name[]
#else
#define RF_DYNAMIC_SHARED(name) static float name[1 << 16]
#endif

namespace realfusion::cuda {

constexpr int kFieldTile = 32;
constexpr int kFieldWarps = 4;
constexpr int kFieldBlock = kFieldTile * kFieldWarps;
constexpr int kFieldPitch = kFieldTile + 1;

// The field of one call; all pointers are device memory.
struct FieldCall {
  HashGrid grid;
  FieldSettings<float> settings;
  FieldNetwork<float> network;
  const float* table;      // [entries, F], in
  const float* positions;  // [n, 3] world, in
  int64_t num_samples;
  bool weights_in_shared;  // else the weights are read where they are
};

// Outputs of the forward, inputs of the backward. Without normals, normals and
// gradients are null.
struct FieldArrays {
  float* densities;           // [n]
  float* albedo;              // [n, 3]
  float* normals;             // [n, 3]
  float* gradients;           // [n, 3]
  unsigned long long* masks;  // [n, 2]
};

// d loss / d outputs; null stands for zeros.
struct FieldUpstreamArrays {
  const float* densities;
  const float* albedo;
  const float* normals;
};

// Host: floats of shared memory that a kernel takes.
inline int64_t field_weight_floats(int hidden_width, int num_inputs) {
  return int64_t{hidden_width} * (num_inputs + hidden_width + kFieldOutputs + 2);
}
inline int64_t field_shared_floats(int hidden_width, int num_inputs, bool is_backward,
                                   bool with_normals, bool weights_in_shared) {
  const int64_t rows =
      is_backward
          ? int64_t{3} * hidden_width + (with_normals ? 2 : 1) * int64_t{num_inputs} +
                kFieldOutputs
          : int64_t{2} * hidden_width + num_inputs + kFieldWarps * (kFieldOutputs + 3);
  return rows * kFieldPitch +
         (weights_in_shared ? field_weight_floats(hidden_width, num_inputs) : 0);
}

// The weights, in shared memory or where they were. All lanes of a warp read the same
// weight at a time.
template <int H>
__device__ inline FieldNetwork<float> place_weights(const FieldCall& call,
                                                    int num_inputs, float*& shared) {
  if (!call.weights_in_shared) return call.network;
  FieldNetwork<float> placed = call.network;
  const auto copy = [&](const float* from, int count) {
    float* to = shared;
    shared += count;
    for (int k = static_cast<int>(threadIdx.x); k < count; k += kFieldBlock) {
      to[k] = from[k];
    }
    return to;
  };
  placed.w1 = copy(call.network.w1, H * num_inputs);
  placed.w2 = copy(call.network.w2, H * H);
  placed.w3 = copy(call.network.w3, kFieldOutputs * H);
  placed.b1 = copy(call.network.b1, H);
  placed.b2 = copy(call.network.b2, H);
  return placed;
}

// The lane's sample: its position in the world and in the cube. A lane outside the box
// or behind the last sample stands at the centre and is not inside.
struct FieldLane {
  int64_t sample;
  bool exists;
  bool is_inside;
  float position[3];
  float unit[3];
};

__device__ inline FieldLane load_lane(const FieldCall& call, int64_t tile, int lane) {
  FieldLane own;
  own.sample = tile * kFieldTile + lane;
  own.exists = own.sample < call.num_samples;
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    own.position[axis] = own.exists ? call.positions[3 * own.sample + axis] : 0.0f;
  }
  to_unit_cube(call.settings, own.position, own.unit);
  own.is_inside = own.exists && is_in_unit_cube(own.unit);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    if (!own.is_inside) own.unit[axis] = 0.5f;
  }
  return own;
}

// 1, 9: features of the warp's levels, and with kWithTangent their derivatives.
template <int F, bool kWithTangent>
__device__ inline void gather_levels(const FieldCall& call, const FieldLane& own,
                                     const float direction[3], int lane, int warp,
                                     float* features, float* tangents) {
  for (int l = warp; l < call.grid.num_active_levels; l += kFieldWarps) {
    const HashGridLevel& level = call.grid.levels[l];
    const float* entries = call.table + level.offset * F;
    const DirectionalCorners<float> corners =
        grid_corners_along(level, call.grid.interpolation, own.unit, direction);
    float sums[F] = {};
    float tangent_sums[F] = {};
    RF_UNROLL
    for (int c = 0; c < 8; ++c) {
      float entry[F];
      load_vector<F>(entries + int64_t{corners.indices[c]} * F, entry);
      RF_UNROLL
      for (int f = 0; f < F; ++f) {
        sums[f] += corners.weights[c] * entry[f];
        if constexpr (kWithTangent) tangent_sums[f] += corners.tangents[c] * entry[f];
      }
    }
    RF_UNROLL
    for (int f = 0; f < F; ++f) {
      features[(l * F + f) * kFieldPitch + lane] = sums[f];
      if constexpr (kWithTangent) {
        tangents[(l * F + f) * kFieldPitch + lane] = tangent_sums[f];
      }
    }
  }
}

// sums[u] += sum_k weights[(first + u) row + k column] inputs[k][lane].
template <int kUnits>
__device__ inline void multiply(const float* weights, int row, int column,
                                const float* inputs, int num_inputs, int lane,
                                float sums[kUnits]) {
  for (int k = 0; k < num_inputs; ++k) {
    const float input = inputs[k * kFieldPitch + lane];
    RF_UNROLL
    for (int u = 0; u < kUnits; ++u) sums[u] += weights[u * row + k * column] * input;
  }
}

__device__ inline bool is_active(unsigned long long mask, int unit) {
  return (mask >> unit & 1) != 0;
}

// One level's features of W1^T inputs, for the lane. `columns` are the level's columns
// of W1. Each input is read once for all features.
template <int H, int F>
__device__ inline void project_back(const float* columns, int num_inputs,
                                    const float* inputs, int lane, float sums[F]) {
  RF_UNROLL
  for (int f = 0; f < F; ++f) sums[f] = 0.0f;
  for (int k = 0; k < H; ++k) {
    const float input = inputs[k * kFieldPitch + lane];
    RF_UNROLL
    for (int f = 0; f < F; ++f) sums[f] += columns[k * num_inputs + f] * input;
  }
}

}  // namespace realfusion::cuda
