// The fused field on several threads: groups of samples, then levels of the table, or
// ranges of one where there are more threads than levels.
#include "tests/threads/small_field.h"

#include "cpu/radiance_field.cpp"
#include "cpu/radiance_field_avx2.cpp"
#include "cpu/radiance_field_avx512.cpp"
#include "cpu/radiance_field_scalar.cpp"

using namespace realfusion;

namespace {

void test_field(int64_t num_levels, int64_t width, bool with_normals) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const auto draw = [&] { return 0.4f * normal(random); };
  const test::SmallField field = test::make_small_field(num_levels, width, draw);
  const int64_t num_samples = 1100;
  const Tensor positions = test::make_floats({num_samples, 3}, draw);
  const Tensor grad_densities = test::make_floats({num_samples}, draw);
  const Tensor grad_albedo = test::make_floats({num_samples, 3}, draw);
  const Tensor grad_normals = test::make_floats({num_samples, 3}, draw);
  test::check_any_number_of_threads([&] {
    const auto [densities, albedo, normals, gradients, masks] = radiance_field(
        positions, field.table, field.w1, field.b1, field.w2, field.b2, field.w3,
        field.b3, field.scales, field.resolutions, field.offsets, 2, num_levels, false,
        false, 0.75, 5.0, 0.2, with_normals);
    const auto [grad_table, grad_w1, grad_b1, grad_w2, grad_b2, grad_w3, grad_b3] =
        radiance_field_backward(
            grad_densities, grad_albedo,
            with_normals ? std::make_optional(grad_normals) : std::nullopt, densities,
            albedo, gradients, masks, positions, field.table, field.w1, field.b1,
            field.w2, field.b2, field.w3, field.b3, field.scales, field.resolutions,
            field.offsets, 2, num_levels, false, false, 0.75, 5.0, 0.2, false);
    return std::vector<Tensor>{densities, albedo,     normals, gradients,
                               masks,     grad_table, grad_w1, grad_b1,
                               grad_w2,   grad_b2,    grad_w3, grad_b3};
  });
}

}  // namespace

int main() {
  test_field(2, 32, true);
  test_field(4, 64, false);
}
