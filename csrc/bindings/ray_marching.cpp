// Schema of march_rays and its CPU side: two passes over the rays with a scan between.
#include <algorithm>
#include <cstring>

#include "bindings/ray_marching_checks.h"
#include "bindings/stable.h"
#include "cpu/ray_marching.h"

STABLE_TORCH_LIBRARY_FRAGMENT(realfusion, m) {
  m.def(
      "march_rays(Tensor origins, Tensor directions, Tensor occupancy, Tensor? noise, "
      "int resolution, float bound, float step_size, int max_steps_per_ray, "
      "float cone_angle, float near, int? capacity, bool pad_to_capacity) "
      "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
}

namespace realfusion {
namespace {

constexpr int64_t kRaysPerTask = 64;

struct ScanResult {
  int64_t num_requested;
  int64_t num_fitting;
};

// Exclusive scan of the counts. From the first ray that does not fit the capacity on,
// all rays are left without samples.
ScanResult scan_counts(const int32_t* counts, int64_t num_rays,
                       std::optional<int64_t> capacity, int64_t* ray_offsets) {
  ScanResult result{0, 0};
  ray_offsets[0] = 0;
  for (int64_t ray = 0; ray < num_rays; ++ray) {
    result.num_requested += counts[ray];
    if (!capacity.has_value() || result.num_requested <= *capacity) {
      result.num_fitting = result.num_requested;
    }
    ray_offsets[ray + 1] = result.num_fitting;
  }
  return result;
}

// Zeros behind the samples that belong to rays.
void clear_rows(const Tensor& tensor, int64_t first_byte, int64_t num_bytes) {
  std::memset(static_cast<char*>(tensor.mutable_data_ptr()) + first_byte, 0,
              static_cast<size_t>(num_bytes));
}

MarchResult march_rays_cpu(const Tensor& origins, const Tensor& directions,
                           const Tensor& occupancy, std::optional<Tensor> noise,
                           int64_t resolution, double bound, double step_size,
                           int64_t max_steps_per_ray, double cone_angle, double near,
                           std::optional<int64_t> capacity, bool pad_to_capacity) {
  const MarchSettings settings =
      check_march(origins, directions, occupancy, noise,
                  {resolution, bound, step_size, max_steps_per_ray, cone_angle, near,
                   capacity, pad_to_capacity});
  const cpu::MarchKernels kernels = cpu::march_kernels(simd_level());
  const int64_t num_rays = origins.size(0);
  const cpu::MarchRays rays{
      origins.const_data_ptr<float>(), directions.const_data_ptr<float>(),
      noise.has_value() ? noise->const_data_ptr<float>() : nullptr};
  const auto int32 = std::make_optional(ScalarType::Int);
  const auto int64 = std::make_optional(ScalarType::Long);

  Tensor masks = torch::stable::new_empty(
      origins, {num_rays, cpu::march_mask_words(settings)}, int32);
  Tensor counts = torch::stable::new_empty(origins, {num_rays}, int32);
  auto* mask_data = static_cast<uint32_t*>(masks.mutable_data_ptr());
  int32_t* count_data = counts.mutable_data_ptr<int32_t>();
  const uint8_t* occupancy_data = occupancy.const_data_ptr<uint8_t>();
  torch::stable::parallel_for(0, num_rays, kRaysPerTask,
                              [&](int64_t begin, int64_t end) {
                                kernels.count(settings, rays, occupancy_data, mask_data,
                                              count_data, begin, end);
                              });

  Tensor ray_offsets = torch::stable::new_empty(origins, {num_rays + 1}, int64);
  int64_t* offset_data = ray_offsets.mutable_data_ptr<int64_t>();
  const ScanResult scan = scan_counts(count_data, num_rays, capacity, offset_data);
  Tensor num_requested = torch::stable::new_empty(origins, {}, int64);
  *num_requested.mutable_data_ptr<int64_t>() = scan.num_requested;

  const int64_t num_samples = pad_to_capacity ? *capacity : scan.num_fitting;
  Tensor positions = torch::stable::new_empty(origins, {num_samples, 3});
  Tensor t = torch::stable::new_empty(origins, {num_samples});
  Tensor deltas = torch::stable::new_empty(origins, {num_samples});
  Tensor ray_indices = torch::stable::new_empty(origins, {num_samples}, int32);
  const int64_t num_padded = num_samples - scan.num_fitting;
  if (num_padded > 0) {
    clear_rows(positions, 12 * scan.num_fitting, 12 * num_padded);
    for (const Tensor& tensor : {t, deltas, ray_indices}) {
      clear_rows(tensor, 4 * scan.num_fitting, 4 * num_padded);
    }
  }
  const cpu::MarchSamples samples{
      positions.mutable_data_ptr<float>(), t.mutable_data_ptr<float>(),
      deltas.mutable_data_ptr<float>(), ray_indices.mutable_data_ptr<int32_t>()};
  torch::stable::parallel_for(
      0, num_rays, kRaysPerTask, [&](int64_t begin, int64_t end) {
        kernels.emit(settings, rays, mask_data, offset_data, samples, begin, end);
      });
  return {positions, t, deltas, ray_indices, ray_offsets, num_requested};
}

}  // namespace
}  // namespace realfusion

STABLE_TORCH_LIBRARY_IMPL(realfusion, CPU, m) {
  m.impl("march_rays", TORCH_BOX(&realfusion::march_rays_cpu));
}
