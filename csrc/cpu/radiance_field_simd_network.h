// The radiance field's network, hidden units in the lanes. A part of
// radiance_field_simd.h, included by it once for each target.

namespace RF_FIELD_NAMESPACE {
namespace {

// The weights in the layouts that the layers read, once for each call.
template <int H>
struct PackedNetwork {
  alignas(64) float w1_columns[kMaxInputs][H];  // [d][k]
  alignas(64) float w1_rows[H][kMaxInputs];     // [k][d], padded by zeros
  alignas(64) float w2_columns[H][H];           // [k][j]
  alignas(64) float w2_rows[H][H];              // [j][k]
  alignas(64) float reverse_rows[H][H];         // [j][k] w3[0][j] w2[j][k]
  alignas(64) float w3[kFieldOutputs][H];
  alignas(64) float b1[H];
  alignas(64) float b2[H];
  float b3[kFieldOutputs];
  int num_inputs;  // of the active levels

  explicit PackedNetwork(const FieldProblem<float>& problem) {
    const FieldNetwork<float>& network = problem.network;
    const int row = problem.grid.num_levels * problem.grid.num_features;
    num_inputs = problem.grid.num_active_levels * problem.grid.num_features;
    for (int k = 0; k < H; ++k) {
      b1[k] = network.b1[k];
      b2[k] = network.b2[k];
      for (int d = 0; d < kMaxInputs; ++d) {
        const float weight = d < num_inputs ? network.w1[k * row + d] : 0.0f;
        w1_rows[k][d] = weight;
        w1_columns[d][k] = weight;
      }
      for (int j = 0; j < H; ++j) {
        const float weight = network.w2[j * H + k];
        w2_columns[k][j] = weight;
        w2_rows[j][k] = weight;
        reverse_rows[j][k] = weight * network.w3[j];
      }
    }
    RF_UNROLL_ALL
    for (int o = 0; o < kFieldOutputs; ++o) {
      b3[o] = network.b3[o];
      for (int j = 0; j < H; ++j) w3[o][j] = network.w3[o * H + j];
    }
  }
};

// Vectors and samples of one register block of a dense product: its sums fill the
// registers and hide the latency of the multiply-add.
template <int H>
struct DenseBlock {
  static constexpr int kVectors = H / N < V::kBlockVectors ? H / N : V::kBlockVectors;
  static constexpr int kSamples = V::kBlockSums / kVectors;
};

// sums[s][v] = start[v] + sum_d inputs[d][s] weights[d][v], inputs [d][stride].
template <int H, int kVectors, int kSamples>
inline void dense_block(const float* inputs, int64_t stride, int num_inputs,
                        const float* weights, const float* start,
                        Float sums[kSamples][kVectors]) {
  RF_UNROLL_ALL
  for (int v = 0; v < kVectors; ++v) {
    const Float value = start != nullptr ? V::load(start + v * N) : V::zero();
    RF_UNROLL_ALL
    for (int s = 0; s < kSamples; ++s) sums[s][v] = value;
  }
  for (int d = 0; d < num_inputs; ++d) {
    Float rows[kVectors];
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) rows[v] = V::load(weights + d * H + v * N);
    RF_UNROLL_ALL
    for (int s = 0; s < kSamples; ++s) {
      const Float input = V::set(inputs[d * stride + s]);
      RF_UNROLL_ALL
      for (int v = 0; v < kVectors; ++v) {
        sums[s][v] = V::fma(input, rows[v], sums[s][v]);
      }
    }
  }
}

// 2: hidden = relu(W1 e + b1), [sample][unit], and its masks.
template <int H>
RF_STAGE void hidden_layer1(const PackedNetwork<H>& network, const float* features,
                            int64_t stride, int num_samples, float* hidden,
                            uint64_t* masks) {
  constexpr int kVectors = DenseBlock<H>::kVectors;
  constexpr int kSamples = DenseBlock<H>::kSamples;
  std::fill_n(masks, num_samples, uint64_t{0});
  for (int v0 = 0; v0 < H / N; v0 += kVectors) {
    for (int s0 = 0; s0 < num_samples; s0 += kSamples) {
      Float sums[kSamples][kVectors];
      dense_block<H, kVectors, kSamples>(features + s0, stride, network.num_inputs,
                                         network.w1_columns[0] + v0 * N,
                                         network.b1 + v0 * N, sums);
      RF_UNROLL_ALL
      for (int s = 0; s < kSamples; ++s) {
        RF_UNROLL_ALL
        for (int v = 0; v < kVectors; ++v) {
          const Mask active = V::not_less_equal_zero(sums[s][v]);
          masks[s0 + s] |= V::bits(active) << ((v0 + v) * N);
          V::store(hidden + (s0 + s) * H + (v0 + v) * N, V::keep(active, sums[s][v]));
        }
      }
    }
  }
}

// 10, 11: out = mask (W1 inputs + start), the masks given.
template <int H>
RF_STAGE void masked_layer1(const PackedNetwork<H>& network, const float* inputs,
                            int64_t stride, const float* start, const uint64_t* masks,
                            int num_samples, float* out) {
  constexpr int kVectors = DenseBlock<H>::kVectors;
  constexpr int kSamples = DenseBlock<H>::kSamples;
  for (int v0 = 0; v0 < H / N; v0 += kVectors) {
    for (int s0 = 0; s0 < num_samples; s0 += kSamples) {
      Float sums[kSamples][kVectors];
      dense_block<H, kVectors, kSamples>(
          inputs + s0, stride, network.num_inputs, network.w1_columns[0] + v0 * N,
          start != nullptr ? start + v0 * N : nullptr, sums);
      RF_UNROLL_ALL
      for (int s = 0; s < kSamples; ++s) {
        RF_UNROLL_ALL
        for (int v = 0; v < kVectors; ++v) {
          const Mask active = V::mask_of(masks[s0 + s] >> ((v0 + v) * N));
          V::store(out + (s0 + s) * H + (v0 + v) * N, V::keep(active, sums[s][v]));
        }
      }
    }
  }
}

// sums[v] += sum over the active units of scalars[unit] rows[unit][v].
template <int kVectors, int kRow>
inline void add_active_rows(uint64_t active, const float* scalars, const float* rows,
                            Float sums[kVectors]) {
  for (; active != 0; active &= active - 1) {
    const int unit = __builtin_ctzll(active);
    const Float scalar = V::set(scalars[unit]);
    const float* row = rows + unit * kRow;
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) {
      sums[v] = V::fma(scalar, V::load(row + v * N), sums[v]);
    }
  }
}

