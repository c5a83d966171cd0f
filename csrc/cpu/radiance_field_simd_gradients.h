// The gradients of the radiance field's weights: outer products, sums in registers. A
// part of radiance_field_simd.h, included by it once for each target.

namespace RF_FIELD_NAMESPACE {
namespace {

// The sums over a group of samples; the unit that varies fastest is in the lanes.
template <int H>
struct PackedGradients {
  alignas(64) float w1[kMaxInputs][H];  // [d][k]
  alignas(64) float w2[H][H];           // [k][j] of A2 h1^T
  alignas(64) float gate[H][H];         // [k][j] of m2 t1^T
  alignas(64) float w3[kFieldOutputs][H];
  alignas(64) float b1[H];
  alignas(64) float b2[H];
  float b3[kFieldOutputs];
};

// sums[k][v] += sum_s vectors[s][v] scalars(k, s), for kScalars k and kVectors v. The
// vectors are [sample][H]; scalar k of sample s is at k * scalar_stride + s *
// sample_stride.
template <int H, int kVectors, int kScalars>
inline void outer_block(const float* vectors, const float* scalars,
                        int64_t scalar_stride, int64_t sample_stride, int num_samples,
                        float* sums) {
  Float registers[kScalars][kVectors];
  RF_UNROLL_ALL
  for (int k = 0; k < kScalars; ++k) {
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) registers[k][v] = V::load(sums + k * H + v * N);
  }
  for (int s = 0; s < num_samples; ++s) {
    Float row[kVectors];
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) row[v] = V::load(vectors + s * H + v * N);
    RF_UNROLL_ALL
    for (int k = 0; k < kScalars; ++k) {
      const Float scalar = V::set(scalars[k * scalar_stride + s * sample_stride]);
      RF_UNROLL_ALL
      for (int v = 0; v < kVectors; ++v) {
        registers[k][v] = V::fma(scalar, row[v], registers[k][v]);
      }
    }
  }
  RF_UNROLL_ALL
  for (int k = 0; k < kScalars; ++k) {
    RF_UNROLL_ALL
    for (int v = 0; v < kVectors; ++v) V::store(sums + k * H + v * N, registers[k][v]);
  }
}

// 13: sums [num_scalars][H] += scalars^T vectors.
template <int H>
RF_STAGE void add_outer_products(const float* vectors, const float* scalars,
                                 int64_t scalar_stride, int64_t sample_stride,
                                 int num_scalars, int num_samples, float* sums) {
  constexpr int kVectors = DenseBlock<H>::kVectors;
  constexpr int kScalars = DenseBlock<H>::kSamples;
  for (int v0 = 0; v0 < H / N; v0 += kVectors) {
    int k = 0;
    for (; k + kScalars <= num_scalars; k += kScalars) {
      outer_block<H, kVectors, kScalars>(vectors + v0 * N, scalars + k * scalar_stride,
                                         scalar_stride, sample_stride, num_samples,
                                         sums + k * H + v0 * N);
    }
    for (; k < num_scalars; ++k) {
      outer_block<H, kVectors, 1>(vectors + v0 * N, scalars + k * scalar_stride,
                                  scalar_stride, sample_stride, num_samples,
                                  sums + k * H + v0 * N);
    }
  }
}

// 13: sums [k][j] += sum_s [unit j of layer 2 active] tangent1[s][k]. From it follow
// both W2's gradient by r2 t1^T and W3's by t2: a sum of t1 where the mask is set, no
// product.
template <int H>
RF_STAGE void add_gated(const uint64_t* masks2, const float* tangent1, int num_samples,
                        float* sums) {
  constexpr int kVectors = DenseBlock<H>::kVectors;
  constexpr int kScalars = DenseBlock<H>::kSamples;
  static_assert(H % kScalars == 0);
  for (int v0 = 0; v0 < H / N; v0 += kVectors) {
    for (int k0 = 0; k0 < H; k0 += kScalars) {
      Float registers[kScalars][kVectors];
      RF_UNROLL_ALL
      for (int k = 0; k < kScalars; ++k) {
        RF_UNROLL_ALL
        for (int v = 0; v < kVectors; ++v) {
          registers[k][v] = V::load(sums + (k0 + k) * H + (v0 + v) * N);
        }
      }
      for (int s = 0; s < num_samples; ++s) {
        Mask active[kVectors];
        RF_UNROLL_ALL
        for (int v = 0; v < kVectors; ++v) {
          active[v] = V::mask_of(masks2[s] >> ((v0 + v) * N));
        }
        RF_UNROLL_ALL
        for (int k = 0; k < kScalars; ++k) {
          const Float scalar = V::set(tangent1[s * H + k0 + k]);
          RF_UNROLL_ALL
          for (int v = 0; v < kVectors; ++v) {
            registers[k][v] = V::add_where(active[v], registers[k][v], scalar);
          }
        }
      }
      RF_UNROLL_ALL
      for (int k = 0; k < kScalars; ++k) {
        RF_UNROLL_ALL
        for (int v = 0; v < kVectors; ++v) {
          V::store(sums + (k0 + k) * H + (v0 + v) * N, registers[k][v]);
        }
      }
    }
  }
}

// sums [H] += sum_s vectors [s][H].
template <int H>
RF_STAGE void add_rows(const float* vectors, int num_samples, float* sums) {
  for (int v = 0; v < H; v += N) {
    Float sum = V::load(sums + v);
    for (int s = 0; s < num_samples; ++s)
      sum = V::add(sum, V::load(vectors + s * H + v));
    V::store(sums + v, sum);
  }
}

// Adds a group's sums to the gradients, which are laid out as the network.
template <int H>
RF_STAGE void unpack_gradients(const FieldProblem<float>& problem,
                               const PackedNetwork<H>& network,
                               const PackedGradients<H>& packed,
                               float* network_gradients) {
  const int row = problem.grid.num_levels * problem.grid.num_features;
  const FieldNetworkGradients<float> out =
      field_network_gradients(network_gradients, row, H);
  for (int k = 0; k < H; ++k) {
    out.b1[k] += packed.b1[k];
    out.b2[k] += packed.b2[k];
    for (int d = 0; d < network.num_inputs; ++d) out.w1[k * row + d] += packed.w1[d][k];
  }
  for (int j = 0; j < H; ++j) {
    const float reverse2 = network.w3[0][j];
    float tangent2 = 0.0f;
    for (int k = 0; k < H; ++k) {
      out.w2[j * H + k] += packed.w2[k][j] + reverse2 * packed.gate[k][j];
      tangent2 += network.w2_rows[j][k] * packed.gate[k][j];
    }
    RF_UNROLL_ALL
    for (int o = 0; o < kFieldOutputs; ++o) out.w3[o * H + j] += packed.w3[o][j];
    out.w3[j] += tangent2;
  }
  RF_UNROLL_ALL
  for (int o = 0; o < kFieldOutputs; ++o) out.b3[o] += packed.b3[o];
}

}  // namespace
}  // namespace RF_FIELD_NAMESPACE
