// Kernels of the hash grid on SIMD lanes. Included by one .cpp an instruction set,
// after
//   RF_LANES         the namespace of the lanes (avx2, avx512)
//   RF_LANES_TARGET  the target attribute of every function
// The arithmetic is that of core/hash_grid.h, lane by lane; the tests compare the two.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "cpu/hash_grid.h"

namespace realfusion::RF_LANES {
namespace {

using cpu::kHashGridChunk;

#define RF_INLINE inline __attribute__((always_inline)) RF_LANES_TARGET

// A group of points. Those outside the unit cube, and the lanes behind the last point,
// are moved to its corner and weigh nothing.
struct LanePoints {
  Float position[3];
  Float weight;  // 1 or 0
};

// Triplets of up to kLanes points, -1 behind the last.
RF_INLINE void load_padded_triplets(const float* triplets, int64_t count,
                                    Float axes[3]) {
  alignas(64) float padded[3 * kLanes];
  if (count < kLanes) {
    for (int64_t k = 0; k < 3 * kLanes; ++k) {
      padded[k] = k < 3 * count ? triplets[k] : -1.0f;
    }
    triplets = padded;
  }
  load_triplets(triplets, axes);
}

RF_INLINE LanePoints load_points(const float* positions, int64_t count) {
  LanePoints points;
  load_padded_triplets(positions, count, points.position);
  const Float zero = set(0.0f);
  const Float one = set(1.0f);
  const Float* p = points.position;
  const Mask is_inside =
      both(both(both(is_not_below(p[0], zero), is_not_below(one, p[0])),
                both(is_not_below(p[1], zero), is_not_below(one, p[1]))),
           both(is_not_below(p[2], zero), is_not_below(one, p[2])));
  for (int axis = 0; axis < 3; ++axis) {
    points.position[axis] = keep(is_inside, points.position[axis]);
  }
  points.weight = keep(is_inside, one);
  return points;
}

// A level's constants in all lanes.
struct LaneLevel {
  Float scale;
  Int multiplier_y, multiplier_z;
  Int mask_x, mask_y, mask_z;
  bool is_xor;
  bool is_smoothstep;
};

RF_INLINE LaneLevel broadcast(const HashGrid& grid, int l) {
  const HashGridLevel& level = grid.levels[l];
  return {set(level.scale),
          set(static_cast<int32_t>(level.multiplier_y)),
          set(static_cast<int32_t>(level.multiplier_z)),
          set(static_cast<int32_t>(level.mask_x)),
          set(static_cast<int32_t>(level.mask_y)),
          set(static_cast<int32_t>(level.mask_z)),
          level.use_xor != 0,
          grid.interpolation == GridInterpolation::smoothstep};
}

struct AxisCell {
  Int corner;
  Float fraction;
};

RF_INLINE AxisCell axis_cell(const LaneLevel& level, Float position) {
  const Float p = multiply_add(level.scale, position, set(0.5f));
  const Int corner = truncate(p);  // p >= 0.5: truncation rounds down
  return {corner, subtract(p, to_float(corner))};
}

RF_INLINE void corner_indices(const LaneLevel& level, Int x, Int y, Int z,
                              Int indices[8]) {
  y = multiply(y, level.multiplier_y);
  z = multiply(z, level.multiplier_z);
  const Int x1 = add(x, set(1));
  const Int y1 = add(y, level.multiplier_y);
  const Int z1 = add(z, level.multiplier_z);
  if (level.is_xor) {
    const Int xs[2] = {bit_and(x, level.mask_x), bit_and(x1, level.mask_x)};
    const Int ys[2] = {bit_and(y, level.mask_y), bit_and(y1, level.mask_y)};
    const Int zs[2] = {bit_and(z, level.mask_z), bit_and(z1, level.mask_z)};
    RF_UNROLL
    for (int c = 0; c < 8; ++c) {
      indices[c] = bit_xor(bit_xor(xs[c & 1], ys[c >> 1 & 1]), zs[c >> 2]);
    }
  } else {
    const Int xs[2] = {x, x1};
    const Int yz[4] = {add(y, z), add(y1, z), add(y, z1), add(y1, z1)};
    RF_UNROLL
    for (int c = 0; c < 8; ++c) indices[c] = add(xs[c & 1], yz[c >> 1]);
  }
}

RF_INLINE Float blend_of(const LaneLevel& level, Float fraction) {
  if (!level.is_smoothstep) return fraction;
  const Float slope = negated_multiply_add(set(2.0f), fraction, set(3.0f));
  return multiply(multiply(fraction, fraction), slope);
}

// The eight corners of a group of points.
struct LaneCorners {
  Int indices[8];
  Float weights[8];
};

struct LaneBlend {
  Float lower[3];  // 1 - blend
  Float upper[3];  // blend
  Float fraction[3];
};

RF_INLINE LaneBlend lane_cell(const LaneLevel& level, const LanePoints& points,
                              Int indices[8]) {
  LaneBlend blend;
  Int corner[3];
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    const AxisCell cell = axis_cell(level, points.position[axis]);
    corner[axis] = cell.corner;
    blend.fraction[axis] = cell.fraction;
    blend.upper[axis] = blend_of(level, cell.fraction);
    blend.lower[axis] = subtract(set(1.0f), blend.upper[axis]);
  }
  corner_indices(level, corner[0], corner[1], corner[2], indices);
  return blend;
}

// Products of the weights of two axes, in the order of the corners.
RF_INLINE void plane_weights(const LaneBlend& blend, int first, int second,
                             Float weights[4]) {
  weights[0] = multiply(blend.lower[first], blend.lower[second]);
  weights[1] = multiply(blend.upper[first], blend.lower[second]);
  weights[2] = multiply(blend.lower[first], blend.upper[second]);
  weights[3] = multiply(blend.upper[first], blend.upper[second]);
}

RF_INLINE LaneCorners lane_corners(const LaneLevel& level, const LanePoints& points) {
  LaneCorners corners;
  const LaneBlend blend = lane_cell(level, points, corners.indices);
  Float plane[4];
  plane_weights(blend, 1, 2, plane);
  const Float lower = multiply(blend.lower[0], points.weight);
  const Float upper = multiply(blend.upper[0], points.weight);
  RF_UNROLL
  for (int c = 0; c < 8; ++c) {
    corners.weights[c] = multiply((c & 1) ? upper : lower, plane[c >> 1]);
  }
  return corners;
}

// Slopes d blend / d position of the three axes.
RF_INLINE void lane_slopes(const LaneLevel& level, const LaneBlend& blend,
                           Float slopes[3]) {
  for (int axis = 0; axis < 3; ++axis) {
    slopes[axis] = level.scale;
    if (level.is_smoothstep) {
      const Float f = blend.fraction[axis];
      const Float parabola = multiply(f, subtract(set(1.0f), f));
      slopes[axis] = multiply(multiply(set(6.0f), parabola), level.scale);
    }
  }
}

// The derivatives of the weights along the points' directions in the place of the
// weights, by the product rule.
RF_INLINE LaneCorners lane_corner_tangents(const LaneLevel& level,
                                           const LanePoints& points,
                                           const Float direction[3]) {
  LaneCorners tangents;
  const LaneBlend blend = lane_cell(level, points, tangents.indices);
  Float steps[3];  // of the upper weight; the lower takes as much the other way
  lane_slopes(level, blend, steps);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    steps[axis] = multiply(steps[axis], multiply(direction[axis], points.weight));
  }
  Float plane[4];
  plane_weights(blend, 1, 2, plane);
  const Float along_y[2] = {multiply(steps[1], blend.lower[2]),
                            multiply(steps[1], blend.upper[2])};
  const Float along_z[2] = {multiply(steps[2], blend.lower[1]),
                            multiply(steps[2], blend.upper[1])};
  const Float plane_steps[4] = {subtract(subtract(set(0.0f), along_y[0]), along_z[0]),
                                subtract(along_y[0], along_z[1]),
                                subtract(along_z[0], along_y[1]),
                                add(along_y[1], along_z[1])};
  RF_UNROLL
  for (int c = 0; c < 8; ++c) {
    const Float step = multiply(steps[0], plane[c >> 1]);
    tangents.weights[c] =
        (c & 1) ? multiply_add(blend.upper[0], plane_steps[c >> 1], step)
                : subtract(multiply(blend.lower[0], plane_steps[c >> 1]), step);
  }
  return tangents;
}

