// CUDA side of the radiance field's backward: checks, allocation, launches.
#include "cuda/fixed_point_scatter.h"
#include "cuda/radiance_field_backward_pass.cuh"
#include "cuda/radiance_field_sums.cuh"

namespace realfusion::cuda {
namespace {

using torch::stable::new_empty;
using torch::stable::new_zeros;

// The network's gradients, one tensor, as tensors of their own.
FieldNetworkResult split_gradients(const Tensor& buffer, const FieldArguments& field) {
  int64_t next = 0;
  const auto take = [&](std::initializer_list<int64_t> shape) {
    int64_t count = 1;
    for (const int64_t length : shape) count *= length;
    Tensor part = torch::stable::narrow(const_cast<Tensor&>(buffer), 0, next, count);
    next += count;
    return torch::stable::clone(
        torch::stable::reshape(part, std::vector<int64_t>(shape)));
  };
  const int64_t width = field.hidden_width;
  Tensor w1 = take({width, field.num_inputs});
  Tensor b1 = take({width});
  Tensor w2 = take({width, width});
  Tensor b2 = take({width});
  Tensor w3 = take({kFieldOutputs, width});
  Tensor b3 = take({kFieldOutputs});
  return {w1, b1, w2, b2, w3, b3};
}

const float* pointer_or_null(const std::optional<Tensor>& tensor) {
  return tensor.has_value() ? tensor->const_data_ptr<float>() : nullptr;
}

// Adds to `grad_table`; returns the blocks' gradients of the network.
Tensor scatter_backward(const BackwardPass& pass, Tensor& grad_table,
                        bool is_deterministic) {
  const FieldPrecision chosen = choose_precision(
      pass.field, pass.tile_floats(field_precision()), grad_table.get_device_index());
  const auto launch = [&](const auto& sums) {
    return dispatch_precision(chosen, [&](auto precision) {
      return launch_backward<precision()>(pass, sums);
    });
  };
  if (!is_deterministic) {
    return launch(FloatTable{grad_table.mutable_data_ptr<float>()});
  }
  FixedPointScatter fixed_point(grad_table, pass.call.num_samples);
  launch(fixed_point.either_pass(true));
  Tensor block_gradients = launch(fixed_point.either_pass(false));
  fixed_point.add_to(grad_table);
  return block_gradients;
}

Tensor sum_blocks(const Tensor& block_gradients) {
  const int64_t size = block_gradients.size(1);
  Tensor sums = new_empty(block_gradients, {size});
  field_sum_blocks_kernel<<<num_blocks(size, kSumColumns), kSumColumns * kSumParts, 0,
                            current_stream(block_gradients)>>>(
      block_gradients.const_data_ptr<float>(),
      static_cast<int>(block_gradients.size(0)), size, sums.mutable_data_ptr<float>());
  REALFUSION_CUDA_LAUNCH_CHECK();
  return sums;
}

FieldNetworkResult radiance_field_backward_(
    Tensor grad_table, std::optional<Tensor> grad_densities,
    std::optional<Tensor> grad_albedo, std::optional<Tensor> grad_normals,
    const Tensor& densities, const Tensor& albedo, const Tensor& gradients,
    const Tensor& masks, REALFUSION_FIELD_PARAMETERS, bool is_deterministic) {
  const char* op = "radiance_field_backward_";
  const FieldArguments field = check_field(op, REALFUSION_FIELD_ARGUMENTS);
  check_dtype(op, "positions", positions, ScalarType::Float);
  check_field_backward(op, positions, grad_densities, grad_albedo, grad_normals,
                       densities, albedo, gradients, masks);
  check_grad_table(op, grad_table, table);
  const DeviceGuard guard(positions.get_device_index());
  const Tensor aligned_table = aligned(table);
  const int64_t width = field.hidden_width;
  const int64_t size = width * (field.num_inputs + 1) + width * (width + 1) +
                       kFieldOutputs * (width + 1);
  if (positions.size(0) == 0) return split_gradients(new_zeros(table, {size}), field);
  // Read only: the forward wrote them.
  FieldArrays saved{};
  saved.densities = const_cast<float*>(densities.const_data_ptr<float>());
  saved.albedo = const_cast<float*>(albedo.const_data_ptr<float>());
  saved.gradients = const_cast<float*>(gradients.const_data_ptr<float>());
  saved.masks = reinterpret_cast<unsigned long long*>(
      const_cast<int64_t*>(masks.const_data_ptr<int64_t>()));
  const FieldUpstreamArrays upstreams{pointer_or_null(grad_densities),
                                      pointer_or_null(grad_albedo),
                                      pointer_or_null(grad_normals)};
  const FieldCall call = make_call(field, field_network<float>(w1, b1, w2, b2, w3, b3),
                                   positions, aligned_table);
  const BackwardPass pass{op, field, aligned_table, call, saved, upstreams, size};
  const Tensor block_gradients = scatter_backward(pass, grad_table, is_deterministic);
  return split_gradients(sum_blocks(block_gradients), field);
}

FieldBackwardResult radiance_field_backward(
    std::optional<Tensor> grad_densities, std::optional<Tensor> grad_albedo,
    std::optional<Tensor> grad_normals, const Tensor& densities, const Tensor& albedo,
    const Tensor& gradients, const Tensor& masks, REALFUSION_FIELD_PARAMETERS,
    bool is_deterministic) {
  const Tensor grad_table = new_zeros(table, table.sizes());
  return std::tuple_cat(
      std::make_tuple(grad_table),
      radiance_field_backward_(grad_table, grad_densities, grad_albedo, grad_normals,
                               densities, albedo, gradients, masks,
                               REALFUSION_FIELD_ARGUMENTS, is_deterministic));
}

}  // namespace
}  // namespace realfusion::cuda

STABLE_TORCH_LIBRARY_IMPL(realfusion, CUDA, m) {
  m.impl("radiance_field_backward",
         TORCH_BOX(&realfusion::cuda::radiance_field_backward));
  m.impl("radiance_field_backward_",
         TORCH_BOX(&realfusion::cuda::radiance_field_backward_));
}
