// Gradients of the network's weights: sums over all samples of a block, in registers
// until the block's last tile. The warps share out the elements of each matrix, so that
// every element is summed by one lane in the order of the samples.
#pragma once

#include "cuda/radiance_field_network.cuh"

namespace realfusion::cuda {

// A warp's share: 16 rows, and of the columns a group of tiles of 8.
template <FieldPrecision P, int H>
struct GradientShare {
  static constexpr int kTile = kBackwardTile<P, H>;
  static constexpr int kRowTiles = H / 16;
  static constexpr int kGroups = kTile / kWarpSamples / kRowTiles;
  // Of W2, of a chunk of W1.
  static constexpr int kTiles2 = H / 8 < kGroups ? 1 : H / 8 / kGroups;
  static constexpr int kTiles1 =
      kInputChunk / 8 < kGroups ? 1 : kInputChunk / 8 / kGroups;

  int first_row;
  int column_group;
  FragmentLane lane;

  __device__ static GradientShare own() {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    return {warp % kRowTiles * 16, warp / kRowTiles, FragmentLane::own()};
  }
  __device__ bool has_tiles2() const { return column_group * kTiles2 * 8 < H; }
  __device__ bool has_tiles1() const {
    return column_group * kTiles1 * 8 < kInputChunk;
  }
  __device__ int row(int i) const { return first_row + lane.group + 8 * i; }
};

// Fragments of a product over samples: `element(row, sample)` of the lane's rows 0, 1,
// `element(sample)` of its column.
template <FieldPrecision P, class Element>
__device__ inline LeftFragment<P> left_over_samples(int sample,
                                                    const Element& element) {
  const int member = FragmentLane::own().member;
  float values[kDepth<P> / 8][4];
  RF_UNROLL
  for (int b = 0; b < kDepth<P> / 8; ++b) {
    RF_UNROLL
    for (int i = 0; i < 4; ++i) {
      values[b][i] = element(i % 2, sample + 8 * b + member + i / 2 * 4);
    }
  }
  return make_left<P>(values);
}
template <FieldPrecision P>
__device__ inline RightFragment<P> right_over_samples(int sample, const float* row) {
  const int member = FragmentLane::own().member;
  float values[kDepth<P> / 8][2];
  RF_UNROLL
  for (int b = 0; b < kDepth<P> / 8; ++b) {
    RF_UNROLL
    for (int i = 0; i < 2; ++i) values[b][i] = row[sample + 8 * b + member + 4 * i];
  }
  return make_right<P>(values);
}

// A2 = m2 W3^T obar of one unit and sample.
__device__ inline float second_gradient(const float weights[kFieldOutputs],
                                        const float* grad_outputs,
                                        unsigned long long mask2, int unit) {
  float grads[kFieldOutputs];
  load_vector<kFieldOutputs>(grad_outputs, grads);
  float sum = 0.0f;
  RF_UNROLL
  for (int o = 0; o < kFieldOutputs; ++o) sum += weights[o] * grads[o];
  return is_active(mask2, unit) ? sum : 0.0f;
}

// The block's sums. With normals, W2's gradient is A2 h1^T + r2 t1^T with r2 = m2 W3[0]
// and W3[0]'s contains t2 = m2 W2 t1: both come of the gated sums G = m2 t1^T, whose
// left operand no precision rounds.
template <FieldPrecision P, int H, bool kWithNormal>
struct NetworkSums {
  using Share = GradientShare<P, H>;
  static constexpr int T = Share::kTile;
  static constexpr int kPitch = kFieldPitch<T>;

  float w1[Share::kTiles1][4] = {};  // of the first chunk of inputs
  float w2[Share::kTiles2][4] = {};  // A2 h1^T
  float gates[kWithNormal ? Share::kTiles2 : 1][4] = {};
  float w3[4] = {};  // h2 obar^T: [unit][output]
  float b1[2] = {};  // the lane's share of its two rows
  float b2[2] = {};
  float b3 = 0.0f;  // of the output `group`

