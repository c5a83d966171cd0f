// Occupancy grid: resolution^3 cells over [-bound, bound]^3 in Morton order, one bit a
// cell. The resolution is a power of two up to 1024. Torch-free, host and device.
#pragma once

#include "core/host_device.h"

namespace realfusion {

constexpr int64_t kMaxOccupancyResolution = 1024;
constexpr int64_t kMaxOccupancyBytes =
    kMaxOccupancyResolution * kMaxOccupancyResolution * kMaxOccupancyResolution / 8;

// Spreads the lowest 10 bits of a value to every third bit.
RF_HOST_DEVICE uint32_t spread_bits(uint32_t value) {
  value &= 0x3ffu;
  value = (value | (value << 16)) & 0x030000ffu;
  value = (value | (value << 8)) & 0x0300f00fu;
  value = (value | (value << 4)) & 0x030c30c3u;
  value = (value | (value << 2)) & 0x09249249u;
  return value;
}

// Gathers every third bit: the inverse of `spread_bits`.
RF_HOST_DEVICE uint32_t compact_bits(uint32_t value) {
  value &= 0x09249249u;
  value = (value | (value >> 2)) & 0x030c30c3u;
  value = (value | (value >> 4)) & 0x0300f00fu;
  value = (value | (value >> 8)) & 0x030000ffu;
  value = (value | (value >> 16)) & 0x3ffu;
  return value;
}

// Cell index of coordinates in 0..1023; x has the lowest bit.
RF_HOST_DEVICE uint32_t morton_encode(uint32_t x, uint32_t y, uint32_t z) {
  return spread_bits(x) | (spread_bits(y) << 1) | (spread_bits(z) << 2);
}

RF_HOST_DEVICE void morton_decode(uint32_t cell, uint32_t coords[3]) {
  coords[0] = compact_bits(cell);
  coords[1] = compact_bits(cell >> 1);
  coords[2] = compact_bits(cell >> 2);
}

// A point of a cell in world units; `noise` in [0, 1) says where in the cell.
RF_HOST_DEVICE void cell_point(uint32_t cell, float cell_size, float bound,
                               const float noise[3], float point[3]) {
  uint32_t coords[3];
  morton_decode(cell, coords);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    const float lattice = static_cast<float>(coords[axis]) + noise[axis];
    point[axis] = fused_multiply_add(lattice, cell_size, -bound);
  }
}

// The rank that a uniform draw in [0, 1) picks out of `count` >= 1; draws out of range,
// and NaN, pick an end. In float64: float32 would round the product up to the next
// rank.
RF_HOST_DEVICE int64_t draw_rank(float uniform, int64_t count) {
  const double rank = static_cast<double>(uniform) * static_cast<double>(count);
  if (!(rank > 0.0)) return 0;
  return rank < static_cast<double>(count) ? static_cast<int64_t>(rank) : count - 1;
}

// World to cells: coordinate = floor(position * scale + shift), clamped to the grid.
struct OccupancyGrid {
  float scale;   // resolution / (2 * bound)
  float shift;   // resolution / 2
  int32_t last;  // resolution - 1
};

inline OccupancyGrid make_occupancy_grid(int64_t resolution, float bound) {
  const auto cells = static_cast<float>(resolution);
  return {cells / (2.0f * bound), 0.5f * cells, static_cast<int32_t>(resolution - 1)};
}

RF_HOST_DEVICE uint32_t occupancy_coordinate(const OccupancyGrid& grid,
                                             float position) {
  const auto cell = static_cast<int32_t>(
      round_down(fused_multiply_add(position, grid.scale, grid.shift)));
  return static_cast<uint32_t>(cell < 0 ? 0 : (cell > grid.last ? grid.last : cell));
}

RF_HOST_DEVICE bool is_occupied(const OccupancyGrid& grid, const uint8_t* bits,
                                const float position[3]) {
  const uint32_t cell = morton_encode(occupancy_coordinate(grid, position[0]),
                                      occupancy_coordinate(grid, position[1]),
                                      occupancy_coordinate(grid, position[2]));
  return (bits[cell >> 3] >> (cell & 7u)) & 1u;
}

}  // namespace realfusion
