// Device kernels of the occupancy grid. No torch: the CPU launch shim of csrc/tests
// runs these very bodies. Every launch is one thread an item.
#pragma once

#include "core/occupancy.h"
#include "cuda/scan.cuh"

namespace realfusion::cuda {

constexpr int kOccupancyBlock = 256;
constexpr int kRankBlock = 1024;
constexpr unsigned kVisited = 0x80000000u;  // the mark of an update, a sign bit

// Stops the kernel with an error that the next call reports, as an index out of range
// does in torch itself.
__device__ __forceinline__ void check_cell(int64_t cell, int64_t num_cells) {
  if (cell < 0 || cell >= num_cells) __trap();
}

// coords [n, 3] in 0..1023, in; cells [n], out.
__global__ void __launch_bounds__(kOccupancyBlock)
    morton_encode_kernel(const int32_t* __restrict__ coords,
                         int64_t* __restrict__ cells, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  cells[i] = morton_encode(static_cast<uint32_t>(coords[3 * i]),
                           static_cast<uint32_t>(coords[3 * i + 1]),
                           static_cast<uint32_t>(coords[3 * i + 2]));
}

// cells [n] in 0..2^30 - 1, in; coords [n, 3], out.
__global__ void __launch_bounds__(kOccupancyBlock)
    morton_decode_kernel(const int64_t* __restrict__ cells,
                         int32_t* __restrict__ coords, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  uint32_t decoded[3];
  morton_decode(static_cast<uint32_t>(cells[i]), decoded);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    coords[3 * i + axis] = static_cast<int32_t>(decoded[axis]);
  }
}

// cells [n], in; noise [n, 3] in [0, 1), in; points [n, 3] world units, out.
__global__ void __launch_bounds__(kOccupancyBlock)
    cell_points_kernel(const int64_t* __restrict__ cells,
                       const float* __restrict__ noise, float cell_size, float bound,
                       float* __restrict__ points, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const float place[3] = {noise[3 * i], noise[3 * i + 1], noise[3 * i + 2]};
  float point[3];
  cell_point(static_cast<uint32_t>(cells[i]), cell_size, bound, place, point);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) points[3 * i + axis] = point[axis];
}

// The update ema[c] = max(ema[c] * decay, densities at c) in two launches, where a cell
// visited twice decays once. NaN counts as 0.
//
// First: a cell's first visitor writes its decayed density with the sign set, which no
// remembered density has, and every visitor raises it. Marked densities order like the
// unsigned integers of their bits, above all that are not marked; a maximum does not
// depend on the order, and who still sees the cell unmarked sees what the first did.
__global__ void __launch_bounds__(kOccupancyBlock)
    raise_visited_kernel(const int64_t* __restrict__ cells,    // [n], in
                         const float* __restrict__ densities,  // [n] 1/unit, in
                         float decay,
                         float* density_ema,  // [num_cells], in and out
                         int64_t count, int64_t num_cells) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  check_cell(cells[i], num_cells);
  const float before = density_ema[cells[i]];
  const bool is_visited = (__float_as_uint(before) & kVisited) != 0;
  const float held = is_visited ? 0.0f : before * decay;
  const float raised = densities[i] > held ? densities[i] : held;
  atomicMax(reinterpret_cast<unsigned*>(density_ema + cells[i]),
            __float_as_uint(raised) | kVisited);
}

// Second: takes the marks away.
__global__ void __launch_bounds__(kOccupancyBlock)
    unmark_visited_kernel(const int64_t* __restrict__ cells,  // [n], in
                          float* density_ema,                 // [num_cells], in and out
                          int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  atomicAnd(reinterpret_cast<unsigned*>(density_ema + cells[i]), ~kVisited);
}

// One thread a byte. density_ema [8 * n], in; threshold [1], in; bits [n], out.
__global__ void __launch_bounds__(kOccupancyBlock)
    pack_kernel(const float* __restrict__ density_ema,
                const float* __restrict__ threshold, uint8_t* __restrict__ bits,
                int64_t num_bytes) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= num_bytes) return;
  const float limit = *threshold;
  unsigned packed = 0;
  RF_UNROLL
  for (int bit = 0; bit < 8; ++bit) {
    packed |= static_cast<unsigned>(density_ema[8 * i + bit] > limit) << bit;
  }
  bits[i] = static_cast<uint8_t>(packed);
}

