// The scatter into the hash grid's table: joined runs of samples, and the fixed-point
// sums of the deterministic mode, against sums in float64.
#include <algorithm>
#include <random>
#include <vector>

#include "tests/check.h"
#include "tests/cuda_shim.h"

#include "cuda/fixed_point_scatter.cuh"
#include "cuda/hash_grid.cuh"

namespace {

using namespace realfusion;

constexpr int kNumLevels = 3;  // of 5, 9 and 400 cells an axis
constexpr unsigned kBlock = cuda::kHashGridBlock;

HashGrid make_grid(int num_features) {
  HashGrid grid{};
  grid.num_levels = grid.num_active_levels = kNumLevels;
  grid.num_features = num_features;
  grid.interpolation = GridInterpolation::smoothstep;
  int64_t offset = 0;
  for (int l = 0; l < kNumLevels; ++l) {
    const float scale = l == 0 ? 4.0f : l == 1 ? 8.0f : 399.0f;
    const auto resolution = static_cast<int64_t>(scale) + 2;
    const int64_t size =
        l < 2 ? (resolution * resolution * resolution + 7) / 8 * 8 : 64;
    grid.levels[l] =
        make_hash_grid_level(scale, resolution, offset, size, GridIndexing::hash);
    offset += size;
  }
  return grid;
}

int64_t table_size(const HashGrid& grid) {
  const HashGridLevel& last = grid.levels[grid.num_levels - 1];
  return (last.offset + last.size) * grid.num_features;
}

struct Samples {
  std::vector<float> positions, grad;
  int64_t count;
};

// Samples along rays, every ninth without a gradient and every eleventh outside.
Samples make_samples(const HashGrid& grid, int64_t count, float grad_scale) {
  std::mt19937 random(11);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  Samples samples{std::vector<float>(3 * count),
                  std::vector<float>(count * grid.num_levels * grid.num_features),
                  count};
  float start[3] = {};
  float step[3] = {};
  for (int64_t i = 0; i < count; ++i) {
    for (int axis = 0; axis < 3; ++axis) {
      if (i % 50 == 0) start[axis] = 0.8f * uniform(random);
      if (i % 50 == 0) step[axis] = 0.004f * uniform(random);
      samples.positions[3 * i + axis] =
          i % 11 == 10 ? 2.0f : start[axis] + static_cast<float>(i % 50) * step[axis];
    }
  }
  for (float& value : samples.grad) value = grad_scale * (uniform(random) - 0.5f);
  const int64_t row = grid.num_levels * grid.num_features;
  for (int64_t i = 0; i < count; i += 9) {
    std::fill_n(&samples.grad[i * row], row, 0.0f);
  }
  return samples;
}

// Sums of the addends and of their magnitudes, in float64.
struct Expected {
  std::vector<double> sums, magnitudes;
};

Expected scatter_in_float64(const HashGrid& grid, const Samples& samples) {
  const auto size = static_cast<size_t>(table_size(grid));
  Expected expected{std::vector<double>(size), std::vector<double>(size)};
  const int num_features = grid.num_features;
  for (int64_t i = 0; i < samples.count; ++i) {
    const float* position = &samples.positions[3 * i];
    if (!is_in_unit_cube(position)) continue;
    for (int l = 0; l < grid.num_levels; ++l) {
      const HashGridLevel& level = grid.levels[l];
      const auto corners = grid_corners(level, grid.interpolation, position);
      for (int k = 0; k < 8 * num_features; ++k) {
        const int c = k / num_features;
        const int f = k % num_features;
        const size_t at = (level.offset + corners.indices[c]) * num_features + f;
        const double addend =
            double{corners.weights[c]} *
            samples.grad[(i * grid.num_levels + l) * num_features + f];
        expected.sums[at] += addend;
        expected.magnitudes[at] += std::fabs(addend);
      }
    }
  }
  return expected;
}

template <int F, class Table>
void launch(const HashGrid& grid, const Samples& samples, const Table& table,
            unsigned seed) {
  shim::launch(dim3(shim::num_blocks(samples.count, kBlock), kNumLevels), kBlock, seed,
               [&] {
                 cuda::hash_grid_backward_table_kernel<F, false>(
                     grid, samples.grad.data(), nullptr, samples.positions.data(),
                     table, samples.count);
               });
}

void check_sums(const std::vector<float>& got, const Expected& expected) {
  for (size_t k = 0; k < got.size(); ++k) {
    RF_CHECK_NEAR(got[k], expected.sums[k], 1e-5 * expected.magnitudes[k]);
  }
}

// A float table that also counts the additions of each level.
struct CountingTable {
  float* sums;
  const HashGrid* grid;
  int* counts;

