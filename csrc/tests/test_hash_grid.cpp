// The hash grid: SIMD variants and device kernels against the scalar kernels, and the
// scalar ones against finite differences.
#include <random>
#include <vector>

#include "tests/check.h"
#include "tests/cuda_shim.h"

#include "cpu/hash_grid.cpp"
#include "cpu/hash_grid_avx2.cpp"
#include "cpu/hash_grid_avx512.cpp"
#include "cuda/hash_grid.cuh"

namespace {

using namespace realfusion;

constexpr int kNumLevels = 5;

HashGrid make_grid(int num_features, GridIndexing indexing,
                   GridInterpolation interpolation, int num_active_levels) {
  HashGrid grid{};
  grid.num_levels = kNumLevels;
  grid.num_active_levels = num_active_levels;
  grid.num_features = num_features;
  grid.interpolation = interpolation;
  int64_t offset = 0;
  for (int l = 0; l < kNumLevels; ++l) {
    const auto scale = static_cast<float>(8.0 * std::pow(1.7, l) - 1.0);
    const auto resolution = static_cast<int64_t>(std::floor(scale + 0.5f)) + 2;
    const int64_t size =
        std::min<int64_t>((resolution * resolution * resolution + 7) / 8 * 8, 2048);
    grid.levels[l] = make_hash_grid_level(scale, resolution, offset, size, indexing);
    offset += size;
  }
  return grid;
}

int64_t num_entries(const HashGrid& grid) {
  const HashGridLevel& last = grid.levels[grid.num_levels - 1];
  return last.offset + last.size;
}

struct Data {
  std::vector<float> positions, directions, table, grad;
  int64_t num_points;
};

Data make_data(const HashGrid& grid, int64_t num_points) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  Data data;
  data.num_points = num_points;
  const auto fill = [&](std::vector<float>& values, int64_t count, float shift) {
    values.resize(static_cast<size_t>(count));
    for (float& value : values) value = uniform(random) + shift;
  };
  fill(data.positions, 3 * num_points, 0.0f);
  fill(data.directions, 3 * num_points, -0.5f);
  fill(data.table, num_entries(grid) * grid.num_features, -0.5f);
  fill(data.grad, num_points * grid.num_levels * grid.num_features, -0.5f);
  // Faces and corners of the cube, outside of it, NaN.
  const float special[5][3] = {
      {0, 0, 0}, {1, 1, 1}, {1, 0.5f, 0}, {-0.01f, 0.5f, 0.5f}, {0.5f, NAN, 0.5f}};
  for (int64_t i = 0; i < std::min<int64_t>(5, num_points); ++i) {
    std::copy(special[i], special[i] + 3, &data.positions[3 * i]);
  }
  return data;
}

struct Results {
  std::vector<float> features, grad_table, grad_positions;
};

// The kernels of the features, or those of their derivatives along the directions.
enum class Order { features, tangents };

Results allocate(const HashGrid& grid, const Data& data) {
  return {
      std::vector<float>(data.grad.size(), NAN),
      std::vector<float>(static_cast<size_t>(num_entries(grid)) * grid.num_features),
      std::vector<float>(data.positions.size(), NAN)};
}

Results run_cpu(const HashGrid& grid, const Data& data, SimdLevel level,
                Order order = Order::features) {
  const auto kernels = cpu::hash_grid_kernels_float(level, grid.num_features);
  Results results = allocate(grid, data);
  const int64_t split = data.num_points / 3;
  for (const auto& [begin, end] :
       {std::pair{int64_t{0}, split}, std::pair{split, data.num_points}}) {
    if (order == Order::features) {
      kernels.encode(grid, data.positions.data(), data.table.data(),
                     results.features.data(), begin, end);
      kernels.backward_positions(grid, data.grad.data(), data.positions.data(),
                                 data.table.data(), results.grad_positions.data(),
                                 begin, end);
    } else {
      kernels.tangent(grid, data.directions.data(), data.positions.data(),
                      data.table.data(), results.features.data(), begin, end);
      kernels.tangent_backward_positions(grid, data.grad.data(), data.directions.data(),
                                         data.positions.data(), data.table.data(),
                                         results.grad_positions.data(), begin, end);
    }
  }
  for (int owner = 0; owner < 2; ++owner) {
    if (order == Order::features) {
      kernels.backward_table(grid, owner, 2, data.grad.data(), data.positions.data(),
                             results.grad_table.data(), data.num_points);
    } else {
      kernels.tangent_backward_table(grid, owner, 2, data.grad.data(),
                                     data.directions.data(), data.positions.data(),
                                     results.grad_table.data(), data.num_points);
    }
  }
  return results;
}

