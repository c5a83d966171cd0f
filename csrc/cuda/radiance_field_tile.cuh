// What the device kernels of the fused radiance field share: their arguments, shared
// memory and the hash grid's side. No torch: the CPU launch shim of csrc/tests runs
// these very bodies.
//
// A block takes tiles of T samples, two threads a sample. On the hash grid's side
// (gather, scatter) neighbouring lanes are neighbouring samples, which share cells, and
// a sample's two threads share out its levels. On the network's side each warp
// multiplies matrices for 16 samples (radiance_field_network.cuh). In between,
// activations stand in shared memory, [unit][sample]. The row's pitch of T + 4 floats
// keeps both sides free of bank conflicts: lanes read neighbouring samples, or rows
// 2 member and columns group, or rows group and columns member. The numbers of the
// steps are those of core/field.h and cpu/radiance_field_simd.h.
#pragma once

#include "core/field.h"
#include "cuda/grid_scatter.cuh"
#include "cuda/matrix_multiply.cuh"
#include "cuda/vector_access.cuh"

#if defined(__CUDACC__)
#define RF_DYNAMIC_SHARED(name) extern __shared__ __align__(16) float name[]
#else
#define RF_DYNAMIC_SHARED(name) alignas(16) static float name[1 << 16]
#endif

namespace realfusion::cuda {

constexpr int kWarpSamples = 16;  // the rows of a step of matrix_multiply.cuh
constexpr int kInputChunk = 32;   // inputs that are multiplied back at a time

// 128 samples a tile. The backward of 64 units keeps two activations of every unit of a
// tile: with 64 samples two blocks fit in a multiprocessor, and one gathers while the
// other multiplies; with 128 there would be room for one. Float32 is also for devices
// whose blocks have 64 KB, too few for 128 samples of 32 units.
constexpr int kForwardTile = 128;
constexpr int backward_tile(FieldPrecision precision, int hidden_width) {
  const bool is_small = hidden_width == 32 && precision == FieldPrecision::float32;
  return hidden_width == 64 || is_small ? 64 : 128;
}
template <FieldPrecision P, int H>
constexpr int kBackwardTile = backward_tile(P, H);

// Threads of a block that takes tiles of T samples.
template <int T>
constexpr int kFieldBlock = 2 * T;
template <int T>
constexpr int kFieldPitch = T + 4;

// The field of one call; all pointers are device memory.
struct FieldCall {
  HashGrid grid;
  FieldSettings<float> settings;
  FieldNetwork<float> network;
  const float* packed;     // float32 only: a PackedNetwork too large for shared memory
  const float* table;      // [entries, F], in
  const float* positions;  // [n, 3] world, in
  int64_t num_samples;
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

// The inputs in use, filled up with zeros to whole chunks.
RF_HOST_DEVICE int padded_inputs(const HashGrid& grid) {
  const int num_active = grid.num_active_levels * grid.num_features;
  return (num_active + kInputChunk - 1) / kInputChunk * kInputChunk;
}

// The weights as the products read them: rows padded by 4 floats, W1 with the inputs in
// use only, both matrices rounded as operands.
struct PackedNetwork {
  const float* w1;  // [H][pitch1]
  const float* w2;  // [H][H + 4]
  const float* w3;  // [4][H]
  const float* b1;  // [H]
  const float* b2;  // [H]
  int pitch1;       // padded inputs + 4
};

template <int H>
constexpr int kPitch2 = H + 4;

RF_HOST_DEVICE int packed_floats(int hidden_width, int num_padded) {
  return hidden_width * (num_padded + hidden_width + 8 + kFieldOutputs + 2);
}

template <int H>
__device__ inline PackedNetwork view_packed(const float* memory, int num_padded) {
  PackedNetwork packed;
  packed.pitch1 = num_padded + 4;
  packed.w1 = memory;
  packed.w2 = packed.w1 + H * packed.pitch1;
  packed.w3 = packed.w2 + H * kPitch2<H>;
  packed.b1 = packed.w3 + kFieldOutputs * H;
  packed.b2 = packed.b1 + H;
  return packed;
}

// Writes a PackedNetwork; all threads of the block take part.
template <FieldPrecision P, int H>
__device__ inline void pack_network(const FieldCall& call, int num_padded, float* to) {
  const int num_inputs = call.grid.num_levels * call.grid.num_features;
  const int num_active = call.grid.num_active_levels * call.grid.num_features;
  const int thread = static_cast<int>(threadIdx.x);
  const int num_threads = static_cast<int>(blockDim.x);
  const FieldNetwork<float>& network = call.network;
  for (int i = thread; i < H * (num_padded + 4); i += num_threads) {
    const int row = i / (num_padded + 4);
    const int column = i % (num_padded + 4);
    to[i] = column < num_active
                ? round_operand<P>(network.w1[row * num_inputs + column])
                : 0.0f;
  }
  to += H * (num_padded + 4);
  for (int i = thread; i < H * kPitch2<H>; i += num_threads) {
    const int row = i / kPitch2<H>;
    const int column = i % kPitch2<H>;
    to[i] = column < H ? round_operand<P>(network.w2[row * H + column]) : 0.0f;
  }
  to += H * kPitch2<H>;
  for (int i = thread; i < kFieldOutputs * H; i += num_threads) to[i] = network.w3[i];
  to += kFieldOutputs * H;
  for (int i = thread; i < H; i += num_threads) {
    to[i] = network.b1[i];
    to[H + i] = network.b2[i];
  }
}

// Launch: one block.
template <int H>
__global__ void __launch_bounds__(256)
    field_pack_kernel(const __grid_constant__ FieldCall call, float* packed) {
  pack_network<FieldPrecision::float32, H>(call, padded_inputs(call.grid), packed);
}

// The packed weights, in shared memory, of which they take their part. A barrier must
// follow. Only float32 may find them elsewhere: for tensor cores to keep up, the
// compiler must know where it loads from.
template <FieldPrecision P, int H>
__device__ inline PackedNetwork place_network(const FieldCall& call, int num_padded,
                                              float*& memory) {
  if constexpr (P == FieldPrecision::float32) {
    if (call.packed != nullptr) return view_packed<H>(call.packed, num_padded);
  }
  pack_network<P, H>(call, num_padded, memory);
  const PackedNetwork packed = view_packed<H>(memory, num_padded);
  memory += packed_floats(H, num_padded);
  return packed;
}

// Shared memory of a tile beside the weights.
struct ForwardShared {
  float* inputs;              // e, then v: [padded inputs][pitch]
  float* hidden;              // h1, then r1: [H][pitch]
  float* outputs;             // o: [T][4]
  float* parts;               // the second threads' share of z: [3][T]
  unsigned long long* masks;  // [2][T]
};
struct BackwardShared {
  float* inputs;              // e, then ebar: [padded inputs][pitch]
  float* tangents;            // t0, then v; only with normals
  float* first;               // h1, then A1: [H][pitch]
  float* second;              // h2, then t1, then r1: [H][pitch]
  float* grad_outputs;        // obar: [T][4]
  unsigned long long* masks;  // [2][T]
};

// Host: floats of shared memory that a kernel takes.
inline int64_t forward_shared_floats(int hidden_width, int num_padded) {
  constexpr int64_t T = kForwardTile;
  return int64_t{num_padded + hidden_width} * kFieldPitch<kForwardTile> +
         (kFieldOutputs + 3 + 4) * T;
}
inline int64_t backward_shared_floats(FieldPrecision precision, int hidden_width,
                                      int num_padded, bool with_normals) {
  const int64_t T = backward_tile(precision, hidden_width);
  const int64_t rows = int64_t{2} * hidden_width + (with_normals ? 2 : 1) * num_padded;
  return rows * (T + 4) + (kFieldOutputs + 4) * T;
}

// A thread's sample: its position in the world and in the cube, there at the origin
// unless inside.
struct FieldLane {
  int64_t sample;
  int slot;  // in the tile
  int part;  // of the sample's levels: l = part, part + 2, ...
  bool exists;
  bool is_inside;
  float position[3];
  float unit[3];
};

template <int T>
__device__ inline FieldLane load_lane(const FieldCall& call, int64_t tile) {
  FieldLane own;
  own.slot = static_cast<int>(threadIdx.x) % T;
  own.part = static_cast<int>(threadIdx.x) / T;
  own.sample = tile * T + own.slot;
  own.exists = own.sample < call.num_samples;
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    own.position[axis] = own.exists ? call.positions[3 * own.sample + axis] : 0.0f;
  }
  to_unit_cube(call.settings, own.position, own.unit);
  own.is_inside = own.exists && is_in_unit_cube(own.unit);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    if (!own.is_inside) own.unit[axis] = 0.0f;
  }
  return own;
}

