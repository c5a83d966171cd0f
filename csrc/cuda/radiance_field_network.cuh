// The network's side of the fused radiance field on the device: layers of a warp's 16
// samples, and their gradients over a tile.
#pragma once

#include "cuda/radiance_field_tile.cuh"

namespace realfusion::cuda {

// N units of a warp's 16 samples, as the sums of a product lie: of the units
// 8 n + 2 member and the next, the samples group (0, 1) and group + 8 (2, 3).
template <int N>
struct Activations {
  float values[N / 8][4] = {};
};

// What of a warp's samples is in its lanes' care.
struct WarpSamples {
  int first;  // the warp's first sample in the tile
  int group;
  int member;

  __device__ static WarpSamples own() {
    const FragmentLane lane = FragmentLane::own();
    return {static_cast<int>(threadIdx.x) / 32 * kWarpSamples, lane.group, lane.member};
  }
  // The lane's sample in the tile; row is 0 or 1.
  __device__ int sample(int row) const { return first + group + 8 * row; }
};

// The ReLU masks of the lane's two samples.
struct RowMasks {
  unsigned long long rows[2];
};

__device__ inline bool is_active(unsigned long long mask, int unit) {
  return (mask >> unit & 1) != 0;
}

template <int H>
__device__ inline Activations<H> broadcast_bias(const float* bias) {
  const int member = FragmentLane::own().member;
  Activations<H> sums;
  RF_UNROLL
  for (int n = 0; n < H / 8; ++n) {
    RF_UNROLL
    for (int i = 0; i < 4; ++i) sums.values[n][i] = bias[8 * n + 2 * member + i % 2];
  }
  return sums;
}

// sums += W x for num_inputs inputs (a multiple of the depth): `input(row, k)` is x of
// the lane's sample `row`, rounded. `weights` is W [N][pitch] or, with kTransposed, its
// transpose. A step of float32 is some 400 instructions: its loop stays rolled.
template <FieldPrecision P, bool kTransposed, int N, class Input>
__device__ inline void multiply_layer(const float* weights, int pitch, int num_inputs,
                                      const Input& input, Activations<N>& sums) {
  constexpr int kBlocks = kDepth<P> / 8;
  const FragmentLane lane = FragmentLane::own();
  RF_UNROLL_BY(P == FieldPrecision::tf32 ? 2 : 1)
  for (int k0 = 0; k0 < num_inputs; k0 += kDepth<P>) {
    float left[kBlocks][4];
    RF_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      RF_UNROLL
      for (int i = 0; i < 4; ++i) {
        left[b][i] = input(i % 2, k0 + 8 * b + 2 * lane.member + i / 2);
      }
    }
    const LeftFragment<P> left_fragment = make_left<P>(left);
    RF_UNROLL
    for (int n = 0; n < N / 8; ++n) {
      float right[kBlocks][2];
      RF_UNROLL
      for (int b = 0; b < kBlocks; ++b) {
        const int k = k0 + 8 * b + 2 * lane.member;
        const int unit = 8 * n + lane.group;
        if constexpr (kTransposed) {
          right[b][0] = weights[k * pitch + unit];
          right[b][1] = weights[(k + 1) * pitch + unit];
        } else {
          load_vector<2>(weights + unit * pitch + k, right[b]);
        }
      }
      multiply_add<P>(sums.values[n], left_fragment, make_right<P>(right));
    }
  }
}

// x in shared memory, [unit][sample].
template <int T>
struct SharedInput {
  const float* rows;
  WarpSamples own;

  __device__ float operator()(int row, int k) const {
    return rows[k * kFieldPitch<T> + own.sample(row)];
  }
};

// Stores the warp's columns. All lanes must have read what was there.
template <FieldPrecision P, int T, int N>
__device__ inline void store_activations(const Activations<N>& sums,
                                         const WarpSamples& own, float* rows) {
  __syncwarp();
  RF_UNROLL
  for (int n = 0; n < N / 8; ++n) {
    RF_UNROLL
    for (int i = 0; i < 4; ++i) {
      rows[(8 * n + 2 * own.member + i % 2) * kFieldPitch<T> + own.sample(i / 2)] =
          round_operand<P>(sums.values[n][i]);
    }
  }
  __syncwarp();
}