  // 13: W3, b3. `hidden2` is h2, [H][pitch].
  __device__ void add_third_layer(const float* hidden2, const float* grad_outputs) {
    const Share own = Share::own();
    if (own.column_group != 0) return;
    const float* rows = hidden2 + own.first_row * kPitch;
    RF_UNROLL_BY(1)
    for (int s = 0; s < T; s += kDepth<P>) {
      const LeftFragment<P> left = left_over_samples<P>(s, [&](int row, int sample) {
        return rows[(own.lane.group + 8 * row) * kPitch + sample];
      });
      float right[kDepth<P> / 8][2] = {};
      RF_UNROLL
      for (int b = 0; b < kDepth<P> / 8; ++b) {
        RF_UNROLL
        for (int i = 0; i < 2; ++i) {
          const int sample = s + 8 * b + own.lane.member + 4 * i;
          const int output = own.lane.group;
          const float grad = output < kFieldOutputs
                                 ? grad_outputs[sample * kFieldOutputs + output]
                                 : 0.0f;
          b3 += grad;
          right[b][i] = round_operand<P>(grad);
        }
      }
      multiply_add<P>(w3, left, make_right<P>(right));
    }
  }

  // 13: W2, b2, and the gated sums.
  __device__ void add_second_layer(const PackedNetwork& network,
                                   const BackwardShared& shared) {
    const Share own = Share::own();
    if (!own.has_tiles2()) return;
    float weights[2][kFieldOutputs];
    RF_UNROLL
    for (int row = 0; row < 2; ++row) {
      RF_UNROLL
      for (int o = 0; o < kFieldOutputs; ++o) {
        weights[row][o] = network.w3[o * H + own.row(row)];
      }
    }
    const int column0 = own.column_group * Share::kTiles2 * 8 + own.lane.group;
    RF_UNROLL_BY(1)
    for (int s = 0; s < T; s += kDepth<P>) {
      const LeftFragment<P> grads = left_over_samples<P>(s, [&](int row, int sample) {
        const float grad =
            second_gradient(weights[row], shared.grad_outputs + sample * kFieldOutputs,
                            shared.masks[T + sample], own.row(row));
        b2[row] += grad;
        return round_operand<P>(grad);
      });
      RF_UNROLL
      for (int n = 0; n < Share::kTiles2; ++n) {
        const float* hidden1 = shared.first + (column0 + 8 * n) * kPitch;
        multiply_add<P>(w2[n], grads, right_over_samples<P>(s, hidden1));
      }
      if constexpr (kWithNormal) {
        const LeftFragment<P> open = left_over_samples<P>(s, [&](int row, int sample) {
          return is_active(shared.masks[T + sample], own.row(row)) ? 1.0f : 0.0f;
        });
        RF_UNROLL
        for (int n = 0; n < Share::kTiles2; ++n) {
          const float* tangent1 = shared.second + (column0 + 8 * n) * kPitch;
          multiply_add<P>(gates[n], open, right_over_samples<P>(s, tangent1));
        }
      }
    }
  }

  // sums += rows inputs^T for a chunk of W1's columns, `inputs` [32][pitch].
  __device__ void add_chunk(const float* rows, const float* inputs,
                            float (&sums)[Share::kTiles1][4], float* row_sums) const {
    const Share own = Share::own();
    const float* left_rows = rows + own.first_row * kPitch;
    const int column0 = own.column_group * Share::kTiles1 * 8 + own.lane.group;
    RF_UNROLL_BY(1)
    for (int s = 0; s < T; s += kDepth<P>) {
      const LeftFragment<P> left = left_over_samples<P>(s, [&](int row, int sample) {
        const float value = left_rows[(own.lane.group + 8 * row) * kPitch + sample];
        if (row_sums != nullptr) row_sums[row] += value;
        return value;
      });
      RF_UNROLL
      for (int n = 0; n < Share::kTiles1; ++n) {
        multiply_add<P>(sums[n], left,
                        right_over_samples<P>(s, inputs + (column0 + 8 * n) * kPitch));
      }
    }
  }

