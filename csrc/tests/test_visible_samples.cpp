// The device kernels of visible_samples against a plain walk along each ray.
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/check.h"
#include "tests/cuda_shim.h"

#include "cuda/visible_samples.cuh"

namespace {

using namespace realfusion;

constexpr float kMinTransmittance = 1e-4f;

struct Samples {
  std::vector<float> densities, deltas, positions, t;
  std::vector<int32_t> ray_indices;
  std::vector<int64_t> offsets{0};

  int64_t num_rays() const { return static_cast<int64_t>(offsets.size()) - 1; }

  cuda::SampleRows rows() {
    return {positions.data(), t.data(), deltas.data(), ray_indices.data()};
  }
};

// Rays of 0 to 100 samples: some thin, some opaque after a few.
Samples make_samples(int64_t num_rays) {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  Samples samples;
  for (int64_t ray = 0; ray < num_rays; ++ray) {
    const int64_t count = static_cast<int64_t>(random() % 101) * (ray % 9 != 0);
    const float scale = ray % 3 == 0 ? 0.1f : 40.0f;
    for (int64_t k = 0; k < count; ++k) {
      samples.densities.push_back(scale * uniform(random));
      samples.deltas.push_back(0.02f);
      for (int axis = 0; axis < 3; ++axis) samples.positions.push_back(uniform(random));
      samples.t.push_back(uniform(random));
      samples.ray_indices.push_back(static_cast<int32_t>(ray));
    }
    samples.offsets.push_back(samples.offsets.back() + count);
  }
  return samples;
}

// The light that arrives at sample k of a ray.
double arriving(const Samples& samples, int64_t ray, int64_t k) {
  double depth = 0.0;
  for (int64_t i = samples.offsets[ray]; i < samples.offsets[ray] + k; ++i) {
    depth += double{samples.densities[i]} * samples.deltas[i];
  }
  return std::exp(-depth);
}

std::vector<int32_t> count_on_device(const Samples& samples, unsigned seed) {
  std::vector<int32_t> counts(static_cast<size_t>(samples.num_rays()), -1);
  const cuda::VisibleRays rays{samples.deltas.data(), samples.offsets.data(),
                               samples.num_rays(), samples.offsets.back()};
  shim::launch(shim::num_blocks(32 * samples.num_rays(), cuda::kVisibleBlock),
               cuda::kVisibleBlock, seed, [&] {
                 cuda::visible_count_kernel(rays, samples.densities.data(),
                                            kMinTransmittance, counts.data());
               });
  return counts;
}

void test_counts_end_where_the_light_does() {
  const Samples samples = make_samples(200);
  const std::vector<int32_t> counts = count_on_device(samples, 1);
  RF_CHECK(count_on_device(samples, 2) == counts);
  for (int64_t ray = 0; ray < samples.num_rays(); ++ray) {
    const int64_t length = samples.offsets[ray + 1] - samples.offsets[ray];
    const int32_t count = counts[static_cast<size_t>(ray)];
    RF_CHECK(count >= 0 && count <= length);
    // Rounding may move the threshold a little.
    if (count > 0) {
      RF_CHECK(arriving(samples, ray, count - 1) > 0.999 * kMinTransmittance);
    }
    if (count < length) {
      RF_CHECK(arriving(samples, ray, count) < 1.001 * kMinTransmittance);
    }
  }
}

void test_leading_samples_move_to_their_new_offsets() {
  Samples samples = make_samples(150);
  const std::vector<int32_t> counts = count_on_device(samples, 3);
  Samples kept;
  for (const int32_t count : counts)
    kept.offsets.push_back(kept.offsets.back() + count);
  const auto num_kept = static_cast<size_t>(kept.offsets.back());
  kept.positions.assign(3 * num_kept, -1.0f);
  kept.t.assign(num_kept, -1.0f);
  kept.deltas.assign(num_kept, -1.0f);
  kept.ray_indices.assign(num_kept, -1);
  const cuda::VisibleRays rays{samples.deltas.data(), samples.offsets.data(),
                               samples.num_rays(), samples.offsets.back()};
  shim::launch(shim::num_blocks(32 * samples.num_rays(), cuda::kVisibleBlock),
               cuda::kVisibleBlock, 4, [&] {
                 cuda::keep_leading_kernel(rays, samples.rows(), kept.offsets.data(),
                                           kept.rows());
               });
  for (int64_t ray = 0; ray < samples.num_rays(); ++ray) {
    for (int64_t k = 0; k < counts[static_cast<size_t>(ray)]; ++k) {
      const int64_t from = samples.offsets[ray] + k;
      const int64_t to = kept.offsets[ray] + k;
      for (int axis = 0; axis < 3; ++axis) {
        RF_CHECK(kept.positions[3 * to + axis] == samples.positions[3 * from + axis]);
      }
      RF_CHECK(kept.t[to] == samples.t[from]);
      RF_CHECK(kept.deltas[to] == samples.deltas[from]);
      RF_CHECK(kept.ray_indices[to] == static_cast<int32_t>(ray));
    }
  }
}

}  // namespace

int main() {
  test_counts_end_where_the_light_does();
  test_leading_samples_move_to_their_new_offsets();
}