template <int F, bool kIsTangent>
Results run_device(const HashGrid& grid, const Data& data, unsigned seed) {
  Results results = allocate(grid, data);
  const unsigned blocks = shim::num_blocks(data.num_points, cuda::kHashGridBlock);
  const unsigned num_levels = static_cast<unsigned>(grid.num_levels);
  const unsigned num_active = static_cast<unsigned>(grid.num_active_levels);
  shim::launch(dim3(blocks, num_levels), cuda::kHashGridBlock, seed, [&] {
    cuda::hash_grid_encode_kernel<F, kIsTangent>(
        grid, data.directions.data(), data.positions.data(), data.table.data(),
        results.features.data(), data.num_points);
  });
  shim::launch(dim3(blocks, num_active), cuda::kHashGridBlock, seed, [&] {
    cuda::hash_grid_backward_table_kernel<F, kIsTangent>(
        grid, data.grad.data(), data.directions.data(), data.positions.data(),
        cuda::FloatTable{results.grad_table.data()}, data.num_points);
  });
  shim::launch(dim3(blocks), cuda::kHashGridBlock, seed, [&] {
    cuda::hash_grid_backward_positions_kernel<F, kIsTangent>(
        grid, data.grad.data(), data.directions.data(), data.positions.data(),
        data.table.data(), results.grad_positions.data(), data.num_points);
  });
  return results;
}

void check_close(const std::vector<float>& got, const std::vector<float>& expected,
                 double tolerance) {
  RF_CHECK(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) RF_CHECK_NEAR(got[i], expected[i], tolerance);
}

// Tolerances are of results of the features; tangents are larger by a scale of the
// grid.
void check_same(const Results& got, const Results& expected, double factor = 1.0) {
  check_close(got.features, expected.features, factor * 1e-6);
  check_close(got.grad_table, expected.grad_table, factor * 2e-4);
  check_close(got.grad_positions, expected.grad_positions, factor * 5e-4);
}

template <int F, Order kOrder>
void check_variants(const HashGrid& grid, const Data& data) {
  const double factor = kOrder == Order::features ? 1.0 : 100.0;
  const Results expected = run_cpu(grid, data, SimdLevel::scalar, kOrder);
  for (const SimdLevel level : {SimdLevel::avx2, SimdLevel::avx512}) {
    if (level <= supported_simd_level()) {
      check_same(run_cpu(grid, data, level, kOrder), expected, factor);
    }
  }
  for (const unsigned seed : {1u, 2u}) {
    check_same(run_device<F, kOrder == Order::tangents>(grid, data, seed), expected,
               factor);
  }
}

template <int F>
void test_variants_match_scalar(GridIndexing indexing, GridInterpolation interpolation,
                                int num_active, int64_t num_points) {
  const HashGrid grid = make_grid(F, indexing, interpolation, num_active);
  const Data data = make_data(grid, num_points);
  check_variants<F, Order::features>(grid, data);
  check_variants<F, Order::tangents>(grid, data);
}

template <int F>
void test_all_layouts() {
  for (const auto indexing : {GridIndexing::hash, GridIndexing::tiled}) {
    for (const auto interpolation :
         {GridInterpolation::linear, GridInterpolation::smoothstep}) {
      test_variants_match_scalar<F>(indexing, interpolation, kNumLevels, 700);
    }
  }
  test_variants_match_scalar<F>(GridIndexing::hash, GridInterpolation::linear, 2, 40);
  test_variants_match_scalar<F>(GridIndexing::hash, GridInterpolation::linear, 5, 1);
}

// More points than a chunk, and a last chunk that is not full.
void test_chunks_join() {
  const HashGrid grid =
      make_grid(2, GridIndexing::hash, GridInterpolation::linear, kNumLevels);
  const Data data = make_data(grid, 2 * cpu::kHashGridChunk + 77);
  const Results expected = run_cpu(grid, data, SimdLevel::scalar);
  const Results best = run_cpu(grid, data, supported_simd_level());
  check_close(best.features, expected.features, 1e-6);
  check_close(best.grad_table, expected.grad_table, 2e-3);
}

