// The hash grid on SIMD lanes: points, cells, corners. Included by one .cpp an
// instruction set, before the kernels in hash_grid_table_lanes.h and
// hash_grid_slope_lanes.h, and after
//   RF_LANES         the namespace of the lanes (avx2, avx512)
//   RF_LANES_TARGET  the target attribute of every function
// The arithmetic is that of core/hash_grid.h, lane by lane; the tests compare the two.
#include <algorithm>
#include <cstdint>

#include "cpu/hash_grid.h"

namespace realfusion::RF_LANES {
namespace {

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

}  // namespace
}  // namespace realfusion::RF_LANES
