#include "cpu/occupancy.h"

#include <atomic>
#include <bit>
#include <cstring>

#include "core/occupancy.h"

namespace realfusion::cpu {

void morton_encode_range(const int32_t* coords, int64_t* cells, int64_t begin,
                         int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    cells[i] = morton_encode(static_cast<uint32_t>(coords[3 * i]),
                             static_cast<uint32_t>(coords[3 * i + 1]),
                             static_cast<uint32_t>(coords[3 * i + 2]));
  }
}

void morton_decode_range(const int64_t* cells, int32_t* coords, int64_t begin,
                         int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    uint32_t decoded[3];
    morton_decode(static_cast<uint32_t>(cells[i]), decoded);
    for (int axis = 0; axis < 3; ++axis) {
      coords[3 * i + axis] = static_cast<int32_t>(decoded[axis]);
    }
  }
}

void cell_points_range(const int64_t* cells, const float* noise, float cell_size,
                       float bound, float* points, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    cell_point(static_cast<uint32_t>(cells[i]), cell_size, bound, noise + 3 * i,
               points + 3 * i);
  }
}

void decay_range(const float* density_ema, const int64_t* cells, float decay,
                 float* decayed, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) decayed[i] = density_ema[cells[i]] * decay;
}

void store_decayed_range(const float* decayed, const int64_t* cells, float* density_ema,
                         int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    // Another thread may visit the same cell: it stores the same value.
    std::atomic_ref<float>(density_ema[cells[i]])
        .store(decayed[i], std::memory_order_relaxed);
  }
}

void raise_range(const float* densities, const int64_t* cells, float* density_ema,
                 int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    std::atomic_ref<float> cell(density_ema[cells[i]]);
    float current = cell.load(std::memory_order_relaxed);
    while (
        densities[i] > current &&
        !cell.compare_exchange_weak(current, densities[i], std::memory_order_relaxed)) {
    }
  }
}

void pack_range(const float* density_ema, float threshold, uint8_t* bits, int64_t begin,
                int64_t end) {
  for (int64_t byte = begin; byte < end; ++byte) {
    const float* densities = density_ema + 8 * byte;
    unsigned packed = 0;
    for (int bit = 0; bit < 8; ++bit) {
      packed |= static_cast<unsigned>(densities[bit] > threshold) << bit;
    }
    bits[byte] = static_cast<uint8_t>(packed);
  }
}

namespace {

uint64_t load_word(const uint8_t* bits, int64_t word) {
  uint64_t loaded;
  std::memcpy(&loaded, bits + 8 * word, sizeof(loaded));
  return loaded;
}

}  // namespace

int64_t count_occupied_range(const uint8_t* bits, int64_t begin, int64_t end) {
  int64_t count = 0;
  for (int64_t word = begin; word < end; ++word) {
    count += std::popcount(load_word(bits, word));
  }
  return count;
}

void list_occupied_range(const uint8_t* bits, int32_t* occupied, int64_t begin,
                         int64_t end) {
  for (int64_t word = begin; word < end; ++word) {
    for (uint64_t left = load_word(bits, word); left != 0; left &= left - 1) {
      *occupied++ = static_cast<int32_t>(64 * word + std::countr_zero(left));
    }
  }
}

void draw_cells_range(const float* uniforms, const int32_t* occupied,
                      int64_t num_occupied, int64_t num_cells, int64_t* cells,
                      int64_t begin, int64_t end) {
  if (num_occupied == 0) {
    for (int64_t i = begin; i < end; ++i) cells[i] = draw_rank(uniforms[i], num_cells);
    return;
  }
  for (int64_t i = begin; i < end; ++i) {
    cells[i] = occupied[draw_rank(uniforms[i], num_occupied)];
  }
}

}  // namespace realfusion::cpu
