// CUDA side of visible_samples: densities of all samples, then count, scan and copy on
// the current stream.
#include "cuda/visible_samples.cuh"

#include "bindings/visible_samples_checks.h"
#include "cuda/launch.cuh"
#include "cuda/packed_samples.h"
#include "cuda/radiance_field.h"

namespace realfusion::cuda {
namespace {

PackedSamples visible_samples(REALFUSION_FIELD_PARAMETERS, const Tensor& t,
                              const Tensor& deltas, const Tensor& ray_indices,
                              const Tensor& ray_offsets, double min_transmittance,
                              std::optional<int64_t> capacity, bool pad_to_capacity) {
  const char* op = "visible_samples";
  check_tensor(op, "positions", positions, {kAny, 3}, ScalarType::Float);
  check_visible_samples(op, positions, t, deltas, ray_indices, ray_offsets, capacity,
                        pad_to_capacity);
  const DeviceGuard guard(positions.get_device_index());
  const cudaStream_t stream = current_stream(positions);
  const Tensor densities =
      std::get<0>(radiance_field(REALFUSION_FIELD_ARGUMENTS, false));
  const int64_t num_rays = ray_offsets.size(0) - 1;
  const VisibleRays rays{deltas.const_data_ptr<float>(),
                         ray_offsets.const_data_ptr<int64_t>(), num_rays,
                         positions.size(0)};
  Tensor counts = torch::stable::new_empty(positions, {num_rays},
                                           std::make_optional(ScalarType::Int));
  if (num_rays > 0) {
    visible_count_kernel<<<num_blocks(32 * num_rays, kVisibleBlock), kVisibleBlock, 0,
                           stream>>>(rays, densities.const_data_ptr<float>(),
                                     static_cast<float>(min_transmittance),
                                     counts.mutable_data_ptr<int32_t>());
    REALFUSION_CUDA_LAUNCH_CHECK();
  }
  PackedSamples packed =
      allocate_packed_samples(positions, counts, capacity, pad_to_capacity);
  if (num_rays > 0 && std::get<0>(packed).size(0) > 0) {
    // The kernels' type serves for reading too.
    const SampleRows from{const_cast<float*>(positions.const_data_ptr<float>()),
                          const_cast<float*>(t.const_data_ptr<float>()),
                          const_cast<float*>(deltas.const_data_ptr<float>()),
                          const_cast<int32_t*>(ray_indices.const_data_ptr<int32_t>())};
    keep_leading_kernel<<<num_blocks(32 * num_rays, kVisibleBlock), kVisibleBlock, 0,
                          stream>>>(
        rays, from, std::get<4>(packed).const_data_ptr<int64_t>(), sample_rows(packed));
    REALFUSION_CUDA_LAUNCH_CHECK();
  }
  return packed;
}

}  // namespace
}  // namespace realfusion::cuda

STABLE_TORCH_LIBRARY_IMPL(realfusion, CUDA, m) {
  m.impl("visible_samples", TORCH_BOX(&realfusion::cuda::visible_samples));
}
