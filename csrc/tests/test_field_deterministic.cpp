// The fused field's deterministic mode against the one that sums floats by atomics,
// which test_field.cpp holds against the scalar kernels.
#include <cmath>
#include <vector>

#include "tests/field_problem.h"

#include "cuda/fixed_point_scatter.cuh"

namespace {

using namespace realfusion;
using namespace realfusion::test;

// Both passes and the conversion.
template <FieldPrecision P, int H, bool kWithNormal>
Gradients run_deterministic_backward(const cuda::FieldCall& call,
                                     const Problem& problem, Outputs& saved,
                                     const Upstreams& upstreams, unsigned seed) {
  const auto size = static_cast<int64_t>(problem.table.size());
  std::vector<unsigned long long> sums(size);
  unsigned bound = 0;
  cuda::TwoPassTable table{
      {&bound}, {sums.data(), &bound, cuda::log2_of_addends(kNumSamples)}, true};
  run_device_pass<P, H, kWithNormal>(call, saved, upstreams, table, seed);
  RF_CHECK(bound > 0);
  for (const unsigned long long sum : sums) RF_CHECK(sum == 0);
  table.is_first_pass = false;
  Gradients gradients;
  gradients.table.assign(size, 0.0f);
  gradients.network =
      run_device_pass<P, H, kWithNormal>(call, saved, upstreams, table, seed + 100);
  shim::launch(dim3(shim::num_blocks(size, cuda::kFixedPointBlock)),
               cuda::kFixedPointBlock, seed, [&] {
                 cuda::add_fixed_point_kernel(table.second, gradients.table.data(),
                                              size);
               });
  return gradients;
}

// Fixed-point sums have the same bits in whatever order the threads run, where float
// sums have not. A sum of n addends is off by n / 2 units, 2^-50 of the largest here,
// and so by the rounding of float32 alone: both modes agree to that of the float sums.
template <FieldPrecision P, int H, int F, bool kWithNormal>
void test_deterministic_mode() {
  Problem problem;
  make_problem(problem, H, F, kLevels, kWithNormal);
  const Upstreams upstreams = make_upstreams();
  const cuda::FieldCall call = make_call(problem);
  Outputs saved = run_device_forward<P, H, kWithNormal>(call, 0);
  Gradients in_float[2];
  Gradients deterministic[2];
  for (const unsigned seed : {0u, 1u}) {
    in_float[seed] =
        run_device_backward<P, H, kWithNormal>(call, problem, saved, upstreams, seed);
    deterministic[seed] = run_deterministic_backward<P, H, kWithNormal>(
        call, problem, saved, upstreams, seed);
  }
  RF_CHECK(in_float[0].table != in_float[1].table);
  RF_CHECK(deterministic[0].table == deterministic[1].table);
  RF_CHECK(deterministic[0].network == deterministic[1].network);
  RF_CHECK(deterministic[0].network == in_float[0].network);
  check_close(deterministic[0].table, in_float[0].table, 1e-6);
}

void test_gradient_that_is_not_finite_makes_the_table_nan() {
  Problem problem;
  make_problem(problem, 16, 2, kLevels, false);
  Upstreams upstreams = make_upstreams();
  const cuda::FieldCall call = make_call(problem);
  Outputs saved = run_device_forward<FieldPrecision::tf32, 16, false>(call, 0);
  const auto run = [&] {
    return run_deterministic_backward<FieldPrecision::tf32, 16, false>(
        call, problem, saved, upstreams, 0);
  };
  for (const float value : run().table) RF_CHECK(std::isfinite(value));
  for (float& value : upstreams.densities) value = INFINITY;
  for (const float value : run().table) RF_CHECK(std::isnan(value));
}

}  // namespace

int main() {
  test_deterministic_mode<FieldPrecision::float32, 16, 8, true>();
  test_deterministic_mode<FieldPrecision::tf32, 64, 2, true>();
  test_deterministic_mode<FieldPrecision::bfloat16, 32, 4, false>();
  test_deterministic_mode<FieldPrecision::tf32, 32, 1, false>();
  test_gradient_that_is_not_finite_makes_the_table_nan();
  return 0;
}
