// From the hash grid's table to features and back, on SIMD lanes. Included after
// hash_grid_lanes.h, with its macros.
#include <cstring>
#include <memory>

namespace realfusion::RF_LANES {
namespace {

using cpu::kHashGridChunk;

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

}  // namespace
}  // namespace realfusion::RF_LANES
