// The fused field: SIMD and device kernels against the scalar kernels, which share
// their maths with both and which the Python tests hold against autograd.
#include <array>
#include <random>
#include <vector>

#include "tests/check.h"
#include "tests/cuda_shim.h"

#include "cuda/radiance_field_backward.cuh"
#include "cuda/radiance_field_forward.cuh"

#include "cpu/radiance_field_scalar.cpp"

#include "cpu/radiance_field_avx2.cpp"
#include "cpu/radiance_field_avx512.cpp"

namespace {

using namespace realfusion;

constexpr int kLevels = 5;
constexpr int64_t kNumSamples = 150;

struct Problem {
  std::vector<float> table, positions, w1, b1, w2, b2, w3, b3;
  cpu::FieldProblem<float> field;
  int64_t num_entries = 0;
  int64_t num_inputs = 0;
};

std::vector<float> normals(std::mt19937& random, int64_t count, double scale) {
  std::normal_distribution<float> normal(0.0f, static_cast<float>(scale));
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

void make_problem(Problem& problem, int width, int num_features, bool with_normals) {
  std::mt19937 random(3);
  cpu::FieldProblem<float>& field = problem.field;
  field = {};
  field.grid.num_levels = kLevels;
  field.grid.num_active_levels = kLevels - 1;
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
  problem.positions = normals(random, 3 * kNumSamples, 0.4);  // a few are outside
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

Upstreams make_upstreams() {
  std::mt19937 random(4);
  return {normals(random, kNumSamples, 0.1), normals(random, 3 * kNumSamples, 1.0),
          normals(random, 3 * kNumSamples, 1.0)};
}

// The largest error, against the largest value.
void check_close(const std::vector<float>& got, const std::vector<float>& expected,
                 double tolerance) {
  RF_CHECK(got.size() == expected.size());
  double scale = 1e-6;
  for (const float value : expected) scale = std::fmax(scale, std::fabs(value));
  for (size_t k = 0; k < got.size(); ++k) {
    RF_CHECK_NEAR(got[k], expected[k], tolerance * scale);
  }
}

void check_outputs(const Outputs& got, const Outputs& expected, bool with_normals) {
  RF_CHECK(got.masks == expected.masks);
  check_close(got.densities, expected.densities, 1e-4);
  check_close(got.albedo, expected.albedo, 1e-5);
  if (with_normals) {
    check_close(got.gradients, expected.gradients, 1e-5);
    check_close(got.normals, expected.normals, 1e-4);
  }
}

Outputs run_forward(const cpu::FieldKernels<float>& kernels, const Problem& problem) {
  Outputs out;
  kernels.forward(problem.field, out.pointers(), 0, kNumSamples);
  return out;
}

Gradients run_backward(const cpu::FieldKernels<float>& kernels, const Problem& problem,
                       Outputs& saved, const Upstreams& upstreams) {
  const bool with_normals = problem.field.with_normals;
  const int64_t stride = 160;
  std::vector<float> memory((6 + 2 * problem.num_inputs) * stride);
  cpu::FieldScatter<float> scatter{};
  scatter.stride = stride;
  scatter.unit = memory.data();
  scatter.features = scatter.unit + 3 * stride;
  if (with_normals) {
    scatter.directions = scatter.features + problem.num_inputs * stride;
    scatter.reverse = scatter.directions + 3 * stride;
  }
  Gradients out;
  out.network.resize(
      cpu::field_network_size(problem.num_inputs, problem.field.hidden_width));
  out.table.resize(problem.table.size());
  kernels.backward(problem.field, saved.pointers(), upstreams.pointers(with_normals),
                   scatter, out.network.data(), 0, kNumSamples);
  for (int l = 0; l < problem.field.grid.num_active_levels; ++l) {
    // In two parts, as two threads would share the level.
    const auto size = static_cast<uint32_t>(problem.field.grid.levels[l].size);
    for (const auto& [first, last] :
         {std::array{0u, size / 3}, std::array{size / 3, size}}) {
      kernels.scatter(problem.field, scatter, l, first, last, out.table.data(),
                      kNumSamples);
    }
  }
  return out;
}

cuda::FieldCall make_call(const Problem& problem, bool weights_in_shared) {
  return {problem.field.grid,  problem.field.settings,  problem.field.network,
          problem.field.table, problem.field.positions, kNumSamples,
          weights_in_shared};
}

template <int H, int F, bool kWithNormal>
void test_device(const Problem& problem, Outputs& expected, const Upstreams& upstreams,
                 const Gradients& expected_gradients) {
  for (const unsigned seed : {0u, 1u}) {
    const cuda::FieldCall call = make_call(problem, seed == 0);
    Outputs out;
    static_assert(sizeof(unsigned long long) == sizeof(uint64_t));
    const auto arrays = [](Outputs& outputs) {
      return cuda::FieldArrays{
          outputs.densities.data(), outputs.albedo.data(), outputs.normals.data(),
          outputs.gradients.data(),
          reinterpret_cast<unsigned long long*>(outputs.masks.data())};
    };
    const unsigned num_blocks = 2;
    shim::launch(dim3(num_blocks), cuda::kFieldBlock, seed, [&] {
      cuda::field_forward_kernel<H, F, kWithNormal>(call, arrays(out));
    });
    check_outputs(out, expected, kWithNormal);

    const int64_t size = cpu::field_network_size(problem.num_inputs, H);
    std::vector<float> block_gradients(num_blocks * size);
    Gradients gradients;
    gradients.table.resize(problem.table.size());
    gradients.network.resize(size);
    const cuda::FieldUpstreamArrays pointers{
        upstreams.densities.data(), upstreams.albedo.data(),
        kWithNormal ? upstreams.normals.data() : nullptr};
    shim::launch(dim3(num_blocks), cuda::kFieldBlock, seed, [&] {
      cuda::field_backward_kernel<H, F, kWithNormal>(call, arrays(expected), pointers,
                                                     block_gradients.data(),
                                                     gradients.table.data());
    });
    shim::launch(dim3(shim::num_blocks(size, cuda::kFieldBlock)), cuda::kFieldBlock,
                 seed, [&] {
                   cuda::field_sum_blocks_kernel(block_gradients.data(), num_blocks,
                                                 size, gradients.network.data());
                 });
    check_close(gradients.network, expected_gradients.network, 1e-4);
    check_close(gradients.table, expected_gradients.table, 1e-4);
  }
}

template <int H, int F>
void test_field(bool with_normals) {
  Problem problem;
  make_problem(problem, H, F, with_normals);
  const Upstreams upstreams = make_upstreams();
  const auto scalar = cpu::field_kernels_float(SimdLevel::scalar, H, F, kLevels * F);
  Outputs expected = run_forward(scalar, problem);
  const Gradients gradients = run_backward(scalar, problem, expected, upstreams);
  for (const SimdLevel level : {SimdLevel::avx2, SimdLevel::avx512}) {
    if (level > supported_simd_level()) continue;
    const cpu::FieldKernels<float> kernels =
        cpu::field_kernels_float(level, H, F, kLevels * F);
    check_outputs(run_forward(kernels, problem), expected, with_normals);
    const Gradients got = run_backward(kernels, problem, expected, upstreams);
    check_close(got.network, gradients.network, 1e-4);
    check_close(got.table, gradients.table, 1e-4);
  }
  if (with_normals) {
    test_device<H, F, true>(problem, expected, upstreams, gradients);
  } else {
    test_device<H, F, false>(problem, expected, upstreams, gradients);
  }
}

}  // namespace

int main() {
  for (const bool with_normals : {true, false}) {
    test_field<16, 1>(with_normals);
    test_field<32, 2>(with_normals);
    test_field<64, 2>(with_normals);
    test_field<64, 4>(with_normals);
    test_field<64, 8>(with_normals);
  }
  return 0;
}
