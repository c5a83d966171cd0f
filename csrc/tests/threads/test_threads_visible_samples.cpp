// Visible samples on several threads, with and without room for all of them: each task
// walks along some rays, and the copies follow the offsets of all. Then likewise with
// what the field says of them.
#include "tests/threads/small_field.h"

#include "cpu/radiance_field_avx2.cpp"
#include "cpu/radiance_field_avx512.cpp"
#include "cpu/radiance_field_scalar.cpp"
#include "cpu/visible_samples.cpp"

using namespace realfusion;

int main() {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  const auto draw = [&] { return 0.4f * normal(random); };
  const int64_t num_levels = 3;
  const test::SmallField field = test::make_small_field(num_levels, 32, draw);
  const int64_t num_rays = 1100;  // several tasks
  Tensor offsets = test::make_tensor({num_rays + 1}, ScalarType::Long);
  int64_t* offset_data = offsets.mutable_data_ptr<int64_t>();
  offset_data[0] = 0;
  for (int64_t ray = 0; ray < num_rays; ++ray) {
    offset_data[ray + 1] =
        offset_data[ray] + static_cast<int64_t>(random() % 21) * (ray % 7 != 0);
  }
  const int64_t num_samples = offset_data[num_rays];
  const Tensor positions = test::make_floats({num_samples, 3}, draw);
  const Tensor t = test::make_floats({num_samples}, draw);
  const Tensor deltas = test::make_floats({num_samples}, [] { return 0.05f; });
  Tensor ray_indices = test::make_tensor({num_samples}, ScalarType::Int);
  for (int64_t ray = 0; ray < num_rays; ++ray) {
    std::fill(ray_indices.mutable_data_ptr<int32_t>() + offset_data[ray],
              ray_indices.mutable_data_ptr<int32_t>() + offset_data[ray + 1],
              static_cast<int32_t>(ray));
  }
  for (const std::optional<int64_t> capacity :
       {std::optional<int64_t>(), std::optional<int64_t>(2000)}) {
    test::check_any_number_of_threads([&] {
      const auto [kept_positions, kept_t, kept_deltas, kept_indices, kept_offsets,
                  num_requested] =
          visible_samples(positions, field.table, field.w1, field.b1, field.w2,
                          field.b2, field.w3, field.b3, field.scales, field.resolutions,
                          field.offsets, 2, num_levels, false, false, 0.75, 8.0, 0.2, t,
                          deltas, ray_indices, offsets, 1e-4, capacity,
                          capacity.has_value());
      const int64_t num_visible = *num_requested.const_data_ptr<int64_t>();
      RF_CHECK(num_visible > 2000 && num_visible < num_samples);
      return std::vector<Tensor>{kept_positions, kept_t,       kept_deltas,
                                 kept_indices,   kept_offsets, num_requested};
    });
  }
  test::check_any_number_of_threads([&] {
    const auto [kept_positions, kept_t, kept_deltas, kept_indices, kept_offsets,
                num_requested, densities, albedo, normals, gradients, masks] =
        visible_field(positions, field.table, field.w1, field.b1, field.w2, field.b2,
                      field.w3, field.b3, field.scales, field.resolutions,
                      field.offsets, 2, num_levels, false, false, 0.75, 8.0, 0.2, t,
                      deltas, ray_indices, offsets, 1e-4, true);
    RF_CHECK(densities.size(0) == *num_requested.const_data_ptr<int64_t>());
    return std::vector<Tensor>{kept_offsets, densities, albedo,
                               normals,      gradients, masks};
  });
}
