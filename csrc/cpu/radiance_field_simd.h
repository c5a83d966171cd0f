// The radiance field on groups of samples, for one SIMD instruction set. Included by
// radiance_field_avx2.cpp and radiance_field_avx512.cpp, each of which has switched the
// compiler to its target, names a namespace of its own and defines the vector class V in
// it; everything here is in an unnamed namespace too, so that no function of one target
// can be linked into another.
//
// Two layouts alternate. The hash grid runs with the samples in the lanes: arrays
// [feature][sample]. The network runs with the hidden units in the lanes: arrays
// [sample][unit], where a ReLU mask is the result of one comparison a vector, a product
// with a masked vector touches only the rows of the active units (half the work of a
// dense product), and the weights' gradients are outer products whose sums stay in
// registers over a whole tile. Only features cross from one layout to the other.
//
// The hash grid takes a whole group of samples through one level before the next, so
// that the level stays in the second-level cache; the network takes tiles of the group,
// so that their activations do.
//
// Numbers in comments are the steps of the algorithm in core/field.h's terms:
// 1 gather, 2 forward, 3 activations, 4 reverse pass, 5 gradient; 7-8 activations
// backward, 9 gather with tangent, 10-12 hidden layers, 13 weights, 14 scatter.

namespace RF_FIELD_NAMESPACE {
namespace {

constexpr int kTile = 128;       // samples
constexpr int kPadding = 16;     // a group is filled up to whole vectors of any target
constexpr int kMaxGroup = kMaxFieldGroup;
constexpr int kMaxInputs = kMaxSimdInputs;

// On loops of constant length over vectors: an array of vectors stays in registers only
// where every index is a constant.
#if defined(__clang__)
#define RF_UNROLL_ALL _Pragma("unroll")
#else
#define RF_UNROLL_ALL _Pragma("GCC unroll 16")
#endif

// On the stages of a tile: inlined into one another, their registers spill.
#define RF_STAGE __attribute__((noinline))

using Float = V::Float;
using Mask = V::Mask;
using Int = V::Int;
constexpr int N = V::kLanes;

constexpr int round_up(int count, int multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

// ---- The hash grid, samples in the lanes ----

// The cells of N samples on one level.
struct CellLanes {
  Int indices[8];
  Float blend[3];
  Float slope[3];  // d blend / d position in the unit cube
};

template <bool kWithSlope>
inline CellLanes find_cells(const HashGridLevel& level, GridInterpolation interpolation,
                            const float* unit, int64_t stride) {
  CellLanes cells;
  const Float scale = V::set(level.scale);
  Int corner[3];
  RF_UNROLL_ALL
  for (int axis = 0; axis < 3; ++axis) {
    const Float p = V::fma(scale, V::load(unit + axis * stride), V::set(0.5f));
    const Float lower = V::floor(p);
    const Float fraction = V::sub(p, lower);
    corner[axis] = V::to_int(lower);
    if (interpolation == GridInterpolation::linear) {
      cells.blend[axis] = fraction;
      cells.slope[axis] = scale;
    } else {
      const Float squared = V::mul(fraction, fraction);
      cells.blend[axis] = V::mul(
          squared, V::sub(V::set(3.0f), V::add(fraction, fraction)));
      cells.slope[axis] =
          V::mul(V::mul(V::set(6.0f), scale), V::sub(fraction, squared));
    }
  }
  const Int mask_x = V::set_int(level.mask_x);
  const Int mask_y = V::set_int(level.mask_y);
  const Int mask_z = V::set_int(level.mask_z);
  const Int step_y = V::set_int(level.multiplier_y);
  const Int step_z = V::set_int(level.multiplier_z);
  const Int y = V::mul_int(corner[1], step_y);
  const Int z = V::mul_int(corner[2], step_z);
  const Int xs[2] = {V::bit_and(corner[0], mask_x),
                     V::bit_and(V::add_int(corner[0], V::set_int(1)), mask_x)};
  const Int ys[2] = {V::bit_and(y, mask_y), V::bit_and(V::add_int(y, step_y), mask_y)};
  const Int zs[2] = {V::bit_and(z, mask_z), V::bit_and(V::add_int(z, step_z), mask_z)};
  if (level.use_xor) {
    RF_UNROLL_ALL
    for (int c = 0; c < 8; ++c) {
      cells.indices[c] =
          V::bit_xor(xs[c & 1], V::bit_xor(ys[(c >> 1) & 1], zs[c >> 2]));
    }
  } else {
    RF_UNROLL_ALL
    for (int c = 0; c < 8; ++c) {
      cells.indices[c] = V::add_int(xs[c & 1], V::add_int(ys[(c >> 1) & 1], zs[c >> 2]));
    }
  }
  return cells;
}

// a + weight * (b - a).
inline Float lerp(Float a, Float b, Float weight) {
  return V::fma(weight, V::sub(b, a), a);
}

inline Float blend_corners(const Float values[8], const Float blend[3]) {
  const Float near = lerp(lerp(values[0], values[1], blend[0]),
                          lerp(values[2], values[3], blend[0]), blend[1]);
  const Float far = lerp(lerp(values[4], values[5], blend[0]),
                         lerp(values[6], values[7], blend[0]), blend[1]);
  return lerp(near, far, blend[2]);
}

// The blend's value and its derivatives to the three blends: the differences that the
// interpolation forms anyway.
inline Float blend_corners_with_gradient(const Float values[8], const Float blend[3],
                                         Float gradient[3]) {
  Float across[4];  // d / d blend_x on the four edges along x
  Float edges[4];
  RF_UNROLL_ALL
  for (int i = 0; i < 4; ++i) {
    across[i] = V::sub(values[2 * i + 1], values[2 * i]);
    edges[i] = V::fma(blend[0], across[i], values[2 * i]);
  }
  gradient[0] = lerp(lerp(across[0], across[1], blend[1]),
                     lerp(across[2], across[3], blend[1]), blend[2]);
  const Float up_near = V::sub(edges[1], edges[0]);
  const Float up_far = V::sub(edges[3], edges[2]);
  gradient[1] = lerp(up_near, up_far, blend[2]);
  const Float near = V::fma(blend[1], up_near, edges[0]);
  const Float far = V::fma(blend[1], up_far, edges[2]);
  gradient[2] = V::sub(far, near);
  return V::fma(blend[2], gradient[2], near);
}

// Features [F] of the eight corners.
template <int F>
inline void gather_corners(const float* entries, const CellLanes& cells,
                           Float values[F][8]) {
  RF_UNROLL_ALL
  for (int c = 0; c < 8; ++c) {
    if constexpr (F == 1) {
      values[0][c] = V::gather(entries, cells.indices[c]);
    } else {
      const Int index = V::template times<F / 2>(cells.indices[c]);
      RF_UNROLL_ALL
      for (int f = 0; f < F; f += 2) {
        V::gather_pairs(entries + f, index, values[f][c], values[f + 1][c]);
      }
    }
  }
}

// 1: features [active * F][stride] of a group, unit [3][stride].
template <int F>
RF_STAGE void encode_group(const FieldProblem<float>& problem, const float* unit,
                           int64_t stride, int num_samples, float* features) {
  const HashGrid& grid = problem.grid;
  for (int l = 0; l < grid.num_active_levels; ++l) {
    const HashGridLevel& level = grid.levels[l];
    const float* entries = problem.table + level.offset * F;
    for (int i = 0; i < num_samples; i += N) {
      const CellLanes cells =
          find_cells<false>(level, grid.interpolation, unit + i, stride);
      Float values[F][8];
      gather_corners<F>(entries, cells, values);
      RF_UNROLL_ALL
      for (int f = 0; f < F; ++f) {
        V::store(features + (l * F + f) * stride + i,
                 blend_corners(values[f], cells.blend));
      }
    }
  }
}

// 9: features and their derivatives along `directions`, all [..][stride].
template <int F>
RF_STAGE void encode_group_along(const FieldProblem<float>& problem, const float* unit,
                                 const float* directions, int64_t stride,
                                 int num_samples, float* features, float* tangents) {
  const HashGrid& grid = problem.grid;
  for (int l = 0; l < grid.num_active_levels; ++l) {
    const HashGridLevel& level = grid.levels[l];
    const float* entries = problem.table + level.offset * F;
    for (int i = 0; i < num_samples; i += N) {
      const CellLanes cells =
          find_cells<true>(level, grid.interpolation, unit + i, stride);
      Float along[3];
      RF_UNROLL_ALL
      for (int axis = 0; axis < 3; ++axis) {
        along[axis] =
            V::mul(cells.slope[axis], V::load(directions + axis * stride + i));
      }
      Float values[F][8];
      gather_corners<F>(entries, cells, values);
      RF_UNROLL_ALL
      for (int f = 0; f < F; ++f) {
        Float gradient[3];
        const Float value = blend_corners_with_gradient(values[f], cells.blend, gradient);
        Float tangent = V::mul(along[0], gradient[0]);
        tangent = V::fma(along[1], gradient[1], tangent);
        tangent = V::fma(along[2], gradient[2], tangent);
        V::store(features + (l * F + f) * stride + i, value);
        V::store(tangents + (l * F + f) * stride + i, tangent);
      }
    }
  }
}

// 5: the gradient of sum_f reverse_f E_f, to the position in the unit cube: that of one
// interpolation of the corners' dot products. gradient [3][stride], out.
template <int F>
RF_STAGE void differentiate_group(const FieldProblem<float>& problem, const float* unit,
                                  const float* reverse, int64_t stride, int num_samples,
                                  float* gradient) {
  const HashGrid& grid = problem.grid;
  std::fill_n(gradient, 3 * stride, 0.0f);
  for (int l = 0; l < grid.num_active_levels; ++l) {
    const HashGridLevel& level = grid.levels[l];
    const float* entries = problem.table + level.offset * F;
    for (int i = 0; i < num_samples; i += N) {
      const CellLanes cells =
          find_cells<true>(level, grid.interpolation, unit + i, stride);
      Float values[F][8];
      gather_corners<F>(entries, cells, values);
      Float dots[8];
      RF_UNROLL_ALL
      for (int f = 0; f < F; ++f) {
        const Float weight = V::load(reverse + (l * F + f) * stride + i);
        RF_UNROLL_ALL
        for (int c = 0; c < 8; ++c) {
          dots[c] = f == 0 ? V::mul(weight, values[f][c])
                           : V::fma(weight, values[f][c], dots[c]);
        }
      }
      Float level_gradient[3];
      blend_corners_with_gradient(dots, cells.blend, level_gradient);
      RF_UNROLL_ALL
      for (int axis = 0; axis < 3; ++axis) {
        float* out = gradient + axis * stride + i;
        V::store(out, V::fma(cells.slope[axis], level_gradient[axis], V::load(out)));
      }
    }
  }
}

// Weights of the corners and their derivatives along a direction (already times the
// slopes).
template <bool kWithNormal>
inline void corner_weights(const Float blend[3], const Float along[3], Float weights[8],
                           Float tangents[8]) {
  const Float one = V::set(1.0f);
  const Float x[2] = {V::sub(one, blend[0]), blend[0]};
  const Float y[2] = {V::sub(one, blend[1]), blend[1]};
  const Float z[2] = {V::sub(one, blend[2]), blend[2]};
  RF_UNROLL_ALL
  for (int i = 0; i < 4; ++i) {
    const Float yz = V::mul(y[i & 1], z[i >> 1]);
    weights[2 * i] = V::mul(x[0], yz);
    weights[2 * i + 1] = V::mul(x[1], yz);
    if constexpr (kWithNormal) {
      const Float by_z = V::mul(y[i & 1], along[2]);
      const Float by_y = V::mul(z[i >> 1], along[1]);
      Float turn = i >> 1 ? by_z : V::negate(by_z);
      turn = i & 1 ? V::add(turn, by_y) : V::sub(turn, by_y);
      const Float by_x = V::mul(along[0], yz);
      tangents[2 * i] = V::sub(V::mul(x[0], turn), by_x);
      tangents[2 * i + 1] = V::fma(x[1], turn, by_x);
    }
  }
}

// 14. With kWhole, the caller owns the whole level.
template <int F, bool kWithNormal, bool kWhole>
RF_STAGE void scatter_block(const FieldProblem<float>& problem, const FieldScatter<float>& scatter,
                   int level_index, uint32_t first_entry, uint32_t last_entry,
                   float* grad_table, int64_t num_samples) {
  const HashGridLevel& level = problem.grid.levels[level_index];
  float* entries = grad_table + level.offset * F;
  const int64_t stride = scatter.stride;
  const float* features = scatter.features + level_index * F * stride;
  const float* reverse =
      kWithNormal ? scatter.reverse + level_index * F * stride : nullptr;
  alignas(64) uint32_t indices[8][N];
  alignas(64) float values[8][N * F];
  for (int64_t i = 0; i < num_samples; i += N) {
    const CellLanes cells = find_cells<kWithNormal>(level, problem.grid.interpolation,
                                                    scatter.unit + i, stride);
    Float along[3];
    if constexpr (kWithNormal) {
      RF_UNROLL_ALL
      for (int axis = 0; axis < 3; ++axis) {
        along[axis] =
            V::mul(cells.slope[axis], V::load(scatter.directions + axis * stride + i));
      }
    }
    Float weights[8];
    Float tangents[8];
    corner_weights<kWithNormal>(cells.blend, along, weights, tangents);
    Float grads[F];
    Float reverses[F];
    RF_UNROLL_ALL
    for (int f = 0; f < F; ++f) {
      grads[f] = V::load(features + f * stride + i);
      if constexpr (kWithNormal) reverses[f] = V::load(reverse + f * stride + i);
    }
    RF_UNROLL_ALL
    for (int c = 0; c < 8; ++c) {
      V::store_int(indices[c], cells.indices[c]);
      Float out[F];
      RF_UNROLL_ALL
      for (int f = 0; f < F; ++f) {
        out[f] = V::mul(weights[c], grads[f]);
        if constexpr (kWithNormal) out[f] = V::fma(tangents[c], reverses[f], out[f]);
      }
      V::template store_interleaved<F>(values[c], out);
    }
    const int lanes = static_cast<int>(std::min<int64_t>(N, num_samples - i));
    for (int lane = 0; lane < lanes; ++lane) {
      RF_UNROLL_ALL
      for (int c = 0; c < 8; ++c) {
        const uint32_t index = indices[c][lane];
        if constexpr (!kWhole) {
          if (index < first_entry || index >= last_entry) continue;
        }
        V::template add_entry<F>(entries + static_cast<int64_t>(index) * F,
                                 values[c] + lane * F);
      }
    }
  }
}

// ---- The network, hidden units in the lanes ----

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
RF_STAGE void hidden_layer2_and_outputs(const PackedNetwork<H>& network, const float* hidden1,
                               const uint64_t* masks1, int num_samples, float* outputs,
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
                   const uint64_t* masks1, const uint64_t* masks2, int num_samples,
                   float* hidden2) {
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
RF_STAGE void backward_outputs(const PackedNetwork<H>& network, const float* grad_outputs,
                      const uint64_t* masks2, int num_samples, float* grad2) {
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
      V::store(grad2 + s * H + v * N,
               V::keep(V::mask_of(masks2[s] >> (v * N)), sum));
    }
  }
}

// 12: A1 = m1 W2^T A2.
template <int H>
RF_STAGE void backward_layer2(const PackedNetwork<H>& network, const float* grad2,
                     const uint64_t* masks1, const uint64_t* masks2, int num_samples,
                     float* grad1) {
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
                             const uint64_t* masks1, int num_samples, float* out,
                             int64_t stride) {
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
      return backward_layer1_vectors<H, 1>(network, in, masks1, num_samples, out, stride);
    case 2:
      return backward_layer1_vectors<H, 2>(network, in, masks1, num_samples, out, stride);
    case 3:
      return backward_layer1_vectors<H, 3>(network, in, masks1, num_samples, out, stride);
    case 4:
      return backward_layer1_vectors<H, 4>(network, in, masks1, num_samples, out, stride);
    default:
      return backward_layer1_vectors<H, kMaxInputs / N>(network, in, masks1, num_samples,
                                                        out, stride);
  }
}

// ---- Gradients of the weights: outer products, sums in registers ----

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
                        int64_t scalar_stride, int64_t sample_stride, int num_scalars,
                        int num_samples, float* sums) {
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

// 13: sums [k][j] += sum_s [unit j of layer 2 active] tangent1[s][k]. From it follow both
// W2's gradient by r2 t1^T and W3's by t2: a sum of t1 where the mask is set, no product.
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
    for (int s = 0; s < num_samples; ++s) sum = V::add(sum, V::load(vectors + s * H + v));
    V::store(sums + v, sum);
  }
}