// Calls `function` with the features a level as a compile-time constant. The network
// does not care how its inputs are shared out among levels, and so a kernel is compiled
// for all of them at once.
template <int F>
struct FeatureCount {
  static constexpr int value = F;
};
template <class Function>
__device__ inline void with_features(int num_features, const Function& function) {
  switch (num_features) {
    case 1:
      return function(FeatureCount<1>{});
    case 2:
      return function(FeatureCount<2>{});
    case 4:
      return function(FeatureCount<4>{});
    default:
      return function(FeatureCount<8>{});
  }
}

// Features fetched together: one load's worth. A level of eight is taken as two items,
// whose loads and sums would else need too many registers at once.
template <int F>
constexpr int kFetch = F < 4 ? F : 4;
template <int F>
constexpr int kLevelItems = F / kFetch<F>;

// An item's level, and its slice of the features.
struct LevelItem {
  int level;
  int first_feature;  // in the level
  int first_row;      // in the network's inputs
};
template <int F>
__device__ inline LevelItem level_item(int item) {
  const int level = item / kLevelItems<F>;
  const int first = item % kLevelItems<F> * kFetch<F>;
  return {level, first, level * F + first};
}

// 1, 9: features of the thread's levels and, with kWithTangent, their derivatives along
// `direction`; zeros where the sample does not count, and in the padding. An item's
// eight loads are in flight together.
template <FieldPrecision P, int T, int F, bool kWithTangent>
__device__ inline void gather_levels(const FieldCall& call, const FieldLane& own,
                                     bool counts, const float direction[3],
                                     int num_padded, float* features, float* tangents) {
  constexpr int G = kFetch<F>;
  RF_UNROLL_BY(1)
  for (int i = own.part; i < num_padded / G; i += 2) {
    const LevelItem item = level_item<F>(i);
    float sums[G] = {};
    float tangent_sums[G] = {};
    if (counts && item.level < call.grid.num_active_levels) {
      const HashGridLevel& level = call.grid.levels[item.level];
      const float* entries = call.table + level.offset * F + item.first_feature;
      const DirectionalCorners<float> corners =
          grid_corners_along(level, call.grid.interpolation, own.unit, direction);
      RF_UNROLL
      for (int c = 0; c < 8; ++c) {
        float entry[G];
        load_vector<G>(entries + int64_t{corners.indices[c]} * F, entry);
        RF_UNROLL
        for (int f = 0; f < G; ++f) {
          sums[f] += corners.weights[c] * entry[f];
          if constexpr (kWithTangent) tangent_sums[f] += corners.tangents[c] * entry[f];
        }
      }
    }
    RF_UNROLL
    for (int f = 0; f < G; ++f) {
      const int cell = (item.first_row + f) * kFieldPitch<T> + own.slot;
      features[cell] = round_operand<P>(sums[f]);
      if constexpr (kWithTangent) tangents[cell] = round_operand<P>(tangent_sums[f]);
    }
  }
}