// Every kernel comes in two: of the features, and of their derivative along the
// directions (`kIsTangent`), which is the same sum with other weights.
template <bool kIsTangent>
RF_INLINE LaneCorners corners_of(const LaneLevel& level, const float* directions,
                                 const float* positions, int64_t count) {
  const LanePoints points = load_points(positions, count);
  if constexpr (kIsTangent) {
    Float direction[3];
    load_padded_triplets(directions, count, direction);
    return lane_corner_tangents(level, points, direction);
  } else {
    return lane_corners(level, points);
  }
}

// Features of the lanes' entries, feature by feature.
template <int F>
RF_INLINE void gather_entries(const float* entries, Int indices, Float features[F]) {
  if constexpr (F == 1) {
    features[0] = gather(entries, indices);
  } else {
    const Int pairs = multiply(indices, set(F / 2));
    RF_UNROLL
    for (int f = 0; f < F; f += 2) {
      const FloatPair pair = gather_pair(entries + f, F == 2 ? indices : pairs);
      features[f] = pair.first;
      features[f + 1] = pair.second;
    }
  }
}

// Writes the lanes' features point by point.
template <int F>
RF_INLINE void store_points(const Float features[F], float* out) {
  if constexpr (F == 2) {
    const FloatPair halves = interleave(features[0], features[1]);
    store(out, halves.first);
    store(out + kLanes, halves.second);
  } else {
    alignas(64) float rows[kLanes * F];
    for (int f = 0; f < F; ++f) store(rows + f * kLanes, features[f]);
    for (int k = 0; k < kLanes; ++k) {
      for (int f = 0; f < F; ++f) out[k * F + f] = rows[f * kLanes + k];
    }
  }
}

