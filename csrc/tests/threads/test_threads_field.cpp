// The fused field on several threads: groups of samples, then levels of the table, or
// ranges of one where there are more threads than levels.
#include "tests/threads/check_threads.h"

#include "cpu/radiance_field.cpp"
#include "cpu/radiance_field_avx2.cpp"
#include "cpu/radiance_field_avx512.cpp"
#include "cpu/radiance_field_scalar.cpp"

using namespace realfusion;

namespace {

struct Grid {
  std::vector<double> scales;
  std::vector<int64_t> resolutions;
  std::vector<int64_t> offsets{0};
};

Grid make_grid(int64_t num_levels) {
  Grid grid;
  for (int64_t l = 0; l < num_levels; ++l) {
    const int64_t resolution = (3 << l) + 1;
    grid.scales.push_back(static_cast<double>((3 << l) - 1));
    grid.resolutions.push_back(resolution);
    const int64_t num_vertices = (resolution * resolution * resolution + 7) / 8 * 8;
    grid.offsets.push_back(grid.offsets.back() + std::min<int64_t>(num_vertices, 512));
  }
  return grid;
}

void test_field(int64_t num_levels, int64_t width, bool with_normals) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const auto draw = [&] { return 0.4f * normal(random); };
  const Grid grid = make_grid(num_levels);
  const int64_t num_samples = 1100;
  const Tensor positions = test::make_floats({num_samples, 3}, draw);
  const Tensor table = test::make_floats({grid.offsets.back(), 2}, draw);
  const Tensor w1 = test::make_floats({width, 2 * num_levels}, draw);
  const Tensor b1 = test::make_floats({width}, draw);
  const Tensor w2 = test::make_floats({width, width}, draw);
  const Tensor b2 = test::make_floats({width}, draw);
  const Tensor w3 = test::make_floats({4, width}, draw);
  const Tensor b3 = test::make_floats({4}, draw);
  const Tensor grad_densities = test::make_floats({num_samples}, draw);
  const Tensor grad_albedo = test::make_floats({num_samples, 3}, draw);
  const Tensor grad_normals = test::make_floats({num_samples, 3}, draw);
  test::check_any_number_of_threads([&] {
    const auto [densities, albedo, normals, gradients, masks] = radiance_field(
        positions, table, w1, b1, w2, b2, w3, b3, grid.scales, grid.resolutions,
        grid.offsets, 2, num_levels, false, false, 0.75, 5.0, 0.2, with_normals);
    const auto [grad_table, grad_w1, grad_b1, grad_w2, grad_b2, grad_w3, grad_b3] =
        radiance_field_backward(
            grad_densities, grad_albedo,
            with_normals ? std::make_optional(grad_normals) : std::nullopt, densities,
            albedo, gradients, masks, positions, table, w1, b1, w2, b2, w3, b3,
            grid.scales, grid.resolutions, grid.offsets, 2, num_levels, false, false,
            0.75, 5.0, 0.2);
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