// 5: adds J^T v over the thread's levels, per unit of the cube.
template <int T, int F>
__device__ inline void pull_back_levels(const FieldCall& call, const FieldLane& own,
                                        const float* reverse, float gradient[3]) {
  constexpr int G = kFetch<F>;
  const int num_items = call.grid.num_active_levels * kLevelItems<F>;
  RF_UNROLL_BY(1)
  for (int i = own.part; i < num_items; i += 2) {
    const LevelItem item = level_item<F>(i);
    const HashGridLevel& level = call.grid.levels[item.level];
    const float* entries = call.table + level.offset * F + item.first_feature;
    float values[G];
    RF_UNROLL
    for (int f = 0; f < G; ++f) {
      values[f] = reverse[(item.first_row + f) * kFieldPitch<T> + own.slot];
    }
    const GridCornersWithGradients<float> corners =
        grid_corners_with_gradients(level, call.grid.interpolation, own.unit);
    RF_UNROLL
    for (int c = 0; c < 8; ++c) {
      float entry[G];
      load_vector<G>(entries + int64_t{corners.indices[c]} * F, entry);
      float dot = 0.0f;
      RF_UNROLL
      for (int f = 0; f < G; ++f) dot += values[f] * entry[f];
      RF_UNROLL
      for (int axis = 0; axis < 3; ++axis) {
        gradient[axis] += dot * corners.gradients[c][axis];
      }
    }
  }
}

// 14: adds the levels of the samples that count to the table's gradient. `features` is
// ebar, `reverse` v (not read without normals). All threads call it: the lanes of a
// warp are neighbouring samples and share out the same levels.
template <int T, int F, bool kWithNormal, class Sums>
__device__ inline void scatter_levels(const FieldCall& call, const FieldLane& own,
                                      bool counts, const float direction[3],
                                      const float* features, const float* reverse,
                                      Sums& sums) {
  static_assert(T % 32 == 0);
  constexpr int G = kFetch<F>;
  const int num_items = call.grid.num_active_levels * kLevelItems<F>;
  RF_UNROLL_BY(1)
  for (int i = own.part; i < num_items; i += 2) {
    const LevelItem item = level_item<F>(i);
    const HashGridLevel& level = call.grid.levels[item.level];
    float grads[G];
    float reverses[G];
    RF_UNROLL
    for (int f = 0; f < G; ++f) {
      const int cell = (item.first_row + f) * kFieldPitch<T> + own.slot;
      grads[f] = features[cell];
      if constexpr (kWithNormal) reverses[f] = reverse[cell];
    }
    const CellRuns runs(grid_cell(level, own.unit).corner, counts);
    const DirectionalCorners<float> corners =
        grid_corners_along(level, call.grid.interpolation, own.unit, direction);
    RF_UNROLL
    for (int c = 0; c < 8; ++c) {
      float values[G];
      RF_UNROLL
      for (int f = 0; f < G; ++f) {
        values[f] = corners.weights[c] * grads[f];
        if constexpr (kWithNormal) values[f] += corners.tangents[c] * reverses[f];
      }
      const int64_t entry = level.offset + int64_t{corners.indices[c]};
      runs.add<G>(sums, entry * F + item.first_feature, values);
    }
  }
}

}  // namespace realfusion::cuda
