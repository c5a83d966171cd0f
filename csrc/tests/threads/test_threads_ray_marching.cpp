// Ray marching on several threads, with and without room for all samples.
#include "tests/threads/check_threads.h"

#include "bindings/ray_marching.cpp"
#include "cpu/ray_marching.cpp"
#include "cpu/ray_marching_avx2.cpp"
#include "cpu/ray_marching_avx512.cpp"

using namespace realfusion;

int main() {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  const int64_t num_rays = 500;
  const int64_t resolution = 16;
  const Tensor origins =
      test::make_floats({num_rays, 3}, [&] { return 0.3f * normal(random); });
  const Tensor directions =
      test::make_floats({num_rays, 3}, [&] { return 0.6f * normal(random); });
  const Tensor noise = test::make_floats({num_rays}, [&] { return uniform(random); });
  Tensor occupancy =
      test::make_tensor({resolution * resolution * resolution / 8}, ScalarType::Byte);
  for (int64_t i = 0; i < occupancy.numel(); ++i) {
    occupancy.mutable_data_ptr<uint8_t>()[i] =
        static_cast<uint8_t>(random() & random());
  }
  for (const double cone_angle : {0.0, 0.01}) {
    for (const std::optional<int64_t> capacity :
         {std::optional<int64_t>(), std::optional<int64_t>(4000)}) {
      test::check_any_number_of_threads([&] {
        const auto [positions, t, deltas, ray_indices, offsets, num_requested] =
            march_rays_cpu(origins, directions, occupancy, noise, resolution, 0.75,
                           0.01, 300, cone_angle, 0.1, capacity, capacity.has_value());
        RF_CHECK(*num_requested.const_data_ptr<int64_t>() > 4000);
        return std::vector<Tensor>{positions,   t,       deltas,
                                   ray_indices, offsets, num_requested};
      });
    }
  }
}