// As above, of rows that hold their factor already.
template <int kVectors, int kRow>
inline void add_active_rows(uint64_t active, const float* rows, Float sums[kVectors]) {
  for (; active != 0; active &= active - 1) {
    const float* row = rows + __builtin_ctzll(active) * kRow;
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) sums[v] = V::add(sums[v], V::load(row + v * N));
  }
}

// 2: second hidden layer, its masks, and the outputs [sample][4].
template <int H>
RF_STAGE void hidden_layer2_and_outputs(const PackedNetwork<H>& network,
                                        const float* hidden1, const uint64_t* masks1,
                                        int num_samples, float* outputs,
                                        uint64_t* masks2) {
  constexpr int kVectors = H / N;
  for (int s = 0; s < num_samples; ++s) {
    Float sums[kVectors];
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) sums[v] = V::load(network.b2 + v * N);
    add_active_rows<kVectors, H>(masks1[s], hidden1 + s * H, network.w2_columns[0],
                                 sums);
    uint64_t bits = 0;
    Float dots[kFieldOutputs];
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) {
      const Mask active = V::not_less_equal_zero(sums[v]);
      bits |= V::bits(active) << (v * N);
      const Float hidden2 = V::keep(active, sums[v]);
      RF_UNROLL_ALL
      for (int o = 0; o < kFieldOutputs; ++o) {
        const Float row = V::load(network.w3[o] + v * N);
        dots[o] = v == 0 ? V::mul(row, hidden2) : V::fma(row, hidden2, dots[o]);
      }
    }
    masks2[s] = bits;
    V::store_sums(outputs + s * kFieldOutputs, dots, network.b3);
  }
}

// 10: second hidden layer, the masks given.
template <int H>
RF_STAGE void masked_layer2(const PackedNetwork<H>& network, const float* hidden1,
                            const uint64_t* masks1, const uint64_t* masks2,
                            int num_samples, float* hidden2) {
  constexpr int kVectors = H / N;
  for (int s = 0; s < num_samples; ++s) {
    Float sums[kVectors];
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) sums[v] = V::load(network.b2 + v * N);
    add_active_rows<kVectors, H>(masks1[s], hidden1 + s * H, network.w2_columns[0],
                                 sums);
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) {
      V::store(hidden2 + s * H + v * N,
               V::keep(V::mask_of(masks2[s] >> (v * N)), sums[v]));
    }
  }
}