// The draw of occupied cells takes three launches. First, one thread a word of 64
// cells: word_ranks [num_words] = occupied cells in the block's words before this one,
// block_counts [blocks] = in all of them. words [num_words], in.
__global__ void __launch_bounds__(kOccupancyBlock)
    rank_words_kernel(const unsigned long long* __restrict__ words, int64_t num_words,
                      int32_t* __restrict__ word_ranks,
                      int32_t* __restrict__ block_counts) {
  __shared__ int32_t warp_sums[kOccupancyBlock / 32];
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int32_t count = i < num_words ? __popcll(words[i]) : 0;
  int32_t total = 0;
  const int32_t end = scan_block<kOccupancyBlock>(count, warp_sums, &total);
  if (i < num_words) word_ranks[i] = end - count;
  if (threadIdx.x == 0) block_counts[blockIdx.x] = total;
}

// Second, by one block: block_ranks [num_counts + 1] = occupied cells in the blocks
// before; the last is their number. block_counts [num_counts], in.
__global__ void __launch_bounds__(kRankBlock)
    rank_blocks_kernel(const int32_t* __restrict__ block_counts, int64_t num_counts,
                       int32_t* __restrict__ block_ranks) {
  __shared__ int32_t warp_sums[kRankBlock / 32];
  int32_t before = 0;
  for (int64_t first = 0; first < num_counts; first += kRankBlock) {
    const int64_t i = first + threadIdx.x;
    const int32_t count = i < num_counts ? block_counts[i] : 0;
    int32_t total = 0;
    const int32_t end = scan_block<kRankBlock>(count, warp_sums, &total);
    if (i < num_counts) block_ranks[i] = before + end - count;
    before += total;
  }
  if (threadIdx.x == 0) block_ranks[num_counts] = before;
}

// The last place in begin..end of an ascending row whose value is at most `value`; the
// first one's is.
__device__ inline int64_t find_last_at_most(const int32_t* __restrict__ row,
                                            int64_t begin, int64_t end, int32_t value) {
  while (end - begin > 1) {
    const int64_t middle = (begin + end) / 2;
    if (row[middle] <= value) {
      begin = middle;
    } else {
      end = middle;
    }
  }
  return begin;
}

// The place of the set bit that has `rank` set bits below it.
__device__ inline int find_set_bit(unsigned long long word, int rank) {
  int place = 0;
  RF_UNROLL
  for (int width = 32; width > 0; width /= 2) {
    const int low = __popcll(word & ((1ull << width) - 1));
    if (rank >= low) {
      rank -= low;
      word >>= width;
      place += width;
    }
  }
  return place;
}

// What the first two launches found.
struct OccupiedRanks {
  const unsigned long long* words;  // [num_words] of 64 cells
  const int32_t* word_ranks;        // [num_words]
  const int32_t* block_ranks;       // [num_blocks + 1]
  int64_t num_words;
  int64_t num_blocks;
};

// Third, one thread a draw: among all cells if none is occupied. uniforms [n] in
// [0, 1), in; cells [n], out.
__global__ void __launch_bounds__(kOccupancyBlock)
    draw_cells_kernel(const __grid_constant__ OccupiedRanks ranks,
                      const float* __restrict__ uniforms, int64_t* __restrict__ cells,
                      int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int32_t num_occupied = ranks.block_ranks[ranks.num_blocks];
  if (num_occupied == 0) {
    cells[i] = draw_rank(uniforms[i], 64 * ranks.num_words);
    return;
  }
  const auto rank = static_cast<int32_t>(draw_rank(uniforms[i], num_occupied));
  const int64_t block = find_last_at_most(ranks.block_ranks, 0, ranks.num_blocks, rank);
  const int32_t rank_in_block = rank - ranks.block_ranks[block];
  const int64_t begin = block * kOccupancyBlock;
  const int64_t end = begin + kOccupancyBlock;
  const int64_t word =
      find_last_at_most(ranks.word_ranks, begin,
                        end < ranks.num_words ? end : ranks.num_words, rank_in_block);
  const int place =
      find_set_bit(ranks.words[word], rank_in_block - ranks.word_ranks[word]);
  cells[i] = 64 * word + place;
}

}  // namespace realfusion::cuda
