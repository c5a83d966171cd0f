// The hash grid's backward to the positions on SIMD lanes, of the features and of their
// derivative along a direction, and the table of all kernels. Included after
// hash_grid_table_lanes.h, with its macros.
namespace realfusion::RF_LANES {
namespace {

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

// Per unit of position: slope of each axis times the differences along it.
RF_INLINE void position_gradient(const LaneLevel& level, const LaneBlend& blend,
                                 const Float dots[8], Float gradient[3]) {
  lane_slopes(level, blend, gradient);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    gradient[axis] = multiply(gradient[axis], edge_sum(blend, axis, dots));
  }
}

// sum over the two faces spanned by two axes of weight * the mixed difference of dots.
RF_INLINE Float face_sum(const LaneBlend& blend, int first, int second,
                         const Float dots[8]) {
  const int third = 3 - first - second;
  Float differences[2];
  RF_UNROLL
  for (int side = 0; side < 2; ++side) {
    const int base = side << third;
    const Float upper =
        subtract(dots[base | 1 << first | 1 << second], dots[base | 1 << first]);
    differences[side] = subtract(upper, subtract(dots[base | 1 << second], dots[base]));
  }
  return multiply_add(blend.upper[third], differences[1],
                      multiply(blend.lower[third], differences[0]));
}

// The matrix of second derivatives times the direction. Its diagonal is zero where
// interpolation is linear.
RF_INLINE void tangent_gradient(const LaneLevel& level, const LaneBlend& blend,
                                const Float direction[3], const Float dots[8],
                                Float gradient[3]) {
  Float slopes[3];
  lane_slopes(level, blend, slopes);
  const Float xy =
      multiply(multiply(slopes[0], slopes[1]), face_sum(blend, 0, 1, dots));
  const Float xz =
      multiply(multiply(slopes[0], slopes[2]), face_sum(blend, 0, 2, dots));
  const Float yz =
      multiply(multiply(slopes[1], slopes[2]), face_sum(blend, 1, 2, dots));
  gradient[0] = multiply_add(xy, direction[1], multiply(xz, direction[2]));
  gradient[1] = multiply_add(xy, direction[0], multiply(yz, direction[2]));
  gradient[2] = multiply_add(xz, direction[0], multiply(yz, direction[1]));
  if (!level.is_smoothstep) return;
  const Float squared_scale = multiply(level.scale, level.scale);
  for (int axis = 0; axis < 3; ++axis) {
    const Float second =
        negated_multiply_add(set(12.0f), blend.fraction[axis], set(6.0f));
    const Float curvature =
        multiply(multiply(second, squared_scale), edge_sum(blend, axis, dots));
    gradient[axis] = multiply_add(curvature, direction[axis], gradient[axis]);
  }
}

// Adds the level's part to the gradients of a chunk of positions.
template <int F, bool kIsTangent>
RF_LANES_TARGET void slope_chunk_level(const HashGrid& grid, int l,
                                       const float* directions, const float* positions,
                                       const float* grad, const float* table,
                                       float* grad_positions, int64_t count) {
  const int64_t stride = int64_t{grid.num_levels} * F;
  const LaneLevel level = broadcast(grid, l);
  const float* entries = table + grid.levels[l].offset * F;
  for (int64_t i = 0; i < count; i += kLanes) {
    alignas(64) float rows[F][kLanes] = {};
    const int64_t num_lanes = std::min<int64_t>(kLanes, count - i);
    for (int64_t k = 0; k < num_lanes; ++k) {
      for (int f = 0; f < F; ++f) rows[f][k] = grad[(i + k) * stride + f];
    }
    Float lane_grad[F];
    for (int f = 0; f < F; ++f) lane_grad[f] = load(rows[f]);
    const LanePoints points = load_points(positions + 3 * i, count - i);
    Int indices[8];
    const LaneBlend blend = lane_cell(level, points, indices);
    Float dots[8];
    corner_dots<F>(entries, indices, lane_grad, dots);
    Float gradient[3];
    if constexpr (kIsTangent) {
      Float direction[3];
      load_padded_triplets(directions + 3 * i, count - i, direction);
      tangent_gradient(level, blend, direction, dots, gradient);
    } else {
      position_gradient(level, blend, dots, gradient);
    }
    alignas(64) float sums[3][kLanes];
    for (int axis = 0; axis < 3; ++axis) {
      store(sums[axis], multiply(gradient[axis], points.weight));
    }
    float* out = grad_positions + 3 * i;
    for (int64_t k = 0; k < num_lanes; ++k) {
      for (int axis = 0; axis < 3; ++axis) out[3 * k + axis] += sums[axis][k];
    }
  }
}

template <int F, bool kIsTangent>
RF_LANES_TARGET void slope_rows(const HashGrid& grid, const float* grad_features,
                                const float* directions, const float* positions,
                                const float* table, float* grad_positions,
                                int64_t begin, int64_t end) {
  const int64_t stride = int64_t{grid.num_levels} * F;
  std::fill(grad_positions + 3 * begin, grad_positions + 3 * end, 0.0f);
  for (int64_t first = begin; first < end; first += kHashGridChunk) {
    const int64_t count = std::min(kHashGridChunk, end - first);
    for (int l = 0; l < grid.num_active_levels; ++l) {
      slope_chunk_level<F, kIsTangent>(grid, l, directions + 3 * first,
                                       positions + 3 * first,
                                       grad_features + first * stride + int64_t{l} * F,
                                       table, grad_positions + 3 * first, count);
    }
  }
}

// The kernels of the features take no directions: any valid pointer stands for them.
template <int F>
void encode(const HashGrid& grid, const float* positions, const float* table,
            float* features, int64_t begin, int64_t end) {
  encode_rows<F, false>(grid, positions, positions, table, features, begin, end);
}

template <int F>
void backward_table(const HashGrid& grid, int first_level, int level_step,
                    const float* grad_features, const float* positions,
                    float* grad_table, int64_t num_points) {
  scatter_levels<F, false>(grid, first_level, level_step, grad_features, positions,
                           positions, grad_table, num_points);
}

template <int F>
void backward_positions(const HashGrid& grid, const float* grad_features,
                        const float* positions, const float* table,
                        float* grad_positions, int64_t begin, int64_t end) {
  slope_rows<F, false>(grid, grad_features, positions, positions, table, grad_positions,
                       begin, end);
}

template <int F>
cpu::HashGridKernels<float> kernels_of() {
  return {encode<F>,
          backward_table<F>,
          backward_positions<F>,
          encode_rows<F, true>,
          scatter_levels<F, true>,
          slope_rows<F, true>};
}

cpu::HashGridKernels<float> kernels(int num_features) {
  switch (num_features) {
    case 1:
      return kernels_of<1>();
    case 2:
      return kernels_of<2>();
    case 4:
      return kernels_of<4>();
    default:
      return kernels_of<8>();
  }
}

#undef RF_INLINE

}  // namespace
}  // namespace realfusion::RF_LANES
