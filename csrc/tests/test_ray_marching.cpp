// Ray marching: SIMD variants and device kernels against the scalar kernels, bit for
// bit.
#include <limits>
#include <random>
#include <vector>

#include "tests/check.h"
#include "tests/cuda_shim.h"

#include "cpu/ray_marching.cpp"
#include "cpu/ray_marching_avx2.cpp"
#include "cpu/ray_marching_avx512.cpp"
#include "cuda/packed_samples.cuh"
#include "cuda/ray_marching.cuh"

namespace {

using namespace realfusion;

constexpr int64_t kResolution = 16;
constexpr int64_t kNumBytes = kResolution * kResolution * kResolution / 8;
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

struct Scene {
  std::vector<float> origins, directions, noise;
  std::vector<uint8_t> bits;
  int64_t num_rays;
};

Scene make_scene(int64_t num_rays) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  Scene scene;
  scene.num_rays = num_rays;
  for (int64_t ray = 0; ray < num_rays; ++ray) {
    float origin[3];
    float direction[3];
    float squares = 0.0f;
    for (int axis = 0; axis < 3; ++axis) {
      origin[axis] = normal(random);
      direction[axis] = 2.0f * uniform(random) - 1.0f - origin[axis];
      squares += direction[axis] * direction[axis];
    }
    for (int axis = 0; axis < 3; ++axis) {
      scene.origins.push_back(origin[axis]);
      scene.directions.push_back(direction[axis] / std::sqrt(squares));
    }
    scene.noise.push_back(uniform(random));
  }
  // Along an axis, without direction, not a number.
  const float special[3][3] = {{0, 0, 1}, {0, 0, 0}, {NAN, 0, 1}};
  for (int64_t ray = 0; ray < std::min<int64_t>(3, num_rays); ++ray) {
    std::copy(special[ray], special[ray] + 3, &scene.directions[3 * ray]);
    std::fill_n(&scene.origins[3 * ray], 3, 0.1f);
  }
  for (int64_t i = 0; i < kNumBytes; ++i) {
    scene.bits.push_back(static_cast<uint8_t>(random() & random()));
  }
  return scene;
}

MarchSettings make_settings(float cone_angle, int32_t max_steps) {
  return {make_occupancy_grid(kResolution, 0.75f),
          0.75f,
          0.01f,
          cone_angle,
          0.2f,
          max_steps};
}

struct Results {
  std::vector<int64_t> offsets;
  std::vector<float> positions, t, deltas;
  std::vector<int32_t> ray_indices;
  int64_t num_requested = 0;

  void allocate(int64_t num_samples) {
    positions.assign(static_cast<size_t>(3 * num_samples), NAN);
    t.assign(static_cast<size_t>(num_samples), NAN);
    deltas.assign(static_cast<size_t>(num_samples), NAN);
    ray_indices.assign(static_cast<size_t>(num_samples), -1);
  }

  bool operator==(const Results&) const = default;
};

Results run_cpu(const MarchSettings& settings, const Scene& scene, bool has_noise,
                int64_t capacity, SimdLevel level) {
  const cpu::MarchKernels kernels = cpu::march_kernels(level);
  const cpu::MarchRays rays{scene.origins.data(), scene.directions.data(),
                            has_noise ? scene.noise.data() : nullptr};
  const int64_t num_rays = scene.num_rays;
  std::vector<uint32_t> masks(
      static_cast<size_t>(num_rays * cpu::march_mask_words(settings)));
  std::vector<int32_t> counts(static_cast<size_t>(num_rays));
  const cpu::OccupiedBox box =
      cpu::find_occupied_box(scene.bits.data(), kResolution, settings.bound);
  const uint8_t* bits = scene.bits.data();
  kernels.count(settings, rays, bits, box, masks.data(), counts.data(), 0,
                num_rays / 2);
  kernels.count(settings, rays, bits, box, masks.data(), counts.data(), num_rays / 2,
                num_rays);
  Results results;
  results.offsets.push_back(0);
  int64_t num_fitting = 0;
  for (const int32_t count : counts) {
    results.num_requested += count;
    if (results.num_requested <= capacity) num_fitting = results.num_requested;
    results.offsets.push_back(num_fitting);
  }
  results.allocate(num_fitting);
  kernels.emit(settings, rays, masks.data(), results.offsets.data(),
               {results.positions.data(), results.t.data(), results.deltas.data(),
                results.ray_indices.data()},
               0, num_rays);
  return results;
}

Results run_device(const MarchSettings& settings, const Scene& scene, bool has_noise,
                   int64_t capacity, unsigned seed) {
  const cuda::MarchRays rays{scene.origins.data(), scene.directions.data(),
                             has_noise ? scene.noise.data() : nullptr, scene.num_rays};
  std::vector<int32_t> counts(static_cast<size_t>(scene.num_rays));
  Results results;
  results.offsets.resize(static_cast<size_t>(scene.num_rays) + 1);
  const unsigned blocks = shim::num_blocks(32 * scene.num_rays, cuda::kMarchBlock);
  shim::launch(blocks, cuda::kMarchBlock, seed, [&] {
    cuda::march_count_kernel(settings, rays, scene.bits.data(), counts.data());
  });
  shim::launch(1, cuda::kScanBlock, seed, [&] {
    cuda::scan_counts_kernel(counts.data(), scene.num_rays, capacity,
                             results.offsets.data(), &results.num_requested);
  });
  results.allocate(results.offsets.back());
  const cuda::SampleRows samples{results.positions.data(), results.t.data(),
                                 results.deltas.data(), results.ray_indices.data()};
  shim::launch(blocks, cuda::kMarchBlock, seed, [&] {
    cuda::march_emit_kernel(settings, rays, scene.bits.data(), results.offsets.data(),
                            samples);
  });
  return results;
}

