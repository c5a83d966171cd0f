// A small field for the tests of its kernels: samples along rays, their gradients, and
// the device kernels on the launch shim.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tests/check.h"
#include "tests/cuda_shim.h"

#include "cpu/radiance_field.h"
#include "cuda/radiance_field_backward.cuh"
#include "cuda/radiance_field_forward.cuh"
#include "cuda/radiance_field_sums.cuh"

namespace realfusion::test {

constexpr int kLevels = 5;
constexpr int64_t kNumSamples = 150;

struct Problem {
  std::vector<float> table, positions, w1, b1, w2, b2, w3, b3;
  cpu::FieldProblem<float> field;
  int64_t num_entries = 0;
  int64_t num_inputs = 0;
};

inline std::vector<float> normals(std::mt19937& random, int64_t count, double scale) {
  std::normal_distribution<float> normal(0.0f, static_cast<float>(scale));
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// Samples along rays, so that neighbours share coarse cells. A few are outside.
inline std::vector<float> ray_positions(std::mt19937& random) {
  constexpr int64_t kRaySamples = 25;
  std::vector<float> positions;
  while (static_cast<int64_t>(positions.size()) < 3 * kNumSamples) {
    const std::vector<float> start = normals(random, 3, 0.4);
    const std::vector<float> step = normals(random, 3, 0.01);
    for (int64_t i = 0; i < kRaySamples; ++i) {
      for (int axis = 0; axis < 3; ++axis) {
        positions.push_back(start[axis] + static_cast<float>(i) * step[axis]);
      }
    }
  }
  positions.resize(3 * kNumSamples);
  return positions;
}

inline void make_problem(Problem& problem, int width, int num_features,
                         int num_active_levels, bool with_normals) {
  std::mt19937 random(3);
  cpu::FieldProblem<float>& field = problem.field;
  field = {};
  field.grid.num_levels = kLevels;
  field.grid.num_active_levels = num_active_levels;
  field.grid.num_features = num_features;
  field.grid.interpolation =
      num_features == 2 ? GridInterpolation::linear : GridInterpolation::smoothstep;
  for (int l = 0; l < kLevels; ++l) {
    const float scale = 3.0f * static_cast<float>(1 << l) - 1.0f;
    const int64_t resolution = static_cast<int64_t>(scale + 0.5f) + 2;
    const int64_t size =
        std::min<int64_t>((resolution * resolution * resolution + 7) / 8 * 8, 1 << 9);
    field.grid.levels[l] = make_hash_grid_level(scale, resolution, problem.num_entries,
                                                size, GridIndexing::hash);
    problem.num_entries += size;
  }
  problem.num_inputs = kLevels * num_features;
  problem.table = normals(random, problem.num_entries * num_features, 1.0);
  problem.w1 = normals(random, width * problem.num_inputs, 0.4);
  problem.b1 = normals(random, width, 0.3);
  problem.w2 = normals(random, width * width, std::sqrt(2.0 / width));
  problem.b2 = normals(random, width, 0.3);
  problem.w3 = normals(random, 4 * width, std::sqrt(1.0 / width));
  problem.b3 = normals(random, 4, 0.3);
  problem.positions = ray_positions(random);
  field.settings = make_field_settings<float>(0.75, 5.0, 0.2);
  field.network = {problem.w1.data(), problem.b1.data(), problem.w2.data(),
                   problem.b2.data(), problem.w3.data(), problem.b3.data()};
  field.table = problem.table.data();
  field.positions = problem.positions.data();
  field.num_samples = kNumSamples;
  field.hidden_width = width;
  field.with_normals = with_normals;
}

struct Outputs {
  std::vector<float> densities = std::vector<float>(kNumSamples);
  std::vector<float> albedo = std::vector<float>(3 * kNumSamples);
  std::vector<float> normals = std::vector<float>(3 * kNumSamples);
  std::vector<float> gradients = std::vector<float>(3 * kNumSamples);
  std::vector<uint64_t> masks = std::vector<uint64_t>(2 * kNumSamples);

  cpu::FieldOutputs<float> pointers() {
    return {densities.data(), albedo.data(), normals.data(), gradients.data(),
            masks.data()};
  }
};

struct Gradients {
  std::vector<float> table, network;
};

struct Upstreams {
  std::vector<float> densities, albedo, normals;

  cpu::FieldUpstreams<float> pointers(bool with_normals) const {
    return {densities.data(), albedo.data(), with_normals ? normals.data() : nullptr};
  }
};

inline Upstreams make_upstreams() {
  std::mt19937 random(4);
  return {normals(random, kNumSamples, 0.1), normals(random, 3 * kNumSamples, 1.0),
          normals(random, 3 * kNumSamples, 1.0)};
}

// The largest error, against the largest value.
inline void check_close(const std::vector<float>& got,
                        const std::vector<float>& expected, double tolerance) {
  RF_CHECK(got.size() == expected.size());
  double scale = 1e-6;
  for (const float value : expected) scale = std::fmax(scale, std::fabs(value));
  for (size_t k = 0; k < got.size(); ++k) {
    RF_CHECK_NEAR(got[k], expected[k], tolerance * scale);
  }
}

inline cuda::FieldArrays device_arrays(Outputs& outputs) {
  static_assert(sizeof(unsigned long long) == sizeof(uint64_t));
  return {outputs.densities.data(), outputs.albedo.data(), outputs.normals.data(),
          outputs.gradients.data(),
          reinterpret_cast<unsigned long long*>(outputs.masks.data())};
}

constexpr unsigned kNumBlocks = 2;

inline cuda::FieldCall make_call(const Problem& problem) {
  const cpu::FieldProblem<float>& field = problem.field;
  return {field.grid,  field.settings,  field.network, nullptr,
          field.table, field.positions, kNumSamples};
}

template <FieldPrecision P, int H, bool kWithNormal>
Outputs run_device_forward(const cuda::FieldCall& call, unsigned seed) {
  Outputs out;
  shim::launch(dim3(kNumBlocks), cuda::kFieldBlock<cuda::kForwardTile>, seed, [&] {
    cuda::field_forward_kernel<P, H, kWithNormal>(call, device_arrays(out));
  });
  return out;
}

// One pass into `table`; returns the network's gradients.
template <FieldPrecision P, int H, bool kWithNormal, class Table>
std::vector<float> run_device_pass(const cuda::FieldCall& call, Outputs& saved,
                                   const Upstreams& upstreams, const Table& table,
                                   unsigned seed) {
  const int64_t size =
      cpu::field_network_size(call.grid.num_levels * call.grid.num_features, H);
  std::vector<float> block_gradients(kNumBlocks * size);
  std::vector<float> gradients(size);
  const cuda::FieldUpstreamArrays pointers{
      upstreams.densities.data(), upstreams.albedo.data(),
      kWithNormal ? upstreams.normals.data() : nullptr};
  shim::launch(
      dim3(kNumBlocks), cuda::kFieldBlock<cuda::kBackwardTile<P, H>>, seed, [&] {
        cuda::field_backward_kernel<P, H, kWithNormal>(
            call, device_arrays(saved), pointers, block_gradients.data(), table);
      });
  shim::launch(dim3(shim::num_blocks(size, cuda::kSumColumns)),
               cuda::kSumColumns * cuda::kSumParts, seed, [&] {
                 cuda::field_sum_blocks_kernel(block_gradients.data(), kNumBlocks, size,
                                               gradients.data());
               });
  return gradients;
}

template <FieldPrecision P, int H, bool kWithNormal>
Gradients run_device_backward(const cuda::FieldCall& call, const Problem& problem,
                              Outputs& saved, const Upstreams& upstreams,
                              unsigned seed) {
  Gradients gradients;
  gradients.table.resize(problem.table.size());
  gradients.network = run_device_pass<P, H, kWithNormal>(
      call, saved, upstreams, cuda::FloatTable{gradients.table.data()}, seed);
  return gradients;
}

}  // namespace realfusion::test