// features: [count rounded up to kLanes, F], out.
template <int F, bool kIsTangent>
RF_LANES_TARGET void encode_chunk_level(const HashGrid& grid, int l,
                                        const float* directions, const float* positions,
                                        const float* table, float* features,
                                        int64_t count) {
  const LaneLevel level = broadcast(grid, l);
  const float* entries = table + grid.levels[l].offset * F;
  for (int64_t i = 0; i < count; i += kLanes) {
    const LaneCorners corners =
        corners_of<kIsTangent>(level, directions + 3 * i, positions + 3 * i, count - i);
    Float sums[F];
    for (int f = 0; f < F; ++f) sums[f] = set(0.0f);
    RF_UNROLL
    for (int c = 0; c < 8; ++c) {
      Float entry[F];
      gather_entries<F>(entries, corners.indices[c], entry);
      RF_UNROLL
      for (int f = 0; f < F; ++f) {
        sums[f] = multiply_add(corners.weights[c], entry[f], sums[f]);
      }
    }
    store_points<F>(sums, features + i * F);
  }
}

// Levels whose features of one point fill a cache line. They are computed one after the
// other and written together: written one by one, every line of the result would be
// fetched and stored once for each of them. The backward reads them so, too.
template <int F>
constexpr int kLevelsPerLine = 16 / F;

// Copies one row a level, [count, F], to the levels' columns of `rows`.
template <int F>
RF_LANES_TARGET void write_columns(const float* levels, int64_t level_stride,
                                   int num_levels, float* rows, int64_t row_stride,
                                   int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    for (int l = 0; l < num_levels; ++l) {
      std::memcpy(rows + i * row_stride + l * F, levels + l * level_stride + i * F,
                  F * sizeof(float));
    }
  }
}

template <int F, bool kIsTangent>
RF_LANES_TARGET void encode_rows(const HashGrid& grid, const float* directions,
                                 const float* positions, const float* table,
                                 float* features, int64_t begin, int64_t end) {
  const int64_t stride = int64_t{grid.num_levels} * F;
  const int64_t num_active = int64_t{grid.num_active_levels} * F;
  const int64_t chunk = std::min(kHashGridChunk, end - begin);
  const int64_t level_stride = (chunk + kLanes - 1) / kLanes * kLanes * F;
  const std::unique_ptr<float[]> levels(new float[kLevelsPerLine<F> * level_stride]);
  for (int64_t first = begin; first < end; first += kHashGridChunk) {
    const int64_t count = std::min(kHashGridChunk, end - first);
    float* out = features + first * stride;
    for (int l = 0; l < grid.num_active_levels; l += kLevelsPerLine<F>) {
      const int num_levels = std::min(kLevelsPerLine<F>, grid.num_active_levels - l);
      for (int k = 0; k < num_levels; ++k) {
        encode_chunk_level<F, kIsTangent>(grid, l + k, directions + 3 * first,
                                          positions + 3 * first, table,
                                          levels.get() + k * level_stride, count);
      }
      write_columns<F>(levels.get(), level_stride, num_levels, out + int64_t{l} * F,
                       stride, count);
    }
    if (num_active == stride) continue;
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t f = num_active; f < stride; ++f) out[i * stride + f] = 0.0f;
    }
  }
}

RF_INLINE __m128 load_two(const float* from) {
  return _mm_castpd_ps(_mm_load_sd(reinterpret_cast<const double*>(from)));
}

// entry += weight * grad.
template <int F>
RF_INLINE void add_scaled(float* entry, float weight, const float* grad) {
  if constexpr (F == 1) {
    entry[0] += weight * grad[0];
  } else if constexpr (F == 2) {
    const __m128 sum =
        _mm_fmadd_ps(_mm_set1_ps(weight), load_two(grad), load_two(entry));
    _mm_store_sd(reinterpret_cast<double*>(entry), _mm_castps_pd(sum));
  } else {
    RF_UNROLL
    for (int f = 0; f < F; f += 4) {
      const __m128 sum = _mm_fmadd_ps(_mm_set1_ps(weight), _mm_loadu_ps(grad + f),
                                      _mm_loadu_ps(entry + f));
      _mm_storeu_ps(entry + f, sum);
    }
  }
}

