// The fused field: SIMD and device kernels against the scalar kernels, which share
// their maths with both and which the Python tests hold against autograd.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "tests/field_problem.h"

#include "cpu/radiance_field_scalar.cpp"

#include "cpu/radiance_field_avx2.cpp"
#include "cpu/radiance_field_avx512.cpp"

namespace {

using namespace realfusion;
using namespace realfusion::test;

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

// Largest errors that a precision may make, against the largest value.
struct Tolerances {
  double log_density;
  double albedo;
  double gradient;
  double backward;
};
Tolerances tolerances(FieldPrecision precision) {
  switch (precision) {
    case FieldPrecision::float32:
      return {2e-6, 1e-6, 2e-6, 1e-5};
    case FieldPrecision::tf32:
      return {1e-3, 1e-3, 1e-3, 2e-3};
    default:
      return {1e-2, 1e-2, 1e-2, 2e-2};
  }
}

// Within the tolerances; where rounding opened or closed a unit the log-density's
// gradient jumps, so that only samples of equal masks are compared in it.
void check_device_outputs(const Outputs& got, const Outputs& expected,
                          FieldPrecision precision, bool with_normals) {
  const Tolerances tolerance = tolerances(precision);
  double scale = 1.0;
  double gradient_scale = 1e-6;
  for (int64_t k = 0; k < kNumSamples; ++k) {
    if (expected.densities[k] == 0.0f) continue;
    scale = std::fmax(scale, std::fabs(std::log(expected.densities[k])));
    for (int axis = 0; axis < 3; ++axis) {
      gradient_scale =
          std::fmax(gradient_scale, std::fabs(expected.gradients[3 * k + axis]));
    }
  }
  int64_t num_equal = 0;
  for (int64_t k = 0; k < kNumSamples; ++k) {
    RF_CHECK((got.densities[k] == 0.0f) == (expected.densities[k] == 0.0f));
    const bool is_inside = expected.densities[k] != 0.0f;
    if (is_inside) {
      RF_CHECK_NEAR(std::log(got.densities[k]), std::log(expected.densities[k]),
                    tolerance.log_density * scale);
    }
    for (int c = 0; c < 3; ++c) {
      RF_CHECK_NEAR(got.albedo[3 * k + c], expected.albedo[3 * k + c],
                    tolerance.albedo);
    }
    const bool is_equal = got.masks[2 * k] == expected.masks[2 * k] &&
                          got.masks[2 * k + 1] == expected.masks[2 * k + 1];
    num_equal += is_equal;
    if (!with_normals || !is_equal) continue;
    for (int axis = 0; axis < 3; ++axis) {
      RF_CHECK_NEAR(got.gradients[3 * k + axis], expected.gradients[3 * k + axis],
                    tolerance.gradient * gradient_scale);
    }
  }
  const double least = precision == FieldPrecision::float32 ? 1.0
                       : precision == FieldPrecision::tf32  ? 0.9
                                                            : 0.8;
  RF_CHECK(num_equal >= least * kNumSamples);
  if (with_normals && precision == FieldPrecision::float32) {
    check_close(got.normals, expected.normals, 1e-4);
  }
}

// In float32 also with the weights packed by a kernel of their own. The network's
// gradients have the same bits in whatever order the threads run.
template <FieldPrecision P, int H, bool kWithNormal>
void test_device(const Problem& problem, Outputs& expected, const Upstreams& upstreams,
                 const Gradients& expected_gradients) {
  std::vector<float> packed(
      cuda::packed_floats(H, cuda::padded_inputs(problem.field.grid)));
  std::vector<float> first_network;
  for (const unsigned seed : {0u, 1u}) {
    cuda::FieldCall call = make_call(problem);
    if (P == FieldPrecision::float32 && seed == 1) {
      shim::launch(dim3(1), 256, seed,
                   [&] { cuda::field_pack_kernel<H>(call, packed.data()); });
      call.packed = packed.data();
    }
    const Outputs out = run_device_forward<P, H, kWithNormal>(call, seed);
    check_device_outputs(out, expected, P, kWithNormal);
    const Gradients gradients = run_device_backward<P, H, kWithNormal>(
        call, problem, expected, upstreams, seed);
    const double tolerance = tolerances(P).backward;
    check_close(gradients.network, expected_gradients.network, tolerance);
    check_close(gradients.table, expected_gradients.table, tolerance);
    if (seed == 0) first_network = gradients.network;
    RF_CHECK(gradients.network == first_network);
  }
}

template <int H, bool kWithNormal>
void test_precisions(const Problem& problem, Outputs& expected,
                     const Upstreams& upstreams, const Gradients& gradients) {
  test_device<FieldPrecision::float32, H, kWithNormal>(problem, expected, upstreams,
                                                       gradients);
  test_device<FieldPrecision::tf32, H, kWithNormal>(problem, expected, upstreams,
                                                    gradients);
  test_device<FieldPrecision::bfloat16, H, kWithNormal>(problem, expected, upstreams,
                                                        gradients);
}

template <int H, int F>
void test_field(int num_active_levels, bool with_normals) {
  Problem problem;
  make_problem(problem, H, F, num_active_levels, with_normals);
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
    test_precisions<H, true>(problem, expected, upstreams, gradients);
  } else {
    test_precisions<H, false>(problem, expected, upstreams, gradients);
  }
}

