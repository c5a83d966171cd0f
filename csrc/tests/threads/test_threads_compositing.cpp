// Compositing on several threads: rays of very different lengths.
#include "tests/threads/check_threads.h"

#include "cpu/compositing.cpp"

using namespace realfusion;

int main() {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  const int64_t num_rays = 900;
  Tensor offsets = test::make_tensor({num_rays + 1}, ScalarType::Long);
  int64_t* offset = offsets.mutable_data_ptr<int64_t>();
  offset[0] = 0;
  for (int64_t ray = 0; ray < num_rays; ++ray) {
    offset[ray + 1] =
        offset[ray] + (ray % 3 == 0 ? 0 : static_cast<int64_t>(random() % 70));
  }
  const int64_t num_samples = offset[num_rays] + 5;  // five of no ray
  const auto draw = [&] { return uniform(random); };
  const Tensor densities =
      test::make_floats({num_samples}, [&] { return 20.0f * draw(); });
  const Tensor channels = test::make_floats({num_samples, 6}, draw);
  const Tensor t = test::make_floats({num_samples}, draw);
  const Tensor deltas = test::make_floats({num_samples}, [&] { return 0.1f * draw(); });
  const Tensor grad_values = test::make_floats({num_rays, 6}, draw);
  const Tensor grad_rays = test::make_floats({num_rays}, draw);
  const Tensor directions = test::make_floats({num_rays, 3}, draw);
  test::check_any_number_of_threads([&] {
    const auto [values, transmittance, depth, back_facing, weights] =
        composite(densities, channels, t, deltas, offsets, directions, 1e-4);
    const auto [grad_densities, grad_channels] =
        composite_backward(grad_values, grad_rays, grad_rays, grad_rays, channels, t,
                           deltas, offsets, directions, weights, transmittance, 1e-4);
    return std::vector<Tensor>{values,  transmittance,  depth,        back_facing,
                               weights, grad_densities, grad_channels};
  });
}
