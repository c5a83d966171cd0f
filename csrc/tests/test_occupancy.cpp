// The occupancy grid: properties of the Morton order, and the device kernels against
// the CPU's.
#include <random>
#include <vector>

#include "tests/check.h"
#include "tests/cuda_shim.h"

#include "cpu/occupancy.cpp"
#include "cuda/occupancy.cuh"

namespace {

using namespace realfusion;

constexpr int64_t kResolution = 8;
constexpr int64_t kNumCells = kResolution * kResolution * kResolution;
constexpr float kBound = 0.75f;
constexpr unsigned kBlock = cuda::kOccupancyBlock;

void test_morton_round_trip() {
  for (uint32_t cell = 0; cell < (1u << 15); ++cell) {
    uint32_t coords[3];
    morton_decode(cell, coords);
    RF_CHECK(coords[0] < 32 && coords[1] < 32 && coords[2] < 32);
    RF_CHECK(morton_encode(coords[0], coords[1], coords[2]) == cell);
  }
  RF_CHECK(morton_encode(1023, 1023, 1023) == (1u << 30) - 1);
  RF_CHECK(morton_encode(1, 0, 0) == 1 && morton_encode(0, 0, 1) == 4);
}

void test_points_are_found_in_their_cells() {
  const OccupancyGrid grid = make_occupancy_grid(kResolution, kBound);
  const float cell_size = 2.0f * kBound / kResolution;
  std::vector<uint8_t> bits(kNumCells / 8);
  for (uint32_t cell = 0; cell < kNumCells; ++cell) {
    std::fill(bits.begin(), bits.end(), uint8_t{0});
    bits[cell / 8] = static_cast<uint8_t>(1u << cell % 8);
    for (const float place : {0.01f, 0.5f, 0.99f}) {
      const float noise[3] = {place, 1.0f - place, place};
      float point[3];
      cell_point(cell, cell_size, kBound, noise, point);
      RF_CHECK(is_occupied(grid, bits.data(), point));
    }
  }
  const float outside[3] = {9.0f, -9.0f, kBound};
  RF_CHECK(occupancy_coordinate(grid, outside[0]) == kResolution - 1);
  RF_CHECK(occupancy_coordinate(grid, outside[1]) == 0);
  RF_CHECK(occupancy_coordinate(grid, outside[2]) == kResolution - 1);
}

void test_device_morton_matches_cpu() {
  std::mt19937 random(1);
  std::vector<int32_t> coords(3 * 500);
  for (int32_t& coord : coords) coord = static_cast<int32_t>(random() % 1024);
  const int64_t count = 500;
  std::vector<int64_t> cells(count), device_cells(count);
  std::vector<int32_t> decoded(3 * count), device_decoded(3 * count);
  cpu::morton_encode_range(coords.data(), cells.data(), 0, count);
  cpu::morton_decode_range(cells.data(), decoded.data(), 0, count);
  RF_CHECK(decoded == coords);
  const unsigned blocks = shim::num_blocks(count, kBlock);
  shim::launch(blocks, kBlock, 1, [&] {
    cuda::morton_encode_kernel(coords.data(), device_cells.data(), count);
  });
  shim::launch(blocks, kBlock, 1, [&] {
    cuda::morton_decode_kernel(cells.data(), device_decoded.data(), count);
  });
  RF_CHECK(device_cells == cells);
  RF_CHECK(device_decoded == decoded);
}

void test_device_cell_points_match_cpu() {
  std::mt19937 random(2);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  const int64_t count = 300;
  std::vector<int64_t> cells(count);
  std::vector<float> noise(3 * count), points(3 * count), device_points(3 * count);
  for (int64_t& cell : cells) cell = random() % kNumCells;
  for (float& place : noise) place = uniform(random);
  const float cell_size = 2.0f * kBound / kResolution;
  cpu::cell_points_range(cells.data(), noise.data(), cell_size, kBound, points.data(),
                         0, count);
  shim::launch(shim::num_blocks(count, kBlock), kBlock, 1, [&] {
    cuda::cell_points_kernel(cells.data(), noise.data(), cell_size, kBound,
                             device_points.data(), count);
  });
  RF_CHECK(device_points == points);
}

// Many visits to few cells, with values that are not a number or not positive.
void test_device_update_matches_cpu() {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  const int64_t count = 1000;
  std::vector<int64_t> cells(count);
  std::vector<float> densities(count), before(kNumCells);
  for (int64_t& cell : cells) cell = random() % 64;
  for (float& density : densities) density = uniform(random);
  for (float& density : before) density = uniform(random);
  densities[0] = NAN;
  densities[1] = -1.0f;
  densities[2] = INFINITY;
  cells[3] = 100;  // raised to the new density, and
  densities[3] = 2.0f;
  cells[4] = 101;  // visited without one
  densities[4] = NAN;
  cells[5] = 102;
  before[102] = 0.0f;
  densities[5] = 0.0f;
  std::vector<cpu::CellVisit> visits(count);
  for (int64_t i = 0; i < count; ++i) {
    visits[i] = {static_cast<uint32_t>(cells[i]), densities[i]};
  }
  std::vector<float> expected = before;
  cpu::update_visited(visits.data(), count, 0.9f, expected.data());
  RF_CHECK(expected[100] == 2.0f && expected[101] == 0.9f * before[101]);
  RF_CHECK(expected[102] == 0.0f && !std::signbit(expected[102]));
  RF_CHECK(expected[103] == before[103]);
  RF_CHECK(expected[cells[2]] == INFINITY);
  const unsigned blocks = shim::num_blocks(count, kBlock);
  for (unsigned seed = 1; seed <= 3; ++seed) {
    std::vector<float> ema = before;
    shim::launch(blocks, kBlock, seed, [&] {
      cuda::raise_visited_kernel(cells.data(), densities.data(), 0.9f, ema.data(),
                                 count, kNumCells);
    });
    shim::launch(blocks, kBlock, seed,
                 [&] { cuda::unmark_visited_kernel(cells.data(), ema.data(), count); });
    RF_CHECK(ema == expected);
  }
}

void test_device_pack_matches_cpu() {
  std::mt19937 random(4);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  std::vector<float> densities(kNumCells);
  for (float& density : densities) density = uniform(random);
  densities[3] = 0.5f;
  const float threshold = 0.5f;
  std::vector<uint8_t> bits(kNumCells / 8), device_bits(kNumCells / 8);
  cpu::pack_range(densities.data(), threshold, bits.data(), 0, kNumCells / 8);
  shim::launch(shim::num_blocks(kNumCells / 8, kBlock), kBlock, 1, [&] {
    cuda::pack_kernel(densities.data(), &threshold, device_bits.data(), kNumCells / 8);
  });
  RF_CHECK(device_bits == bits);
  for (int64_t cell = 0; cell < kNumCells; ++cell) {
    RF_CHECK((bits[cell / 8] >> (cell % 8) & 1) == (densities[cell] > threshold));
  }
}

// Grids of one word and of more words than a block has; every `one_in`th cell occupied,
// or none (0).
void test_device_draws_match_cpu(int64_t num_words, unsigned one_in, unsigned seed) {
  std::mt19937 random(seed);
  const int64_t count = 700;
  std::vector<unsigned long long> words(num_words);
  for (int64_t cell = 0; one_in > 0 && cell < 64 * num_words; ++cell) {
    if (random() % one_in == 0) words[cell / 64] |= 1ull << cell % 64;
  }
  std::vector<float> uniforms(count);
  for (float& uniform : uniforms)
    uniform = static_cast<float>(random() >> 8) * 0x1p-24f;
  uniforms[0] = 0.0f;
  uniforms[1] = 1.0f - 0x1p-24f;
  uniforms[2] = 1.0f;
  uniforms[3] = NAN;

  const auto* bytes = reinterpret_cast<const uint8_t*>(words.data());
  const int64_t num_occupied = cpu::count_occupied_range(bytes, 0, num_words);
  std::vector<int32_t> occupied(num_occupied);
  cpu::list_occupied_range(bytes, occupied.data(), 0, num_words);
  for (const int32_t cell : occupied) RF_CHECK(words[cell / 64] >> (cell % 64) & 1);
  std::vector<int64_t> cells(count), device_cells(count);
  cpu::draw_cells_range(uniforms.data(), occupied.data(), num_occupied, 64 * num_words,
                        cells.data(), 0, count);

  const unsigned num_blocks = shim::num_blocks(num_words, kBlock);
  std::vector<int32_t> word_ranks(num_words), block_counts(num_blocks),
      block_ranks(num_blocks + 1);
  shim::launch(num_blocks, kBlock, seed, [&] {
    cuda::rank_words_kernel(words.data(), num_words, word_ranks.data(),
                            block_counts.data());
  });
  shim::launch(1, cuda::kRankBlock, seed, [&] {
    cuda::rank_blocks_kernel(block_counts.data(), num_blocks, block_ranks.data());
  });
  RF_CHECK(block_ranks[num_blocks] == num_occupied);
  const cuda::OccupiedRanks ranks{words.data(), word_ranks.data(), block_ranks.data(),
                                  num_words, num_blocks};
  shim::launch(shim::num_blocks(count, kBlock), kBlock, seed, [&] {
    cuda::draw_cells_kernel(ranks, uniforms.data(), device_cells.data(), count);
  });
  RF_CHECK(device_cells == cells);
}

// The second launch goes over more counts than its block has threads.
void test_device_ranks_of_many_blocks() {
  const int64_t count = 2 * cuda::kRankBlock + 5;
  std::vector<int32_t> counts(count), ranks(count + 1);
  for (int64_t i = 0; i < count; ++i) counts[i] = static_cast<int32_t>(i % 7);
  shim::launch(1, cuda::kRankBlock, 3,
               [&] { cuda::rank_blocks_kernel(counts.data(), count, ranks.data()); });
  int32_t expected = 0;
  for (int64_t i = 0; i < count; ++i) {
    RF_CHECK(ranks[i] == expected);
    expected += counts[i];
  }
  RF_CHECK(ranks[count] == expected);
}

}  // namespace

int main() {
  test_morton_round_trip();
  test_points_are_found_in_their_cells();
  test_device_morton_matches_cpu();
  test_device_cell_points_match_cpu();
  test_device_update_matches_cpu();
  test_device_pack_matches_cpu();
  unsigned seed = 5;
  for (const int64_t num_words : {1, 256, 700}) {
    for (const unsigned one_in : {0u, 1u, 3u, 900u}) {
      test_device_draws_match_cpu(num_words, one_in, seed++);
    }
  }
  test_device_ranks_of_many_blocks();
}