void test_variants_are_equal(float cone_angle, int32_t max_steps, bool has_noise) {
  const Scene scene = make_scene(45);
  const MarchSettings settings = make_settings(cone_angle, max_steps);
  const Results expected =
      run_cpu(settings, scene, has_noise, kNoLimit, SimdLevel::scalar);
  RF_CHECK(expected.num_requested > 50);
  RF_CHECK(expected.offsets[1] > 0);                     // along an axis
  RF_CHECK(expected.offsets[3] == expected.offsets[1]);  // the two that have no steps
  for (const SimdLevel level : {SimdLevel::avx2, SimdLevel::avx512}) {
    if (level <= supported_simd_level()) {
      RF_CHECK(run_cpu(settings, scene, has_noise, kNoLimit, level) == expected);
    }
  }
  RF_CHECK(run_device(settings, scene, has_noise, kNoLimit, 1) == expected);
  RF_CHECK(run_device(settings, scene, has_noise, kNoLimit, 2) == expected);
}

// Few cells, so that most rays miss the box around them; the scalar kernel does not
// look at that box.
void test_occupied_box_loses_nothing() {
  const MarchSettings settings = make_settings(0.0f, 1024);
  std::mt19937 random(21);
  for (int trial = 0; trial < 20; ++trial) {
    Scene scene = make_scene(200);
    std::fill(scene.bits.begin(), scene.bits.end(), uint8_t{0});
    for (int k = 0; k < trial % 5; ++k) {
      const uint32_t cell = random() % (8 * kNumBytes);
      scene.bits[cell / 8] |= static_cast<uint8_t>(1u << (cell % 8));
    }
    const Results expected =
        run_cpu(settings, scene, true, kNoLimit, SimdLevel::scalar);
    RF_CHECK(trial % 5 != 0 || expected.num_requested == 0);
    for (const SimdLevel level : {SimdLevel::avx2, SimdLevel::avx512}) {
      if (level <= supported_simd_level()) {
        RF_CHECK(run_cpu(settings, scene, true, kNoLimit, level) == expected);
      }
    }
  }
}

void test_capacity_cuts_whole_rays() {
  const Scene scene = make_scene(60);
  const MarchSettings settings = make_settings(0.0f, 1024);
  const Results whole = run_cpu(settings, scene, true, kNoLimit, SimdLevel::scalar);
  const int64_t exact = whole.offsets[30];
  for (const int64_t capacity : {int64_t{0}, exact - 1, exact, exact + 1}) {
    const Results cut = run_cpu(settings, scene, true, capacity, SimdLevel::scalar);
    RF_CHECK(cut.num_requested == whole.num_requested);
    RF_CHECK(cut.offsets.back() <= capacity);
    RF_CHECK(run_device(settings, scene, true, capacity, 3) == cut);
    for (int64_t ray = 0; ray < scene.num_rays; ++ray) {
      const int64_t count = cut.offsets[ray + 1] - cut.offsets[ray];
      RF_CHECK(count == 0 || count == whole.offsets[ray + 1] - whole.offsets[ray]);
    }
  }
}

// More counts than one tile of the scan.
void test_scan_carries_over_tiles() {
  const int64_t num_rays = 3 * int64_t{cuda::kScanBlock} * cuda::kScanItems + 5;
  std::vector<int32_t> counts(static_cast<size_t>(num_rays));
  std::mt19937 random(9);
  for (int32_t& count : counts) count = static_cast<int32_t>(random() % 7);
  for (const int64_t capacity : {kNoLimit, int64_t{20000}}) {
    std::vector<int64_t> offsets(counts.size() + 1);
    int64_t num_requested = 0;
    shim::launch(1, cuda::kScanBlock, 5, [&] {
      cuda::scan_counts_kernel(counts.data(), num_rays, capacity, offsets.data(),
                               &num_requested);
    });
    int64_t sum = 0;
    int64_t num_fitting = 0;
    for (int64_t ray = 0; ray < num_rays; ++ray) {
      RF_CHECK(offsets[ray] == num_fitting);
      sum += counts[ray];
      if (sum <= capacity) num_fitting = sum;
    }
    RF_CHECK(offsets[num_rays] == num_fitting);
    RF_CHECK(num_requested == sum);
  }
}

}  // namespace

int main() {
  for (const float cone_angle : {0.0f, 0.02f}) {
    for (const int32_t max_steps : {40, 64, 1000}) {
      test_variants_are_equal(cone_angle, max_steps, true);
    }
    test_variants_are_equal(cone_angle, 1000, false);
  }
  test_occupied_box_loses_nothing();
  test_capacity_cuts_whole_rays();
  test_scan_carries_over_tiles();
}
