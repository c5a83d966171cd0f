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

// The update ema[c] = max(ema[c] * decay, density) in three passes over the visited
// cells, so that a cell visited twice decays once. All cells are in range.
// density_ema [R^3] non-negative, in and out; cells [n], in; decayed [n], scratch.
void decay_range(const float* density_ema, const int64_t* cells, float decay,
                 float* decayed, int64_t begin, int64_t end);
void store_decayed_range(const float* decayed, const int64_t* cells, float* density_ema,
                         int64_t begin, int64_t end);
// densities [n] 1/unit, in; NaN counts as 0.
void raise_range(const float* densities, const int64_t* cells, float* density_ema,
                 int64_t begin, int64_t end);

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