template <int H>
__device__ inline void apply_masks(const RowMasks& masks, const WarpSamples& own,
                                   Activations<H>& sums) {
  RF_UNROLL
  for (int i = 0; i < 4; ++i) {
    const unsigned long long mask = masks.rows[i / 2] >> (2 * own.member);
    RF_UNROLL
    for (int n = 0; n < H / 8; ++n) {
      if (!is_active(mask, 8 * n + i % 2)) sums.values[n][i] = 0.0f;
    }
  }
}

// ReLU; the masks are complete in each of a sample's four lanes.
template <int H>
__device__ inline RowMasks rectify(const WarpSamples& own, Activations<H>& sums) {
  RowMasks masks{};
  RF_UNROLL
  for (int n = 0; n < H / 8; ++n) {
    RF_UNROLL
    for (int i = 0; i < 4; ++i) {
      float& value = sums.values[n][i];
      if (value <= 0.0f) {  // false for NaN, which must not vanish here
        value = 0.0f;
      } else {
        masks.rows[i / 2] |= 1ull << (8 * n + i % 2);
      }
    }
  }
  RF_UNROLL
  for (int row = 0; row < 2; ++row) {
    masks.rows[row] <<= 2 * own.member;
    RF_UNROLL
    for (int bits = 1; bits < 4; bits *= 2) {
      masks.rows[row] |= __shfl_xor_sync(0xffffffffu, masks.rows[row], bits);
    }
  }
  return masks;
}

// Sum over the four lanes that share a row.
__device__ inline float sum_members(float value) {
  RF_UNROLL
  for (int bits = 1; bits < 4; bits *= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, bits);
  }
  return value;
}

// W3 h2 without the bias, in float32 throughout: the log-density comes of it.
// outputs: [T][4].
template <int H>
__device__ inline void multiply_outputs(const PackedNetwork& network,
                                        const WarpSamples& own,
                                        const Activations<H>& hidden, float* outputs) {
  float sums[2][kFieldOutputs] = {};
  RF_UNROLL
  for (int n = 0; n < H / 8; ++n) {
    RF_UNROLL
    for (int o = 0; o < kFieldOutputs; ++o) {
      float weights[2];
      load_vector<2>(network.w3 + o * H + 8 * n + 2 * own.member, weights);
      RF_UNROLL
      for (int i = 0; i < 4; ++i)
        sums[i / 2][o] += weights[i % 2] * hidden.values[n][i];
    }
  }
  RF_UNROLL
  for (int row = 0; row < 2; ++row) {
    RF_UNROLL
    for (int o = 0; o < kFieldOutputs; ++o) {
      const float sum = sum_members(sums[row][o]);
      if (own.member == 0) outputs[own.sample(row) * kFieldOutputs + o] = sum;
    }
  }
}

// r2 = m2 W3[0], the start of the normal's chain.
template <FieldPrecision P>
struct ReverseInput {
  const float* w3;
  RowMasks masks2;

  __device__ float operator()(int row, int k) const {
    return is_active(masks2.rows[row], k) ? round_operand<P>(w3[k]) : 0.0f;
  }
};

// W1^T x for all inputs in use, a chunk at a time, into `rows` [padded inputs][pitch].
template <FieldPrecision P, int T, int H, class Input>
__device__ inline void multiply_back(const PackedNetwork& network, int num_padded,
                                     const WarpSamples& own, const Input& input,
                                     float* rows) {
  for (int d = 0; d < num_padded; d += kInputChunk) {
    Activations<kInputChunk> sums;
    multiply_layer<P, true>(network.w1 + d, network.pitch1, H, input, sums);
    // Not rounded: no product follows.
    store_activations<FieldPrecision::float32, T>(sums, own, rows + d * kFieldPitch<T>);
  }
}

}  // namespace realfusion::cuda
