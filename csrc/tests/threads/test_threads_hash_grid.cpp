// The hash grid on several threads: small levels, so that points share most entries.
#include "tests/threads/check_threads.h"

#include "bindings/hash_grid.cpp"
#include "cpu/hash_grid.cpp"
#include "cpu/hash_grid_avx2.cpp"
#include "cpu/hash_grid_avx512.cpp"

using namespace realfusion;

int main() {
  std::mt19937 random(2);
  std::uniform_real_distribution<float> uniform(-0.1f, 1.1f);  // some are outside
  const auto draw = [&] { return uniform(random); };
  const int64_t num_points = 5000;
  const int64_t num_levels = 5;
  const int64_t num_features = 2;
  std::vector<double> scales;
  std::vector<int64_t> resolutions;
  std::vector<int64_t> offsets{0};
  for (int64_t l = 0; l < num_levels; ++l) {
    scales.push_back(static_cast<double>((4 << l) - 1));
    resolutions.push_back((4 << l) + 1);
    const int64_t resolution = resolutions.back();
    const int64_t num_vertices = (resolution * resolution * resolution + 7) / 8 * 8;
    offsets.push_back(offsets.back() + std::min<int64_t>(num_vertices, 512));
  }
  const Tensor positions = test::make_floats({num_points, 3}, draw);
  const Tensor table = test::make_floats({offsets.back(), num_features}, draw);
  const Tensor directions = test::make_floats({num_points, 3}, draw);
  const Tensor grad = test::make_floats({num_points, num_levels * num_features}, draw);
  test::check_any_number_of_threads([&] {
    return std::vector<Tensor>{
        hash_grid_encode_cpu(positions, table, scales, resolutions, offsets,
                             num_features, num_levels - 1, false, false),
        hash_grid_encode_backward_table_cpu(grad, positions, scales, resolutions,
                                            offsets, num_features, num_levels - 1,
                                            false, false, false),
        hash_grid_encode_backward_positions_cpu(grad, positions, table, scales,
                                                resolutions, offsets, num_features,
                                                num_levels - 1, false, false),
        hash_grid_encode_tangent_cpu(directions, positions, table, scales, resolutions,
                                     offsets, num_features, num_levels - 1, false,
                                     false),
        hash_grid_encode_tangent_backward_table_cpu(
            grad, directions, positions, scales, resolutions, offsets, num_features,
            num_levels - 1, false, false, false),
        hash_grid_encode_tangent_backward_positions_cpu(
            grad, directions, positions, table, scales, resolutions, offsets,
            num_features, num_levels - 1, false, false)};
  });
}