// 4: r1 = m1 W2^T m2 W3[0].
template <int H>
RF_STAGE void reverse_layer2(const PackedNetwork<H>& network, const uint64_t* masks1,
                             const uint64_t* masks2, int num_samples, float* reverse1) {
  constexpr int kVectors = H / N;
  for (int s = 0; s < num_samples; ++s) {
    Float sums[kVectors];
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) sums[v] = V::zero();
    add_active_rows<kVectors, H>(masks2[s], network.reverse_rows[0], sums);
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) {
      V::store(reverse1 + s * H + v * N,
               V::keep(V::mask_of(masks1[s] >> (v * N)), sums[v]));
    }
  }
}

// 12: A2 = m2 W3^T obar.
template <int H>
RF_STAGE void backward_outputs(const PackedNetwork<H>& network,
                               const float* grad_outputs, const uint64_t* masks2,
                               int num_samples, float* grad2) {
  constexpr int kVectors = H / N;
  for (int s = 0; s < num_samples; ++s) {
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) {
      Float sum = V::zero();
      RF_UNROLL_ALL
      for (int o = 0; o < kFieldOutputs; ++o) {
        sum = V::fma(V::set(grad_outputs[s * kFieldOutputs + o]),
                     V::load(network.w3[o] + v * N), sum);
      }
      V::store(grad2 + s * H + v * N, V::keep(V::mask_of(masks2[s] >> (v * N)), sum));
    }
  }
}

// 12: A1 = m1 W2^T A2.
template <int H>
RF_STAGE void backward_layer2(const PackedNetwork<H>& network, const float* grad2,
                              const uint64_t* masks1, const uint64_t* masks2,
                              int num_samples, float* grad1) {
  constexpr int kVectors = H / N;
  for (int s = 0; s < num_samples; ++s) {
    Float sums[kVectors];
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) sums[v] = V::zero();
    add_active_rows<kVectors, H>(masks2[s], grad2 + s * H, network.w2_rows[0], sums);
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) {
      V::store(grad1 + s * H + v * N,
               V::keep(V::mask_of(masks1[s] >> (v * N)), sums[v]));
    }
  }
}

// 4, 12: out = W1^T in, from [sample][unit] to [feature][sample] rows `stride` long.
template <int H, int kVectors>
RF_STAGE void backward_layer1_vectors(const PackedNetwork<H>& network, const float* in,
                                      const uint64_t* masks1, int num_samples,
                                      float* out, int64_t stride) {
  alignas(64) float rows[N][kVectors * N];
  for (int s0 = 0; s0 < num_samples; s0 += N) {
    for (int s = 0; s < N; ++s) {
      Float sums[kVectors];
      RF_UNROLL_ALL
      for (int v = 0; v < kVectors; ++v) sums[v] = V::zero();
      add_active_rows<kVectors, kMaxInputs>(masks1[s0 + s], in + (s0 + s) * H,
                                            network.w1_rows[0], sums);
      RF_UNROLL_ALL
      for (int v = 0; v < kVectors; ++v) V::store(rows[s] + v * N, sums[v]);
    }
    V::template transpose<kVectors * N>(rows[0], out + s0, stride, network.num_inputs);
  }
}

template <int H>
void backward_layer1(const PackedNetwork<H>& network, const float* in,
                     const uint64_t* masks1, int num_samples, float* out,
                     int64_t stride) {
  switch ((network.num_inputs + N - 1) / N) {
    case 0:
      return;
    case 1:
      return backward_layer1_vectors<H, 1>(network, in, masks1, num_samples, out,
                                           stride);
    case 2:
      return backward_layer1_vectors<H, 2>(network, in, masks1, num_samples, out,
                                           stride);
    case 3:
      return backward_layer1_vectors<H, 3>(network, in, masks1, num_samples, out,
                                           stride);
    case 4:
      return backward_layer1_vectors<H, 4>(network, in, masks1, num_samples, out,
                                           stride);
    default:
      return backward_layer1_vectors<H, kMaxInputs / N>(network, in, masks1,
                                                        num_samples, out, stride);
  }
}

}  // namespace
}  // namespace RF_FIELD_NAMESPACE
