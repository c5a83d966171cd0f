// The occupancy grid on several threads: a cell is visited by all of them.
#include "tests/threads/check_threads.h"

#include "bindings/occupancy.cpp"
#include "cpu/occupancy.cpp"

using namespace realfusion;

int main() {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  const auto draw = [&] { return uniform(random); };
  const int64_t resolution = 64;
  const int64_t num_cells = resolution * resolution * resolution;
  const int64_t num_visits = 90000;
  Tensor coords = test::make_tensor({num_visits, 3}, ScalarType::Int);
  Tensor cells = test::make_tensor({num_visits}, ScalarType::Long);
  for (int64_t i = 0; i < 3 * num_visits; ++i) {
    coords.mutable_data_ptr<int32_t>()[i] = static_cast<int32_t>(random() % 1024);
  }
  for (int64_t i = 0; i < num_visits; ++i) {
    cells.mutable_data_ptr<int64_t>()[i] = static_cast<int64_t>(random() % 50);
  }
  const Tensor noise = test::make_floats({num_visits, 3}, draw);
  const Tensor densities = test::make_floats({num_visits}, draw);
  const Tensor before = test::make_floats({num_cells}, draw);
  const Tensor threshold = test::make_floats({}, [] { return 0.5f; });
  test::check_any_number_of_threads([&] {
    Tensor density_ema = torch::stable::empty_like(before);
    std::memcpy(density_ema.mutable_data_ptr(), before.mutable_data_ptr(),
                static_cast<size_t>(before.num_bytes()));
    update_occupancy_cpu(density_ema, cells, densities, 0.9);
    const Tensor codes = morton_encode_cpu(coords);
    return std::vector<Tensor>{
        density_ema, codes, morton_decode_cpu(codes),
        occupancy_cell_points_cpu(cells, noise, resolution, 0.75),
        pack_occupancy_cpu(density_ema, threshold)};
  });
}
