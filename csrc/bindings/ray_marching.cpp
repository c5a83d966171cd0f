// Schema of march_rays and its CPU side: two passes over the rays with a scan between.
#include "cpu/ray_marching.h"
#include "bindings/packed_samples.h"
#include "bindings/ray_marching_checks.h"
#include "bindings/stable.h"

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

PackedSamples march_rays_cpu(const Tensor& origins, const Tensor& directions,
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

  Tensor masks = torch::stable::new_empty(
      origins, {num_rays, cpu::march_mask_words(settings)}, int32);
  Tensor counts = torch::stable::new_empty(origins, {num_rays}, int32);
  auto* mask_data = static_cast<uint32_t*>(masks.mutable_data_ptr());
  int32_t* count_data = counts.mutable_data_ptr<int32_t>();
  const uint8_t* occupancy_data = occupancy.const_data_ptr<uint8_t>();
  const cpu::OccupiedBox box =
      cpu::find_occupied_box(occupancy_data, resolution, settings.bound);
  torch::stable::parallel_for(0, num_rays, kRaysPerTask,
                              [&](int64_t begin, int64_t end) {
                                kernels.count(settings, rays, occupancy_data, box,
                                              mask_data, count_data, begin, end);
                              });

  PackedSamples packed =
      allocate_packed_samples(origins, count_data, num_rays, capacity, pad_to_capacity);
  const cpu::MarchSamples samples = sample_rows(packed);
  const int64_t* offset_data = std::get<4>(packed).const_data_ptr<int64_t>();
  torch::stable::parallel_for(
      0, num_rays, kRaysPerTask, [&](int64_t begin, int64_t end) {
        kernels.emit(settings, rays, mask_data, offset_data, samples, begin, end);
      });
  return packed;
}

}  // namespace
}  // namespace realfusion

STABLE_TORCH_LIBRARY_IMPL(realfusion, CPU, m) {
  m.impl("march_rays", TORCH_BOX(&realfusion::march_rays_cpu));
}
