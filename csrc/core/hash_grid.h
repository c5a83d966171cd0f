// Multiresolution hash grid (Mueller et al. 2022, "Instant neural graphics primitives",
// section 3): the maths of one point on one level. Torch-free, host and device.
//
// A level is a lattice of `resolution`^3 vertices over the unit cube. A point x maps to
// p = scale * x + 0.5, lies in the cell floor(p), and blends the features of the cell's
// eight corners. Corner c has the offset (c & 1, c >> 1 & 1, c >> 2 & 1).
#pragma once

#include "core/host_device.h"

namespace realfusion {

constexpr int kMaxHashGridLevels = 32;
constexpr uint32_t kHashPrimeY = 2654435761u;
constexpr uint32_t kHashPrimeZ = 805459861u;

enum class GridIndexing : int32_t { hash = 0, tiled = 1 };
enum class GridInterpolation : int32_t { linear = 0, smoothstep = 1 };

// One level. The entry of the vertex (x, y, z) is the sum (or the XOR) of
//   x & mask_x,  (y * multiplier_y) & mask_y,  (z * multiplier_z) & mask_z
// which covers all three layouts: dense (row-major, masks of ones, sum), hashed
// (primes, masks of the table size, XOR), tiled (disjoint bit fields; XOR = sum).
struct HashGridLevel {
  float scale;
  uint32_t resolution;  // vertices an axis
  uint32_t multiplier_y;
  uint32_t multiplier_z;
  uint32_t mask_x;
  uint32_t mask_y;
  uint32_t mask_z;
  uint32_t use_xor;
  int64_t offset;  // first entry of the level in the table
  int64_t size;    // entries of the level
};

// All levels, passed to kernels by value. The scales come from one host-side table:
// a device exp2 would floor into other cells than the host's.
struct HashGrid {
  int32_t num_levels;
  int32_t num_active_levels;
  int32_t num_features;
  GridInterpolation interpolation;
  HashGridLevel levels[kMaxHashGridLevels];
};

// Host: derives a level's index arithmetic. `size` is either at least resolution^3
// (dense) or a power of two. A tiled level repeats with a power-of-two period an axis,
// the bits of the table shared out as evenly as they go (x first).
inline HashGridLevel make_hash_grid_level(float scale, int64_t resolution,
                                          int64_t offset, int64_t size,
                                          GridIndexing indexing) {
  HashGridLevel level{};
  level.scale = scale;
  level.resolution = static_cast<uint32_t>(resolution);
  level.offset = offset;
  level.size = size;
  const bool is_dense = resolution * resolution * resolution <= size;
  if (is_dense) {
    level.multiplier_y = level.resolution;
    level.multiplier_z = level.resolution * level.resolution;
    level.mask_x = level.mask_y = level.mask_z = ~0u;
    level.use_xor = 0;
  } else if (indexing == GridIndexing::hash) {
    level.multiplier_y = kHashPrimeY;
    level.multiplier_z = kHashPrimeZ;
    level.mask_x = level.mask_y = level.mask_z = static_cast<uint32_t>(size - 1);
    level.use_xor = 1;
  } else {
    uint32_t num_bits = 0;
    while ((int64_t{1} << (num_bits + 1)) <= size) ++num_bits;
    const uint32_t bits_x = (num_bits + 2) / 3;
    const uint32_t bits_y = (num_bits + 1) / 3;
    const uint32_t bits_z = num_bits / 3;
    level.multiplier_y = 1u << bits_x;
    level.multiplier_z = 1u << (bits_x + bits_y);
    level.mask_x = (1u << bits_x) - 1;
    level.mask_y = ((1u << bits_y) - 1) << bits_x;
    level.mask_z = ((1u << bits_z) - 1) << (bits_x + bits_y);
    level.use_xor = 1;
  }
  return level;
}

// False outside the closed unit cube and for NaN: such a point encodes to zeros.
template <class T>
RF_HOST_DEVICE bool is_in_unit_cube(const T position[3]) {
  return position[0] >= T(0) && position[0] <= T(1) && position[1] >= T(0) &&
         position[1] <= T(1) && position[2] >= T(0) && position[2] <= T(1);
}

// The cell of a point in the unit cube and where in the cell the point lies.
template <class T>
struct GridCell {
  uint32_t corner[3];
  T fraction[3];
};

template <class T>
RF_HOST_DEVICE GridCell<T> grid_cell(const HashGridLevel& level, const T position[3]) {
  GridCell<T> cell;
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    const T p = fused_multiply_add(T(level.scale), position[axis], T(0.5));
    const T lower = round_down(p);
    cell.corner[axis] = static_cast<uint32_t>(lower);
    cell.fraction[axis] = p - lower;
  }
  return cell;
}

