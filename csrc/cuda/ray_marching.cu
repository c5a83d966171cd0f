// CUDA side of march_rays: count, scan, emit on the current stream.
#include "cuda/ray_marching.cuh"

#include "cuda/launch.cuh"
#include "cuda/packed_samples.h"

namespace realfusion::cuda {
namespace {

PackedSamples march_rays(const Tensor& origins, const Tensor& directions,
                         const Tensor& occupancy, std::optional<Tensor> noise,
                         int64_t resolution, double bound, double step_size,
                         int64_t max_steps_per_ray, double cone_angle, double near,
                         std::optional<int64_t> capacity, bool pad_to_capacity) {
  const MarchSettings settings =
      check_march(origins, directions, occupancy, noise,
                  {resolution, bound, step_size, max_steps_per_ray, cone_angle, near,
                   capacity, pad_to_capacity});
  const DeviceGuard guard(origins.get_device_index());
  const cudaStream_t stream = current_stream(origins);
  const int64_t num_rays = origins.size(0);
  const MarchRays rays{
      origins.const_data_ptr<float>(), directions.const_data_ptr<float>(),
      noise.has_value() ? noise->const_data_ptr<float>() : nullptr, num_rays};
  const uint8_t* bits = occupancy.const_data_ptr<uint8_t>();
  const auto int32 = std::make_optional(ScalarType::Int);

  Tensor counts = torch::stable::new_empty(origins, {num_rays}, int32);
  if (num_rays > 0) {
    march_count_kernel<<<num_blocks(32 * num_rays, kMarchBlock), kMarchBlock, 0,
                         stream>>>(settings, rays, bits,
                                   counts.mutable_data_ptr<int32_t>());
    REALFUSION_CUDA_LAUNCH_CHECK();
  }
  PackedSamples packed =
      allocate_packed_samples(origins, counts, capacity, pad_to_capacity);
  const SampleRows samples = sample_rows(packed);
  if (num_rays > 0 && std::get<0>(packed).size(0) > 0) {
    march_emit_kernel<<<num_blocks(32 * num_rays, kMarchBlock), kMarchBlock, 0,
                        stream>>>(
        settings, rays, bits, std::get<4>(packed).const_data_ptr<int64_t>(), samples);
    REALFUSION_CUDA_LAUNCH_CHECK();
  }
  return packed;
}

}  // namespace
}  // namespace realfusion::cuda

STABLE_TORCH_LIBRARY_IMPL(realfusion, CUDA, m) {
  m.impl("march_rays", TORCH_BOX(&realfusion::cuda::march_rays));
}