// Adds a group's sums to the gradients, which are laid out as the network.
template <int H>
RF_STAGE void unpack_gradients(const FieldProblem<float>& problem,
                      const PackedNetwork<H>& network, const PackedGradients<H>& packed,
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

// ---- Tiles ----

// Calls body with the number of features a level as a constant.
template <class Body>
inline void with_features(int num_features, const Body& body) {
  switch (num_features) {
    case 1:
      return body(std::integral_constant<int, 1>());
    case 2:
      return body(std::integral_constant<int, 2>());
    case 4:
      return body(std::integral_constant<int, 4>());
    default:
      return body(std::integral_constant<int, 8>());
  }
}

// Positions of a group, world [3][kMaxGroup] and unit [3][unit_stride]. Samples outside the box, and those
// that fill up the last vector, stand at the centre and are not inside.
RF_STAGE void load_positions(const FieldProblem<float>& problem, int64_t begin,
                             int num_samples, float* world, float* unit,
                             int64_t unit_stride, int32_t* is_inside) {
  const int num_padded = round_up(num_samples, kPadding);
  for (int s = 0; s < num_padded; ++s) {
    const float* position =
        problem.positions + 3 * (begin + std::min(s, num_samples - 1));
    float in_cube[3];
    to_unit_cube(problem.settings, position, in_cube);
    const bool keep = s < num_samples && is_in_unit_cube(in_cube);
    is_inside[s] = keep;
    for (int axis = 0; axis < 3; ++axis) {
      world[axis * kMaxGroup + s] = keep ? position[axis] : 0.0f;
      unit[axis * unit_stride + s] = keep ? in_cube[axis] : 0.5f;
    }
  }
}

// What a forward keeps of a group. `features` turn into the reverse pass's, tile by tile.
struct ForwardGroup {
  alignas(64) float world[3 * kMaxGroup];
  alignas(64) float unit[3 * kMaxGroup];
  alignas(64) float gradient[3 * kMaxGroup];
  alignas(64) float blob[kMaxGroup];
  alignas(64) float features[kMaxInputs * kMaxGroup];
  alignas(64) int32_t is_inside[kMaxGroup];
};

template <int H>
struct ForwardTile {
  alignas(64) float hidden1[kTile * H];
  alignas(64) float reverse1[kTile * H];
  alignas(64) float outputs[kTile * kFieldOutputs];
  uint64_t masks1[kTile];
  uint64_t masks2[kTile];
};

// 3: what the network's outputs mean: density and albedo.
RF_STAGE void activate_tile(const FieldProblem<float>& problem, const float* world,
                            const int32_t* is_inside, int num_padded, float* outputs,
                            float* blobs) {
  for (int s = 0; s < num_padded; ++s) {
    const float position[3] = {world[s], world[kMaxGroup + s], world[2 * kMaxGroup + s]};
    const float blob = density_blob(problem.settings, position);
    const float keep = is_inside[s] != 0 ? 1.0f : 0.0f;
    blobs[s] = blob;
    outputs[4 * s] = keep * density_from_log(outputs[4 * s] + blob);
    for (int c = 1; c < 4; ++c) outputs[4 * s + c] = keep * sigmoid(outputs[4 * s + c]);
  }
}

// The network on one tile: the samples first.. of the group, i.. of the call.
template <int H, bool kWithNormal>
void forward_tile(const FieldProblem<float>& problem, const PackedNetwork<H>& network,
                  const FieldOutputs<float>& out, int64_t i, int first, int num_samples,
                  ForwardGroup& group, ForwardTile<H>& tile) {
  const int num_padded = round_up(num_samples, kPadding);
  const int32_t* is_inside = group.is_inside + first;
  float* features = group.features + first;
  hidden_layer1<H>(network, features, kMaxGroup, num_padded, tile.hidden1, tile.masks1);
  hidden_layer2_and_outputs<H>(network, tile.hidden1, tile.masks1, num_padded,
                               tile.outputs, tile.masks2);
  activate_tile(problem, group.world + first, is_inside, num_padded, tile.outputs,
                group.blob + first);
  if constexpr (kWithNormal) {
    reverse_layer2<H>(network, tile.masks1, tile.masks2, num_padded, tile.reverse1);
    backward_layer1<H>(network, tile.reverse1, tile.masks1, num_padded, features,
                       kMaxGroup);
  }
  for (int s = 0; s < num_samples; ++s) {
    out.densities[i + s] = tile.outputs[4 * s];
    for (int c = 0; c < 3; ++c) out.albedo[3 * (i + s) + c] = tile.outputs[4 * s + 1 + c];
    out.masks[2 * (i + s)] = is_inside[s] != 0 ? tile.masks1[s] : 0;
    out.masks[2 * (i + s) + 1] = is_inside[s] != 0 ? tile.masks2[s] : 0;
  }
}

// 5: the gradient of the log-density and the normal.
RF_STAGE void finish_normals(const FieldProblem<float>& problem,
                             const FieldOutputs<float>& out, int64_t begin,
                             int num_samples, const ForwardGroup& group) {
  for (int s = 0; s < num_samples; ++s) {
    const float pull = -group.blob[s] * problem.settings.blob_inverse_variance;
    float* gradient = out.gradients + 3 * (begin + s);
    for (int axis = 0; axis < 3; ++axis) {
      const int k = axis * kMaxGroup + s;
      const float value = group.gradient[k] * problem.settings.inverse_extent +
                          pull * group.world[k];
      gradient[axis] = group.is_inside[s] != 0 ? value : 0.0f;
    }
    normal_from_gradient(gradient, out.normals + 3 * (begin + s));
  }
}

template <int H, bool kWithNormal>
void forward_group(const FieldProblem<float>& problem, const FieldOutputs<float>& out,
                   int64_t begin, int64_t end) {
  // Kept from call to call: fresh memory would fault in page by page.
  static thread_local const auto group = std::make_unique<ForwardGroup>();
  const int num_samples = static_cast<int>(end - begin);
  const int num_padded = round_up(num_samples, kPadding);
  const PackedNetwork<H> network(problem);
  ForwardTile<H> tile;
  load_positions(problem, begin, num_samples, group->world, group->unit, kMaxGroup,
                 group->is_inside);
  with_features(problem.grid.num_features, [&](auto features) {
    encode_group<features>(problem, group->unit, kMaxGroup, num_padded, group->features);
  });
  for (int first = 0; first < num_samples; first += kTile) {
    forward_tile<H, kWithNormal>(problem, network, out, begin + first, first,
                                 std::min(kTile, num_samples - first), *group, tile);
  }
  if constexpr (kWithNormal) {
    with_features(problem.grid.num_features, [&](auto features) {
      differentiate_group<features>(problem, group->unit, group->features, kMaxGroup,
                                    num_padded, group->gradient);
    });
    finish_normals(problem, out, begin, num_samples, *group);
  }
}

// A backward keeps a group's positions, directions and features where the scatter will
// read them; the features and tangents turn into their gradients, tile by tile.
struct BackwardGroup {
  alignas(64) float world[3 * kMaxGroup];
  alignas(64) int32_t is_inside[kMaxGroup];
  alignas(64) float grad_outputs[kMaxGroup * kFieldOutputs];
  uint64_t masks1[kMaxGroup];
  uint64_t masks2[kMaxGroup];
};

template <int H>
struct BackwardTile {
  alignas(64) float hidden1[kTile * H];
  alignas(64) float hidden2[kTile * H];
  alignas(64) float tangent1[kTile * H];
  alignas(64) float grad1[kTile * H];
  alignas(64) float grad2[kTile * H];
  alignas(64) float reverse1[kTile * H];
};

// 7, 8: from the saved outputs and the upstream gradients to obar and zbar. Samples that
// are not inside keep masks of zeros and hence no gradient at all.
template <bool kWithNormal>
RF_STAGE void backward_activations(const FieldProblem<float>& problem,
                                   const FieldOutputs<float>& saved,
                                   const FieldUpstreams<float>& upstreams,
                                   int64_t begin, int num_samples, int64_t stride,
                                   BackwardGroup& group, float* directions) {
  const int num_padded = round_up(num_samples, kPadding);
  for (int s = 0; s < num_padded; ++s) {
    float* grad_outputs = group.grad_outputs + kFieldOutputs * s;
    float direction[3] = {0.0f, 0.0f, 0.0f};
    group.masks1[s] = group.masks2[s] = 0;
    std::fill_n(grad_outputs, kFieldOutputs, 0.0f);
    if (group.is_inside[s] != 0) {
      const int64_t i = begin + s;
      group.masks1[s] = saved.masks[2 * i];
      group.masks2[s] = saved.masks[2 * i + 1];
      FieldUpstream<float> upstream{};
      if (upstreams.densities != nullptr) upstream.density = upstreams.densities[i];
      if (upstreams.albedo != nullptr) {
        for (int c = 0; c < 3; ++c) upstream.albedo[c] = upstreams.albedo[3 * i + c];
      }
      activation_backward(saved.densities[i], saved.albedo + 3 * i, upstream,
                          grad_outputs);
      if constexpr (kWithNormal) {
        normal_from_gradient_backward(saved.gradients + 3 * i, upstreams.normals + 3 * i,
                                      direction);
      }
    }
    if constexpr (kWithNormal) {
      for (int axis = 0; axis < 3; ++axis) {
        directions[axis * stride + s] = direction[axis] * problem.settings.inverse_extent;
      }
    }
  }
}

// The network on one tile; features and tangents [..][stride] are the group's, in and
// (their gradients) out.
template <int H, bool kWithNormal>
void backward_tile(const PackedNetwork<H>& network, const uint64_t* masks1,
                   const uint64_t* masks2, const float* grad_outputs, int num_padded,
                   int64_t stride, float* features, float* tangents,
                   BackwardTile<H>& tile, PackedGradients<H>& gradients) {
  const int n = num_padded;
  const int num_inputs = network.num_inputs;
  masked_layer1<H>(network, features, stride, network.b1, masks1, n, tile.hidden1);
  masked_layer2<H>(network, tile.hidden1, masks1, masks2, n, tile.hidden2);
  backward_outputs<H>(network, grad_outputs, masks2, n, tile.grad2);
  backward_layer2<H>(network, tile.grad2, masks1, masks2, n, tile.grad1);
  if constexpr (kWithNormal) {
    masked_layer1<H>(network, tangents, stride, nullptr, masks1, n, tile.tangent1);
    reverse_layer2<H>(network, masks1, masks2, n, tile.reverse1);
    add_gated<H>(masks2, tile.tangent1, n, gradients.gate[0]);
    add_outer_products<H>(tile.reverse1, tangents, stride, 1, num_inputs, n,
                          gradients.w1[0]);
    backward_layer1<H>(network, tile.reverse1, masks1, n, tangents, stride);
  }
  add_outer_products<H>(tile.grad1, features, stride, 1, num_inputs, n,
                        gradients.w1[0]);
  backward_layer1<H>(network, tile.grad1, masks1, n, features, stride);
  add_outer_products<H>(tile.grad2, tile.hidden1, 1, H, H, n, gradients.w2[0]);
  add_outer_products<H>(tile.hidden2, grad_outputs, 1, kFieldOutputs, kFieldOutputs, n,
                        gradients.w3[0]);
  add_rows<H>(tile.grad1, n, gradients.b1);
  add_rows<H>(tile.grad2, n, gradients.b2);
  for (int s = 0; s < n; ++s) {
    for (int o = 0; o < kFieldOutputs; ++o) {
      gradients.b3[o] += grad_outputs[s * kFieldOutputs + o];
    }
  }
}

template <int H, bool kWithNormal>
void backward_group(const FieldProblem<float>& problem, const FieldOutputs<float>& saved,
                    const FieldUpstreams<float>& upstreams,
                    const FieldScatter<float>& scatter, float* network_gradients,
                    int64_t begin, int64_t end) {
  static thread_local const auto group = std::make_unique<BackwardGroup>();
  const int num_samples = static_cast<int>(end - begin);
  const int num_padded = round_up(num_samples, kPadding);
  const int64_t stride = scatter.stride;
  const int64_t column = begin - scatter.first_sample;
  float* unit = scatter.unit + column;
  float* features = scatter.features + column;
  float* directions = kWithNormal ? scatter.directions + column : nullptr;
  float* tangents = kWithNormal ? scatter.reverse + column : nullptr;
  load_positions(problem, begin, num_samples, group->world, unit, stride,
                 group->is_inside);
  backward_activations<kWithNormal>(problem, saved, upstreams, begin, num_samples,
                                    stride, *group, directions);
  with_features(problem.grid.num_features, [&](auto count) {
    if constexpr (kWithNormal) {
      encode_group_along<count>(problem, unit, directions, stride, num_padded, features,
                                tangents);
    } else {
      encode_group<count>(problem, unit, stride, num_padded, features);
    }
  });
  const PackedNetwork<H> network(problem);
  PackedGradients<H> gradients{};
  BackwardTile<H> tile;
  for (int first = 0; first < num_padded; first += kTile) {
    backward_tile<H, kWithNormal>(
        network, group->masks1 + first, group->masks2 + first,
        group->grad_outputs + kFieldOutputs * first, std::min(kTile, num_padded - first),
        stride, features + first, kWithNormal ? tangents + first : nullptr, tile,
        gradients);
  }
  unpack_gradients<H>(problem, network, gradients, network_gradients);
}

// ---- The kernels' table ----

template <int H>
FieldKernels<float> kernels_of_width() {
  FieldKernels<float> kernels{};
  kernels.forward = [](const FieldProblem<float>& problem,
                       const FieldOutputs<float>& outputs, int64_t begin, int64_t end) {
    if (problem.with_normals) {
      forward_group<H, true>(problem, outputs, begin, end);
    } else {
      forward_group<H, false>(problem, outputs, begin, end);
    }
  };
  kernels.backward = [](const FieldProblem<float>& problem,
                        const FieldOutputs<float>& saved,
                        const FieldUpstreams<float>& upstreams,
                        const FieldScatter<float>& scatter, float* network_gradients,
                        int64_t begin, int64_t end) {
    if (problem.with_normals) {
      backward_group<H, true>(problem, saved, upstreams, scatter, network_gradients,
                              begin, end);
    } else {
      backward_group<H, false>(problem, saved, upstreams, scatter, network_gradients,
                               begin, end);
    }
  };
  return kernels;
}

template <bool kWithNormal, bool kWhole>
void scatter_with_features(const FieldProblem<float>& problem,
                           const FieldScatter<float>& scatter, int level,
                           uint32_t first_entry, uint32_t last_entry, float* grad_table,
                           int64_t num_samples) {
  with_features(problem.grid.num_features, [&](auto features) {
    scatter_block<features, kWithNormal, kWhole>(problem, scatter, level, first_entry,
                                                 last_entry, grad_table, num_samples);
  });
}

void scatter_any(const FieldProblem<float>& problem, const FieldScatter<float>& scatter,
                 int level, uint32_t first_entry, uint32_t last_entry,
                 float* grad_table, int64_t num_samples) {
  const bool with_normals = scatter.reverse != nullptr;
  const bool is_whole =
      first_entry == 0 && last_entry == problem.grid.levels[level].size;
  const auto run = with_normals ? (is_whole ? scatter_with_features<true, true>
                                            : scatter_with_features<true, false>)
                                : (is_whole ? scatter_with_features<false, true>
                                            : scatter_with_features<false, false>);
  run(problem, scatter, level, first_entry, last_entry, grad_table, num_samples);
}

FieldKernels<float> simd_kernels(int hidden_width) {
  FieldKernels<float> kernels{};
  if (hidden_width == 16) kernels = kernels_of_width<16>();
  if (hidden_width == 32) kernels = kernels_of_width<32>();
  if (hidden_width == 64) kernels = kernels_of_width<64>();
  kernels.scatter = scatter_any;
  return kernels;
}

}  // namespace
}  // namespace RF_FIELD_NAMESPACE

#undef RF_UNROLL_ALL
#undef RF_STAGE