// Entries (within the level) of the cell's eight corners.
RF_HOST_DEVICE void grid_corner_indices(const HashGridLevel& level,
                                        const uint32_t corner[3], uint32_t indices[8]) {
  const uint32_t y = corner[1] * level.multiplier_y;
  const uint32_t z = corner[2] * level.multiplier_z;
  const uint32_t xs[2] = {corner[0] & level.mask_x, (corner[0] + 1) & level.mask_x};
  const uint32_t ys[2] = {y & level.mask_y, (y + level.multiplier_y) & level.mask_y};
  const uint32_t zs[2] = {z & level.mask_z, (z + level.multiplier_z) & level.mask_z};
  if (level.use_xor) {
    RF_UNROLL
    for (int c = 0; c < 8; ++c) {
      indices[c] = xs[c & 1] ^ ys[(c >> 1) & 1] ^ zs[c >> 2];
    }
  } else {
    RF_UNROLL
    for (int c = 0; c < 8; ++c) {
      indices[c] = xs[c & 1] + ys[(c >> 1) & 1] + zs[c >> 2];
    }
  }
}

// How far the blend has moved from the lower to the upper corner along one axis:
// f, or 3f^2 - 2f^3 (smoothstep, whose derivative vanishes on the cell's faces).
template <class T>
RF_HOST_DEVICE T grid_blend(GridInterpolation interpolation, T fraction) {
  if (interpolation == GridInterpolation::linear) return fraction;
  return fraction * fraction * (T(3) - T(2) * fraction);
}

// d grid_blend / d fraction.
template <class T>
RF_HOST_DEVICE T grid_blend_derivative(GridInterpolation interpolation, T fraction) {
  if (interpolation == GridInterpolation::linear) return T(1);
  return T(6) * fraction * (T(1) - fraction);
}

// d^2 grid_blend / d fraction^2.
template <class T>
RF_HOST_DEVICE T grid_blend_second_derivative(GridInterpolation interpolation,
                                              T fraction) {
  if (interpolation == GridInterpolation::linear) return T(0);
  return T(6) - T(12) * fraction;
}

// Weights of the eight corners from the three axes' blends; they sum to 1.
template <class T>
RF_HOST_DEVICE void grid_corner_weights(const T blend[3], T weights[8]) {
  RF_UNROLL
  for (int c = 0; c < 8; ++c) {
    const T wx = (c & 1) ? blend[0] : T(1) - blend[0];
    const T wy = ((c >> 1) & 1) ? blend[1] : T(1) - blend[1];
    const T wz = (c >> 2) ? blend[2] : T(1) - blend[2];
    weights[c] = wx * (wy * wz);
  }
}

// Gradients of the eight corner weights with respect to the position in the unit cube.
// `slope[axis]` is d blend / d position = grid_blend_derivative * level.scale.
template <class T>
RF_HOST_DEVICE void grid_corner_weight_gradients(const T blend[3], const T slope[3],
                                                 T gradients[8][3]) {
  RF_UNROLL
  for (int c = 0; c < 8; ++c) {
    const T wx = (c & 1) ? blend[0] : T(1) - blend[0];
    const T wy = ((c >> 1) & 1) ? blend[1] : T(1) - blend[1];
    const T wz = (c >> 2) ? blend[2] : T(1) - blend[2];
    gradients[c][0] = ((c & 1) ? slope[0] : -slope[0]) * (wy * wz);
    gradients[c][1] = (((c >> 1) & 1) ? slope[1] : -slope[1]) * (wx * wz);
    gradients[c][2] = ((c >> 2) ? slope[2] : -slope[2]) * (wx * wy);
  }
}

// The corners of one point on one level: entries and weights.
template <class T>
struct GridCorners {
  uint32_t indices[8];
  T weights[8];
};

template <class T>
RF_HOST_DEVICE GridCorners<T> grid_corners(const HashGridLevel& level,
                                           GridInterpolation interpolation,
                                           const T position[3]) {
  const GridCell<T> cell = grid_cell(level, position);
  GridCorners<T> corners;
  grid_corner_indices(level, cell.corner, corners.indices);
  T blend[3];
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    blend[axis] = grid_blend(interpolation, cell.fraction[axis]);
  }
  grid_corner_weights(blend, corners.weights);
  return corners;
}

// As `grid_corners`, with the gradients of the weights (per unit of position).
template <class T>
struct GridCornersWithGradients {
  uint32_t indices[8];
  T weights[8];
  T gradients[8][3];
};

template <class T>
RF_HOST_DEVICE GridCornersWithGradients<T> grid_corners_with_gradients(
    const HashGridLevel& level, GridInterpolation interpolation, const T position[3]) {
  const GridCell<T> cell = grid_cell(level, position);
  GridCornersWithGradients<T> corners;
  grid_corner_indices(level, cell.corner, corners.indices);
  T blend[3];
  T slope[3];
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    blend[axis] = grid_blend(interpolation, cell.fraction[axis]);
    slope[axis] =
        grid_blend_derivative(interpolation, cell.fraction[axis]) * T(level.scale);
  }
  grid_corner_weights(blend, corners.weights);
  grid_corner_weight_gradients(blend, slope, corners.gradients);
  return corners;
}