// The samples behind an opaque surface have no gradient: where a whole tile has none,
// nothing of it is computed, which a bias that is not a number would show.
void test_tiles_without_gradient_are_left_out() {
  constexpr int H = 32;
  constexpr int64_t kTile = cuda::kBackwardTile<FieldPrecision::tf32, H>;
  static_assert(kTile < kNumSamples);
  Problem problem;
  make_problem(problem, H, 2, kLevels, true);
  const auto scalar = cpu::field_kernels_float(SimdLevel::scalar, H, 2, kLevels * 2);
  Outputs saved = run_forward(scalar, problem);
  Upstreams upstreams = make_upstreams();
  std::fill_n(upstreams.densities.begin(), kTile, 0.0f);
  std::fill_n(upstreams.albedo.begin(), 3 * kTile, 0.0f);
  std::fill_n(upstreams.normals.begin(), 3 * kTile, 0.0f);
  const auto run = [&] {
    return run_device_backward<FieldPrecision::tf32, H, true>(
        make_call(problem), problem, saved, upstreams, 0);
  };
  const Gradients some = run();
  const Gradients expected = run_backward(scalar, problem, saved, upstreams);
  check_close(some.network, expected.network, 2e-3);
  check_close(some.table, expected.table, 2e-3);

  upstreams = {std::vector<float>(kNumSamples), std::vector<float>(3 * kNumSamples),
               std::vector<float>(3 * kNumSamples)};
  std::fill(problem.b1.begin(), problem.b1.end(), NAN);
  const Gradients none = run();
  for (const float value : none.network) RF_CHECK(value == 0.0f);
  for (const float value : none.table) RF_CHECK(value == 0.0f);
}

// Devices without tensor cores for these precisions give a block 64 KB, and the network
// may stay outside. The presets have up to 32 inputs.
template <int H>
void test_float32_fits_small_devices() {
  constexpr int64_t kLimit = 64 << 10;
  constexpr int kInputs = 32;
  const int64_t forward = cuda::forward_shared_floats(H, kInputs);
  const int64_t backward =
      cuda::backward_shared_floats(FieldPrecision::float32, H, kInputs, true);
  RF_CHECK(forward * int64_t{sizeof(float)} <= kLimit);
  RF_CHECK(backward * int64_t{sizeof(float)} <= kLimit);
}

}  // namespace

int main() {
  test_float32_fits_small_devices<16>();
  test_float32_fits_small_devices<32>();
  test_float32_fits_small_devices<64>();
  test_field<16, 1>(4, true);
  test_field<16, 2>(5, true);
  test_field<16, 4>(4, true);
  test_field<16, 8>(5, true);  // more inputs than the kernels keep in registers
  test_field<32, 1>(5, true);
  test_field<32, 2>(4, true);
  test_field<32, 4>(1, true);
  test_field<32, 8>(4, true);
  test_field<64, 1>(4, true);
  test_field<64, 2>(4, true);
  test_field<64, 4>(5, true);
  test_field<64, 8>(5, true);
  test_field<16, 1>(4, false);
  test_field<32, 8>(5, false);
  test_field<64, 2>(4, false);
  test_tiles_without_gradient_are_left_out();
  return 0;
}
