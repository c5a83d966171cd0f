// CUDA side of composite: checks, allocation, launches.
#include "cuda/compositing.cuh"

#include "bindings/compositing_checks.h"
#include "cuda/launch.cuh"

namespace realfusion::cuda {
namespace {

using torch::stable::new_empty;
using torch::stable::new_zeros;

CompositeSamples make_samples(const CompositeSizes& sizes, const Tensor& channels,
                              const Tensor& t, const Tensor& deltas,
                              const Tensor& ray_offsets,
                              const std::optional<Tensor>& directions) {
  return {channels.const_data_ptr<float>(),
          t.const_data_ptr<float>(),
          deltas.const_data_ptr<float>(),
          ray_offsets.const_data_ptr<int64_t>(),
          directions ? directions->const_data_ptr<float>() : nullptr,
          sizes.num_rays,
          sizes.num_samples,
          sizes.num_channels};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> composite(
    const Tensor& densities, const Tensor& channels, const Tensor& t,
    const Tensor& deltas, const Tensor& ray_offsets,
    const std::optional<Tensor>& directions, double early_stop_transmittance) {
  const char* op = "composite";
  check_dtype(op, "channels", channels, ScalarType::Float);
  const CompositeSizes sizes =
      check_composite(op, channels, t, deltas, ray_offsets, directions);
  check_tensor(op, "densities", densities, {sizes.num_samples}, ScalarType::Float);
  check_device(op, "densities", densities, "channels", channels);
  const DeviceGuard guard(channels.get_device_index());
  Tensor values = new_zeros(channels, {sizes.num_rays, sizes.num_channels});
  Tensor transmittance = new_empty(channels, {sizes.num_rays});
  Tensor depth = new_empty(channels, {sizes.num_rays});
  Tensor back_facing = new_empty(channels, {sizes.num_facing});
  Tensor weights = new_zeros(channels, {sizes.num_samples});
  if (sizes.num_rays > 0) {
    const unsigned blocks = num_blocks(32 * sizes.num_rays, kCompositeBlock);
    composite_kernel<<<blocks, kCompositeBlock, 0, current_stream(channels)>>>(
        make_samples(sizes, channels, t, deltas, ray_offsets, directions),
        densities.const_data_ptr<float>(), static_cast<float>(early_stop_transmittance),
        values.mutable_data_ptr<float>(), transmittance.mutable_data_ptr<float>(),
        depth.mutable_data_ptr<float>(), back_facing.mutable_data_ptr<float>(),
        weights.mutable_data_ptr<float>());
    REALFUSION_CUDA_LAUNCH_CHECK();
  }
  return {values, transmittance, depth, back_facing, weights};
}

std::tuple<Tensor, Tensor> composite_backward(
    const Tensor& grad_values, const Tensor& grad_transmittance,
    const Tensor& grad_depth, const Tensor& grad_back_facing, const Tensor& channels,
    const Tensor& t, const Tensor& deltas, const Tensor& ray_offsets,
    const std::optional<Tensor>& directions, const Tensor& weights,
    const Tensor& transmittance, double early_stop_transmittance) {
  const char* op = "composite_backward";
  check_dtype(op, "channels", channels, ScalarType::Float);
  const CompositeSizes sizes =
      check_composite(op, channels, t, deltas, ray_offsets, directions);
  check_tensor(op, "grad_values", grad_values, {sizes.num_rays, sizes.num_channels},
               ScalarType::Float);
  check_tensor(op, "grad_transmittance", grad_transmittance, {sizes.num_rays},
               ScalarType::Float);
  check_tensor(op, "grad_depth", grad_depth, {sizes.num_rays}, ScalarType::Float);
  check_tensor(op, "grad_back_facing", grad_back_facing, {sizes.num_facing},
               ScalarType::Float);
  check_tensor(op, "weights", weights, {sizes.num_samples}, ScalarType::Float);
  check_tensor(op, "transmittance", transmittance, {sizes.num_rays}, ScalarType::Float);
  check_device(op, "grad_values", grad_values, "channels", channels);
  check_device(op, "grad_transmittance", grad_transmittance, "channels", channels);
  check_device(op, "grad_depth", grad_depth, "channels", channels);
  check_device(op, "grad_back_facing", grad_back_facing, "channels", channels);
  check_device(op, "weights", weights, "channels", channels);
  check_device(op, "transmittance", transmittance, "channels", channels);
  const DeviceGuard guard(channels.get_device_index());
  Tensor grad_densities = new_zeros(channels, {sizes.num_samples});
  Tensor grad_channels = new_zeros(channels, {sizes.num_samples, sizes.num_channels});
  if (sizes.num_rays > 0) {
    const CompositeUpstream upstream{grad_values.const_data_ptr<float>(),
                                     grad_transmittance.const_data_ptr<float>(),
                                     grad_depth.const_data_ptr<float>(),
                                     grad_back_facing.const_data_ptr<float>(),
                                     transmittance.const_data_ptr<float>(),
                                     weights.const_data_ptr<float>()};
    const unsigned blocks = num_blocks(32 * sizes.num_rays, kCompositeBlock);
    composite_backward_kernel<<<blocks, kCompositeBlock, 0, current_stream(channels)>>>(
        make_samples(sizes, channels, t, deltas, ray_offsets, directions), upstream,
        static_cast<float>(early_stop_transmittance),
        grad_densities.mutable_data_ptr<float>(),
        grad_channels.mutable_data_ptr<float>());
    REALFUSION_CUDA_LAUNCH_CHECK();
  }
  return {grad_densities, grad_channels};
}

}  // namespace
}  // namespace realfusion::cuda

STABLE_TORCH_LIBRARY_IMPL(realfusion, CUDA, m) {
  m.impl("composite", TORCH_BOX(&realfusion::cuda::composite));
  m.impl("composite_backward", TORCH_BOX(&realfusion::cuda::composite_backward));
}
