#include "cpu/occupancy.h"

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

bool is_rising_range(const int64_t* cells, int64_t begin, int64_t end) {
  bool is_rising = true;
  for (int64_t i = begin == 0 ? 1 : begin; i < end; ++i) {
    is_rising &= cells[i] > cells[i - 1];
  }
  return is_rising;
}

void update_distinct_range(const int64_t* cells, const float* densities, float decay,
                           float* density_ema, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    float& ema = density_ema[cells[i]];
    const float decayed = ema * decay;
    ema = densities[i] > decayed ? densities[i] : decayed;
  }
}

void count_visits_range(const int64_t* cells, int shift, int64_t* counts, int64_t begin,
                        int64_t end) {
  for (int64_t i = begin; i < end; ++i) ++counts[cells[i] >> shift];
}

void sort_visits_range(const int64_t* cells, const float* densities, int shift,
                       int64_t* places, CellVisit* visits, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    visits[places[cells[i] >> shift]++] = {static_cast<uint32_t>(cells[i]),
                                           densities[i]};
  }
}

void update_visited(const CellVisit* visits, int64_t count, float decay,
                    float* density_ema) {
  // A visited cell is marked by the sign, which no remembered density has. No branches:
  // which visit is a cell's first is chance.
  constexpr uint32_t kVisited = 0x80000000u;
  const float factors[2] = {decay, 1.0f};
  for (int64_t i = 0; i < count; ++i) {
    float& ema = density_ema[visits[i].cell];
    const auto bits = std::bit_cast<uint32_t>(ema);
    const float held = std::bit_cast<float>(bits & ~kVisited) * factors[bits >> 31];
    const float raised = visits[i].density > held ? visits[i].density : held;
    ema = std::bit_cast<float>(std::bit_cast<uint32_t>(raised) | kVisited);
  }
  for (int64_t i = 0; i < count; ++i) {
    float& ema = density_ema[visits[i].cell];
    ema = std::bit_cast<float>(std::bit_cast<uint32_t>(ema) & ~kVisited);
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
