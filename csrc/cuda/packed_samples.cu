// Offsets from counts, and the rows they need.
#include "cuda/packed_samples.cuh"

#include <limits>

#include "cuda/launch.cuh"
#include "cuda/packed_samples.h"

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

}  // namespace

PackedSamples allocate_packed_samples(const Tensor& like, const Tensor& counts,
                                      std::optional<int64_t> capacity,
                                      bool pad_to_capacity) {
  const cudaStream_t stream = current_stream(like);
  const int64_t num_rays = counts.size(0);
  const auto int64 = std::make_optional(ScalarType::Long);
  Tensor ray_offsets = torch::stable::new_empty(like, {num_rays + 1}, int64);
  Tensor num_requested = torch::stable::new_empty(like, {}, int64);
  scan_counts_kernel<<<1, kScanBlock, 0, stream>>>(
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
    return pad_to_capacity ? torch::stable::new_zeros(like, sizes, type)
                           : torch::stable::new_empty(like, sizes, type);
  };
  return {make({num_samples, 3}, ScalarType::Float),
          make({num_samples}, ScalarType::Float),
          make({num_samples}, ScalarType::Float),
          make({num_samples}, ScalarType::Int),
          ray_offsets,
          num_requested};
}

SampleRows sample_rows(const PackedSamples& samples) {
  const auto& [positions, t, deltas, ray_indices, ray_offsets, num_requested] = samples;
  return {positions.mutable_data_ptr<float>(), t.mutable_data_ptr<float>(),
          deltas.mutable_data_ptr<float>(), ray_indices.mutable_data_ptr<int32_t>()};
}

}  // namespace realfusion::cuda