  // 13: W1, b1. Inputs beyond the first chunk are added to `gradients` tile by tile:
  // no kernel could hold registers for as many as there may be.
  __device__ void add_first_layer(const BackwardShared& shared, int num_padded,
                                  const FieldNetworkGradients<float>& gradients,
                                  int num_inputs, int num_active) {
    if (!Share::own().has_tiles1()) return;
    add_chunk(shared.first, shared.inputs, w1, b1);
    if constexpr (kWithNormal) add_chunk(shared.second, shared.tangents, w1, nullptr);
    for (int d = kInputChunk; d < num_padded; d += kInputChunk) {
      float sums[Share::kTiles1][4] = {};
      add_chunk(shared.first, shared.inputs + d * kPitch, sums, nullptr);
      if constexpr (kWithNormal) {
        add_chunk(shared.second, shared.tangents + d * kPitch, sums, nullptr);
      }
      flush_chunk(sums, d, gradients, num_inputs, num_active);
    }
  }

  // Adds a chunk that begins with the input `first` to the block's gradients.
  __device__ void flush_chunk(const float (&sums)[Share::kTiles1][4], int first,
                              const FieldNetworkGradients<float>& gradients,
                              int num_inputs, int num_active) const {
    const Share own = Share::own();
    RF_UNROLL
    for (int n = 0; n < Share::kTiles1; ++n) {
      RF_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int column = first + (own.column_group * Share::kTiles1 + n) * 8 +
                           2 * own.lane.member + i % 2;
        if (column < num_active) {
          gradients.w1[own.row(i / 2) * num_inputs + column] += sums[n][i];
        }
      }
    }
  }

  // Adds all to the block's gradients. `scratch` is shared memory, [groups][H]; all
  // threads of the block take part.
  __device__ void flush(const FieldNetwork<float>& network, float* scratch,
                        const FieldNetworkGradients<float>& gradients, int num_inputs,
                        int num_active) const {
    const Share own = Share::own();
    if (own.has_tiles1()) flush_chunk(w1, 0, gradients, num_inputs, num_active);
    if (own.has_tiles2()) flush_second_layer(network, scratch, gradients);
    __syncthreads();
    RF_UNROLL
    for (int row = 0; row < 2; ++row) {
      const int unit = own.row(row);
      const float bias1 = sum_members(b1[row]);
      const float bias2 = sum_members(b2[row]);
      if (own.column_group != 0) continue;
      if (own.lane.member == 0) {
        gradients.b1[unit] += bias1;
        gradients.b2[unit] += bias2;
      }
      RF_UNROLL
      for (int j = 0; j < 2; ++j) {
        const int output = 2 * own.lane.member + j;
        if (output >= kFieldOutputs) continue;
        float sum = w3[2 * row + j];
        if (kWithNormal && output == 0) {
          for (int g = 0; g < Share::kGroups && g * Share::kTiles2 * 8 < H; ++g) {
            sum += scratch[g * H + unit];
          }
        }
        gradients.w3[output * H + unit] += sum;
      }
    }
    const float bias3 = sum_members(b3);
    if (threadIdx.x < 32 && own.lane.member == 0 && own.lane.group < kFieldOutputs) {
      gradients.b3[own.lane.group] += bias3;
    }
  }

  // W2's gradient, and to `scratch` the sums of t2 = W2 G over the warp's columns.
  __device__ void flush_second_layer(
      const FieldNetwork<float>& network, float* scratch,
      const FieldNetworkGradients<float>& gradients) const {
    const Share own = Share::own();
    float tangent2[2] = {};
    RF_UNROLL
    for (int n = 0; n < Share::kTiles2; ++n) {
      RF_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int unit = own.row(i / 2);
        const int at = unit * H + (own.column_group * Share::kTiles2 + n) * 8 +
                       2 * own.lane.member + i % 2;
        float sum = w2[n][i];
        if constexpr (kWithNormal) {
          sum += network.w3[unit] * gates[n][i];
          tangent2[i / 2] += network.w2[at] * gates[n][i];
        }
        gradients.w2[at] += sum;
      }
    }
    if constexpr (kWithNormal) {
      RF_UNROLL
      for (int row = 0; row < 2; ++row) {
        const float sum = sum_members(tangent2[row]);
        if (own.lane.member == 0) scratch[own.column_group * H + own.row(row)] = sum;
      }
    }
  }
};

}  // namespace realfusion::cuda