// Derivatives of the corner weights along `direction`, in the place of the weights, and
// the gradients of those. With a, b, c the axes, w the factors of a weight and u the
// direction: gradient_a = w_a'' w_b w_c u_a + w_a' (w_b' w_c u_b + w_b w_c' u_c).
template <class T>
RF_HOST_DEVICE GridCornersWithGradients<T> grid_corner_tangents_with_gradients(
    const HashGridLevel& level, GridInterpolation interpolation, const T position[3],
    const T direction[3]) {
  const GridCell<T> cell = grid_cell(level, position);
  GridCornersWithGradients<T> tangents;
  grid_corner_indices(level, cell.corner, tangents.indices);
  T blend[3];
  T slope[3];
  T curvature[3];
  const T scale = T(level.scale);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    const T fraction = cell.fraction[axis];
    blend[axis] = grid_blend(interpolation, fraction);
    slope[axis] = grid_blend_derivative(interpolation, fraction) * scale;
    curvature[axis] =
        grid_blend_second_derivative(interpolation, fraction) * scale * scale;
  }
  RF_UNROLL
  for (int corner = 0; corner < 8; ++corner) {
    T w[3];
    T first[3];
    T second[3];
    RF_UNROLL
    for (int axis = 0; axis < 3; ++axis) {
      const bool is_upper = (corner >> axis) & 1;
      w[axis] = is_upper ? blend[axis] : T(1) - blend[axis];
      first[axis] = is_upper ? slope[axis] : -slope[axis];
      second[axis] = is_upper ? curvature[axis] : -curvature[axis];
    }
    tangents.weights[corner] = T(0);
    RF_UNROLL
    for (int a = 0; a < 3; ++a) {
      const int b = (a + 1) % 3;
      const int c = (a + 2) % 3;
      tangents.weights[corner] += direction[a] * first[a] * (w[b] * w[c]);
      tangents.gradients[corner][a] =
          second[a] * direction[a] * (w[b] * w[c]) +
          first[a] * (first[b] * direction[b] * w[c] + first[c] * direction[c] * w[b]);
    }
  }
  return tangents;
}

// As `grid_corners`, with the derivatives of the weights along `direction` in their
// place; they sum to 0.
template <class T>
RF_HOST_DEVICE GridCorners<T> grid_corner_tangents(const HashGridLevel& level,
                                                   GridInterpolation interpolation,
                                                   const T position[3],
                                                   const T direction[3]) {
  const GridCornersWithGradients<T> corners =
      grid_corners_with_gradients(level, interpolation, position);
  GridCorners<T> tangents;
  RF_UNROLL
  for (int c = 0; c < 8; ++c) {
    tangents.indices[c] = corners.indices[c];
    tangents.weights[c] = T(0);
    RF_UNROLL
    for (int axis = 0; axis < 3; ++axis) {
      tangents.weights[c] += direction[axis] * corners.gradients[c][axis];
    }
  }
  return tangents;
}

// Features of one point on one level, from its corners. `entries` is the level's slice
// of the table, [size, F]; Entry may be narrower than T (half), sums are in T.
template <int F, class T, class Entry>
RF_HOST_DEVICE void blend_corners(const GridCorners<T>& corners, const Entry* entries,
                                  T features[F]) {
  RF_UNROLL
  for (int f = 0; f < F; ++f) features[f] = T(0);
  RF_UNROLL
  for (int c = 0; c < 8; ++c) {
    const Entry* entry = entries + static_cast<int64_t>(corners.indices[c]) * F;
    RF_UNROLL
    for (int f = 0; f < F; ++f) features[f] += corners.weights[c] * T(entry[f]);
  }
}

// Forward: features of one point on one level.
template <int F, class T, class Entry>
RF_HOST_DEVICE void encode_level(const HashGridLevel& level,
                                 GridInterpolation interpolation, const T position[3],
                                 const Entry* entries, T features[F]) {
  blend_corners<F>(grid_corners(level, interpolation, position), entries, features);
}

// Adds sum_f grad_features[f] * d features[f] / d position, from the corners' weight
// gradients.
template <int F, class T, class Entry>
RF_HOST_DEVICE void add_position_gradient(const GridCornersWithGradients<T>& corners,
                                          const Entry* entries,
                                          const T grad_features[F],
                                          T grad_position[3]) {
  RF_UNROLL
  for (int c = 0; c < 8; ++c) {
    const Entry* entry = entries + static_cast<int64_t>(corners.indices[c]) * F;
    T dot = T(0);
    RF_UNROLL
    for (int f = 0; f < F; ++f) dot += grad_features[f] * T(entry[f]);
    RF_UNROLL
    for (int axis = 0; axis < 3; ++axis) {
      grad_position[axis] += dot * corners.gradients[c][axis];
    }
  }
}

// Backward of one point on one level to its position: adds to `grad_position`.
template <int F, class T, class Entry>
RF_HOST_DEVICE void encode_level_backward_position(
    const HashGridLevel& level, GridInterpolation interpolation, const T position[3],
    const Entry* entries, const T grad_features[F], T grad_position[3]) {
  add_position_gradient<F>(grid_corners_with_gradients(level, interpolation, position),
                           entries, grad_features, grad_position);
}

}  // namespace realfusion