void test_points_outside_are_zero() {
  const HashGrid grid =
      make_grid(2, GridIndexing::hash, GridInterpolation::linear, kNumLevels);
  const Data data = make_data(grid, 5);
  const Results results = run_cpu(grid, data, SimdLevel::scalar);
  const int64_t stride = 2 * kNumLevels;
  for (int64_t k = 3 * stride; k < 5 * stride; ++k) RF_CHECK(results.features[k] == 0);
  for (int64_t k = 9; k < 15; ++k) RF_CHECK(results.grad_positions[k] == 0);
  RF_CHECK(results.features[0] != 0);
}

// d features / d position by central differences, in float64, away from the kinks.
void test_position_gradient_matches_finite_differences() {
  for (const auto interpolation :
       {GridInterpolation::linear, GridInterpolation::smoothstep}) {
    const HashGrid grid = make_grid(2, GridIndexing::hash, interpolation, kNumLevels);
    std::mt19937 random(3);
    std::uniform_real_distribution<double> uniform(0.0, 1.0);
    std::vector<double> table(static_cast<size_t>(num_entries(grid)) * 2);
    for (double& value : table) value = uniform(random) - 0.5;
    const double grad[2] = {0.7, -1.3};
    for (int trial = 0; trial < 50; ++trial) {
      const double position[3] = {uniform(random), uniform(random), uniform(random)};
      const HashGridLevel& level = grid.levels[trial % kNumLevels];
      const double* entries = table.data() + 2 * level.offset;
      double analytic[3] = {0, 0, 0};
      encode_level_backward_position<2>(level, interpolation, position, entries, grad,
                                        analytic);
      for (int axis = 0; axis < 3; ++axis) {
        const double step = 1e-6;
        double ends[2];
        bool is_smooth = true;
        for (int side = 0; side < 2; ++side) {
          double moved[3] = {position[0], position[1], position[2]};
          moved[axis] += side == 0 ? -step : step;
          is_smooth = is_smooth && is_in_unit_cube(moved) &&
                      grid_cell(level, moved).corner[axis] ==
                          grid_cell(level, position).corner[axis];
          double features[2];
          encode_level<2>(level, interpolation, moved, entries, features);
          ends[side] = grad[0] * features[0] + grad[1] * features[1];
        }
        if (is_smooth) {
          RF_CHECK_NEAR(analytic[axis], (ends[1] - ends[0]) / (2 * step), 1e-5);
        }
      }
    }
  }
}

// Weights sum to one, their gradients to zero; every index is within its level.
void test_corners_partition_unity() {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  for (const auto indexing : {GridIndexing::hash, GridIndexing::tiled}) {
    const HashGrid grid = make_grid(2, indexing, GridInterpolation::smoothstep, 5);
    for (int trial = 0; trial < 2000; ++trial) {
      float position[3] = {uniform(random), uniform(random), uniform(random)};
      if (trial < 8) {
        for (int axis = 0; axis < 3; ++axis) position[axis] = trial >> axis & 1;
      }
      const HashGridLevel& level = grid.levels[trial % kNumLevels];
      const auto corners =
          grid_corners_with_gradients(level, grid.interpolation, position);
      float weight = 0.0f;
      float gradient[3] = {0, 0, 0};
      for (int c = 0; c < 8; ++c) {
        RF_CHECK(corners.indices[c] < level.size);
        weight += corners.weights[c];
        for (int axis = 0; axis < 3; ++axis) {
          gradient[axis] += corners.gradients[c][axis];
        }
      }
      RF_CHECK_NEAR(weight, 1.0, 1e-6);
      for (const float sum : gradient) RF_CHECK_NEAR(sum, 0.0, 1e-4);
    }
  }
}

}  // namespace

int main() {
  test_all_layouts<1>();
  test_all_layouts<2>();
  test_all_layouts<4>();
  test_all_layouts<8>();
  test_chunks_join();
  test_points_outside_are_zero();
  test_position_gradient_matches_finite_differences();
  test_corners_partition_unity();
}