// grad: [count, F], in.
template <int F, bool kIsTangent>
RF_LANES_TARGET void scatter_chunk_level(const HashGrid& grid, int l,
                                         const float* directions,
                                         const float* positions, const float* grad,
                                         float* grad_table, int64_t count) {
  const LaneLevel level = broadcast(grid, l);
  float* entries = grad_table + grid.levels[l].offset * F;
  alignas(64) uint32_t indices[8][kLanes];
  alignas(64) float weights[8][kLanes];
  for (int64_t i = 0; i < count; i += kLanes) {
    const LaneCorners corners =
        corners_of<kIsTangent>(level, directions + 3 * i, positions + 3 * i, count - i);
    RF_UNROLL
    for (int c = 0; c < 8; ++c) {
      store(indices[c], corners.indices[c]);
      store(weights[c], corners.weights[c]);
    }
    const int64_t num_lanes = std::min<int64_t>(kLanes, count - i);
    for (int64_t k = 0; k < num_lanes; ++k) {
      RF_UNROLL
      for (int c = 0; c < 8; ++c) {
        add_scaled<F>(entries + int64_t{indices[c][k]} * F, weights[c][k],
                      grad + (i + k) * F);
      }
    }
  }
}

// Copies the columns of every `level_step`th level of `rows` to one row a level.
template <int F>
RF_LANES_TARGET void read_columns(const float* rows, int64_t row_stride, int level_step,
                                  int num_levels, float* levels, int64_t level_stride,
                                  int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    for (int l = 0; l < num_levels; ++l) {
      std::memcpy(levels + l * level_stride + i * F,
                  rows + i * row_stride + l * level_step * F, F * sizeof(float));
    }
  }
}

template <int F, bool kIsTangent>
RF_LANES_TARGET void scatter_levels(const HashGrid& grid, int first_level,
                                    int level_step, const float* grad_features,
                                    const float* directions, const float* positions,
                                    float* grad_table, int64_t num_points) {
  const int64_t stride = int64_t{grid.num_levels} * F;
  // Of the levels of a line, those that are this thread's.
  const int levels_at_once = std::max(1, kLevelsPerLine<F> / level_step);
  const int64_t level_stride = std::min(kHashGridChunk, num_points) * F;
  const std::unique_ptr<float[]> grads(new float[levels_at_once * level_stride]);
  for (int64_t first = 0; first < num_points; first += kHashGridChunk) {
    const int64_t count = std::min(kHashGridChunk, num_points - first);
    for (int l = first_level; l < grid.num_active_levels;
         l += levels_at_once * level_step) {
      const int num_left = (grid.num_active_levels - l + level_step - 1) / level_step;
      const int num_levels = std::min(levels_at_once, num_left);
      read_columns<F>(grad_features + first * stride + int64_t{l} * F, stride,
                      level_step, num_levels, grads.get(), level_stride, count);
      for (int k = 0; k < num_levels; ++k) {
        scatter_chunk_level<F, kIsTangent>(
            grid, l + k * level_step, directions + 3 * first, positions + 3 * first,
            grads.get() + k * level_stride, grad_table, count);
      }
    }
  }
}

// The dot product of each corner's entry with the upstream gradient of its point.
template <int F>
RF_INLINE void corner_dots(const float* entries, const Int indices[8],
                           const Float grad[F], Float dots[8]) {
  RF_UNROLL
  for (int c = 0; c < 8; ++c) {
    Float entry[F];
    gather_entries<F>(entries, indices[c], entry);
    dots[c] = multiply(grad[0], entry[0]);
    RF_UNROLL
    for (int f = 1; f < F; ++f) dots[c] = multiply_add(grad[f], entry[f], dots[c]);
  }
}

// sum over the four edges along `axis` of weight * (dot at the upper - lower corner).
RF_INLINE Float edge_sum(const LaneBlend& blend, int axis, const Float dots[8]) {
  const int first = axis == 0 ? 1 : 0;
  const int second = axis == 2 ? 1 : 2;
  Float weights[4];
  plane_weights(blend, first, second, weights);
  Float sum = set(0.0f);
  RF_UNROLL
  for (int edge = 0; edge < 4; ++edge) {
    const int lower = (edge & 1) << first | (edge >> 1) << second;
    const Float difference = subtract(dots[lower | 1 << axis], dots[lower]);
    sum = multiply_add(weights[edge], difference, sum);
  }
  return sum;
}

}  // namespace
}  // namespace realfusion::RF_LANES