  CountingTable open() const { return *this; }
  void close() const {}
  template <int F>
  void add(int64_t element, const float values[F]) const {
    cuda::FloatTable{sums}.add<F>(element, values);
    int l = kNumLevels - 1;
    while (element < grid->levels[l].offset * F) --l;
    ++counts[l];
  }
};

template <int F>
void test_runs_are_joined_where_they_are_long() {
  const HashGrid grid = make_grid(F);
  const Samples samples = make_samples(grid, 600, 1.0f);
  const Expected expected = scatter_in_float64(grid, samples);
  for (unsigned seed = 1; seed <= 3; ++seed) {
    std::vector<float> sums(table_size(grid));
    int counts[kNumLevels] = {};
    launch<F>(grid, samples, CountingTable{sums.data(), &grid, counts}, seed);
    check_sums(sums, expected);
    // Rows without a gradient and rows outside end runs and are not added.
    const int num_active = 600 - 67 - 54 + 6;
    RF_CHECK(counts[0] < 8 * num_active / 3);
    RF_CHECK(counts[1] < 8 * num_active / 3);
    RF_CHECK(counts[2] == 8 * num_active);
  }
}

// All lanes in one cell (padding at the origin), and each in its own.
void test_runs_of_a_whole_warp_and_of_one_lane() {
  const HashGrid grid = make_grid(2);
  Samples samples = make_samples(grid, 64, 1.0f);
  for (int64_t i = 0; i < 64; ++i) {
    for (int axis = 0; axis < 3; ++axis) {
      samples.positions[3 * i + axis] =
          i < 32 ? 0.0f : static_cast<float>(i % 2 == axis % 2);
    }
  }
  std::fill(samples.grad.begin(), samples.grad.end(), 0.25f);
  std::vector<float> sums(table_size(grid));
  int counts[kNumLevels] = {};
  launch<2>(grid, samples, CountingTable{sums.data(), &grid, counts}, 1);
  check_sums(sums, scatter_in_float64(grid, samples));
  for (const int count : counts) RF_CHECK(count == 8 * (1 + 32));
}

// Both passes and the conversion.
template <int F>
std::vector<float> scatter_in_fixed_point(const HashGrid& grid, const Samples& samples,
                                          unsigned seed) {
  const int64_t size = table_size(grid);
  std::vector<unsigned long long> sums(size);
  unsigned bound = 0;
  launch<F>(grid, samples, cuda::AddendBoundTable{&bound}, seed);
  const cuda::FixedPointTable table{sums.data(), &bound,
                                    cuda::log2_of_addends(samples.count)};
  launch<F>(grid, samples, table, seed + 100);
  std::vector<float> values(size);
  shim::launch(shim::num_blocks(size, cuda::kFixedPointBlock), cuda::kFixedPointBlock,
               seed, [&] { cuda::add_fixed_point_kernel(table, values.data(), size); });
  return values;
}

template <int F>
void test_fixed_point_gives_the_same_bits_in_any_order(float grad_scale) {
  const HashGrid grid = make_grid(F);
  const Samples samples = make_samples(grid, 600, grad_scale);
  const Expected expected = scatter_in_float64(grid, samples);
  const std::vector<float> first = scatter_in_fixed_point<F>(grid, samples, 1);
  check_sums(first, expected);
  for (unsigned seed = 2; seed <= 4; ++seed) {
    RF_CHECK(scatter_in_fixed_point<F>(grid, samples, seed) == first);
  }
}

void test_fixed_point_sums_are_added_to_what_is_there() {
  const float addend = 0.75f;
  const unsigned bound = __float_as_uint(addend);
  std::vector<unsigned long long> sums(2);
  const cuda::FixedPointTable table{sums.data(), &bound, cuda::log2_of_addends(1)};
  table.open().add<1>(1, &addend);
  std::vector<float> values{-2.0f, 0.5f};
  shim::launch(1, cuda::kFixedPointBlock, 1,
               [&] { cuda::add_fixed_point_kernel(table, values.data(), 2); });
  RF_CHECK(values[0] == -2.0f && values[1] == 1.25f);
}

// The last bits of float32 sums depend on the order, or the test above proves nothing.
void test_float_sums_depend_on_the_order() {
  const HashGrid grid = make_grid(2);
  const Samples samples = make_samples(grid, 600, 1.0f);
  std::vector<float> sums[2];
  for (unsigned seed = 0; seed < 2; ++seed) {
    sums[seed].resize(table_size(grid));
    launch<2>(grid, samples, cuda::FloatTable{sums[seed].data()}, seed);
  }
  RF_CHECK(sums[0] != sums[1]);
}

void test_gradient_that_is_not_finite_gives_nan() {
  const HashGrid grid = make_grid(2);
  for (const float bad : {INFINITY, NAN}) {
    Samples samples = make_samples(grid, 40, 1.0f);
    samples.grad[7] = bad;
    for (const float value : scatter_in_fixed_point<2>(grid, samples, 1)) {
      RF_CHECK(std::isnan(value));
    }
  }
}

// The bounds of fixed_point_exponent, at both ends of float32: sums of as many addends
// as are allowed, all as large as the bound, do not overflow, and sums of mixed addends
// are off by at most half a unit an addend. (Where the unit is float32's smallest
// normal number, the largest addends are rounded too.)
void test_fixed_point_error_and_range() {
  std::mt19937 random(3);
  for (const int magnitude : {-148, -126, -60, 0, 40, 110, 127}) {
    const auto largest =
        static_cast<float>(magnitude < -126 ? std::ldexp(1.0, magnitude)
                                            : std::ldexp(2.0 - 0x1p-23, magnitude));
    const int log2_addends = cuda::log2_of_addends(512);
    RF_CHECK(log2_addends == 12);
    const unsigned bound = __float_as_uint(largest);
    std::vector<unsigned long long> sums(2);
    const cuda::FixedPointTable table{sums.data(), &bound, log2_addends};
    const cuda::FixedPointSums fixed = table.open();
    double mixed_sum = 0.0;
    for (int i = 0; i < 4096; ++i) {
      const float share = static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f;
      const float mixed = largest * share;
      fixed.add<1>(0, &largest);
      fixed.add<1>(1, &mixed);
      mixed_sum += mixed;
    }
    std::vector<float> values(2);
    shim::launch(1, cuda::kFixedPointBlock, 1,
                 [&] { cuda::add_fixed_point_kernel(table, values.data(), 2); });
    const double largest_sum = 4096.0 * largest;
    if (largest_sum > 0x1p128) {
      RF_CHECK(values[0] == INFINITY);
    } else if (magnitude > -100) {
      RF_CHECK(values[0] == static_cast<float>(largest_sum));
    }
    const double unit =
        std::ldexp(1.0, -cuda::fixed_point_exponent(bound, log2_addends));
    // And the result is rounded to float32, whose subnormals are 2^-149 apart.
    const double rounding = std::fabs(mixed_sum) * 0x1p-24 + 0x1p-149;
    if (std::fabs(mixed_sum) < 0x1p128) {
      RF_CHECK_NEAR(values[1], mixed_sum, 2048 * unit + rounding);
    } else {
      RF_CHECK(std::isinf(values[1]));
    }
  }
}

void test_logarithm_of_addends_rounds_up() {
  RF_CHECK(cuda::log2_of_addends(1) == 3);
  RF_CHECK(cuda::log2_of_addends(2) == 4);
  RF_CHECK(cuda::log2_of_addends(3) == 5);
  RF_CHECK(cuda::log2_of_addends(int64_t{1} << 33) == 36);
  RF_CHECK(cuda::log2_of_addends((int64_t{1} << 33) + 1) == 37);
}

}  // namespace

int main() {
  test_runs_are_joined_where_they_are_long<1>();
  test_runs_are_joined_where_they_are_long<2>();
  test_runs_are_joined_where_they_are_long<4>();
  test_runs_are_joined_where_they_are_long<8>();
  test_runs_of_a_whole_warp_and_of_one_lane();
  test_fixed_point_gives_the_same_bits_in_any_order<1>(1.0f);
  test_fixed_point_gives_the_same_bits_in_any_order<2>(1e30f);
  test_fixed_point_gives_the_same_bits_in_any_order<8>(1e-20f);
  test_float_sums_depend_on_the_order();
  test_gradient_that_is_not_finite_gives_nan();
  test_fixed_point_error_and_range();
  test_fixed_point_sums_are_added_to_what_is_there();
  test_logarithm_of_addends_rounds_up();
}
