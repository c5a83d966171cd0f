// CPU kernels of the occupancy grid: torch-free, one thread's share of work.
#pragma once

#include <cstdint>

namespace realfusion::cpu {

// coords [n, 3] int32 in 0..1023, in; cells [n], out.
void morton_encode_range(const int32_t* coords, int64_t* cells, int64_t begin,
                         int64_t end);

// cells [n] in 0..2^30 - 1, in; coords [n, 3], out.
void morton_decode_range(const int64_t* cells, int32_t* coords, int64_t begin,
                         int64_t end);

// cells [n], in; noise [n, 3] in [0, 1), in; points [n, 3] world units, out.
void cell_points_range(const int64_t* cells, const float* noise, float cell_size,
                       float bound, float* points, int64_t begin, int64_t end);

// The update ema[c] = max(ema[c] * decay, densities at c), where a cell visited twice
// decays once. density_ema [R^3] non-negative, in and out; cells [n] in range, in;
// densities [n] 1/unit, in; NaN counts as 0.

// Whether the cells begin..end rise strictly, the one before `begin` included: then no
// cell is visited twice.
bool is_rising_range(const int64_t* cells, int64_t begin, int64_t end);

// The update where no cell is visited twice.
void update_distinct_range(const int64_t* cells, const float* densities, float decay,
                           float* density_ema, int64_t begin, int64_t end);

// Otherwise the visits are sorted by bucket, a bucket being 2^shift cells in a row,
// which one thread updates without atomics and within its cache.
constexpr int kMaxVisitBuckets = 256;

struct CellVisit {
  uint32_t cell;
  float density;
};

// counts [kMaxVisitBuckets] of the visits begin..end, zeroed, added to.
void count_visits_range(const int64_t* cells, int shift, int64_t* counts, int64_t begin,
                        int64_t end);

// Writes each visit at its bucket's place, which moves on. places [kMaxVisitBuckets],
// in and out; visits [n], out.
void sort_visits_range(const int64_t* cells, const float* densities, int shift,
                       int64_t* places, CellVisit* visits, int64_t begin, int64_t end);

// The update for all visits of some cells.
void update_visited(const CellVisit* visits, int64_t count, float decay,
                    float* density_ema);

// Bytes begin..end of the bit mask density > threshold. density_ema [R^3], in;
// bits [R^3 / 8], out.
void pack_range(const float* density_ema, float threshold, uint8_t* bits, int64_t begin,
                int64_t end);

// Occupied cells within the words of 64 cells begin..end. bits [8 * words], in.
int64_t count_occupied_range(const uint8_t* bits, int64_t begin, int64_t end);

// The same cells, in their order; occupied [as counted], out.
void list_occupied_range(const uint8_t* bits, int32_t* occupied, int64_t begin,
                         int64_t end);

// Draws among `num_occupied` listed cells, or among all `num_cells` if none is.
// uniforms [n] in [0, 1), in; occupied [num_occupied], in; cells [n], out.
void draw_cells_range(const float* uniforms, const int32_t* occupied,
                      int64_t num_occupied, int64_t num_cells, int64_t* cells,
                      int64_t begin, int64_t end);

}  // namespace realfusion::cpu
