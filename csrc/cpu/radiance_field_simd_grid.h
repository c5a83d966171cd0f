// The radiance field's hash grid, samples in the lanes. A part of
// radiance_field_simd.h, included by it once for each target.

namespace RF_FIELD_NAMESPACE {
namespace {

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
      cells.blend[axis] =
          V::mul(squared, V::sub(V::set(3.0f), V::add(fraction, fraction)));
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
      cells.indices[c] =
          V::add_int(xs[c & 1], V::add_int(ys[(c >> 1) & 1], zs[c >> 2]));
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
        const Float value =
            blend_corners_with_gradient(values[f], cells.blend, gradient);
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
RF_STAGE void scatter_block(const FieldProblem<float>& problem,
                            const FieldScatter<float>& scatter, int level_index,
                            uint32_t first_entry, uint32_t last_entry,
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

}  // namespace
}  // namespace RF_FIELD_NAMESPACE
