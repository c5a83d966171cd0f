// CUDA side of march_rays: count, scan, emit on the current stream.
#include "cuda/ray_marching.cuh"

#include <limits>

#include "bindings/ray_marching_checks.h"
#include "cuda/launch.cuh"

namespace realfusion::cuda {
namespace {

// The last offset, read by the host: the one synchronisation, and only where the
// result is to have exactly as many rows as there are samples.
int64_t read_num_fitting(const int64_t* last_offset, cudaStream_t stream) {
  int64_t num_fitting = 0;
  REALFUSION_CUDA_CHECK(cudaMemcpyAsync(&num_fitting, last_offset, sizeof(num_fitting),
                                        cudaMemcpyDeviceToHost, stream));
  REALFUSION_CUDA_CHECK(cudaStreamSynchronize(stream));
  return num_fitting;
}

MarchResult march_rays(const Tensor& origins, const Tensor& directions,
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
  const auto int64 = std::make_optional(ScalarType::Long);

  Tensor counts = torch::stable::new_empty(origins, {num_rays}, int32);
  Tensor ray_offsets = torch::stable::new_empty(origins, {num_rays + 1}, int64);
  Tensor num_requested = torch::stable::new_empty(origins, {}, int64);
  if (num_rays > 0) {
    march_count_kernel<<<num_blocks(32 * num_rays, kMarchBlock), kMarchBlock, 0,
                         stream>>>(settings, rays, bits,
                                   counts.mutable_data_ptr<int32_t>());
    REALFUSION_CUDA_LAUNCH_CHECK();
  }
  march_scan_kernel<<<1, kScanBlock, 0, stream>>>(
      counts.const_data_ptr<int32_t>(), num_rays,
      capacity.value_or(std::numeric_limits<int64_t>::max()),
      ray_offsets.mutable_data_ptr<int64_t>(),
      num_requested.mutable_data_ptr<int64_t>());
  REALFUSION_CUDA_LAUNCH_CHECK();

  const int64_t num_samples =
      pad_to_capacity
          ? *capacity
          : read_num_fitting(ray_offsets.const_data_ptr<int64_t>() + num_rays, stream);
  // Padding must be zero; without it every row is written.
  const auto make = [&](std::initializer_list<int64_t> sizes, ScalarType dtype) {
    const auto type = std::make_optional(dtype);
    return pad_to_capacity ? torch::stable::new_zeros(origins, sizes, type)
                           : torch::stable::new_empty(origins, sizes, type);
  };
  Tensor positions = make({num_samples, 3}, ScalarType::Float);
  Tensor t = make({num_samples}, ScalarType::Float);
  Tensor deltas = make({num_samples}, ScalarType::Float);
  Tensor ray_indices = make({num_samples}, ScalarType::Int);
  if (num_rays > 0 && num_samples > 0) {
    const MarchSamples samples{
        positions.mutable_data_ptr<float>(), t.mutable_data_ptr<float>(),
        deltas.mutable_data_ptr<float>(), ray_indices.mutable_data_ptr<int32_t>()};
    march_emit_kernel<<<num_blocks(32 * num_rays, kMarchBlock), kMarchBlock, 0,
                        stream>>>(settings, rays, bits,
                                  ray_offsets.const_data_ptr<int64_t>(), samples);
    REALFUSION_CUDA_LAUNCH_CHECK();
  }
  return {positions, t, deltas, ray_indices, ray_offsets, num_requested};
}

}  // namespace
}  // namespace realfusion::cuda

STABLE_TORCH_LIBRARY_IMPL(realfusion, CUDA, m) {
  m.impl("march_rays", TORCH_BOX(&realfusion::cuda::march_rays));
}
