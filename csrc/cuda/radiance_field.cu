// CUDA side of the radiance field: checks, allocation, launches.
#include "cuda/radiance_field_backward.cuh"
#include "cuda/radiance_field_forward.cuh"

#include <algorithm>
#include <type_traits>

#include "cuda/launch.cuh"
#include "cuda/radiance_field.h"

namespace realfusion::cuda {
namespace {

using torch::stable::new_empty;
using torch::stable::new_zeros;

int device_attribute(cudaDeviceAttr attribute, int device) {
  int value = 0;
  REALFUSION_CUDA_CHECK(cudaDeviceGetAttribute(&value, attribute, device));
  return value;
}

// How a kernel is launched: with the weights in shared memory where there is room.
struct FieldLaunch {
  bool weights_in_shared;
  int shared_bytes;
  unsigned blocks;
};

FieldLaunch plan_launch(const char* op, const FieldArguments& field,
                        int64_t num_samples, int device, bool is_backward,
                        bool with_normals) {
  const auto shared_bytes = [&](bool weights_in_shared) {
    return static_cast<int64_t>(sizeof(float)) *
           field_shared_floats(static_cast<int>(field.hidden_width),
                               static_cast<int>(field.num_inputs), is_backward,
                               with_normals, weights_in_shared);
  };
  const int64_t reserved = 4096;  // static shared memory, and what the driver keeps
  const int64_t limit =
      device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device) - reserved;
  FieldLaunch launch{};
  launch.weights_in_shared = shared_bytes(true) <= limit;
  const int64_t bytes = shared_bytes(launch.weights_in_shared);
  REALFUSION_CHECK(bytes <= limit, op, ": `w1` must have few enough inputs for ", limit,
                   " bytes of shared memory a block, got ", field.num_inputs,
                   " inputs, which take ", bytes);
  launch.shared_bytes = static_cast<int>(bytes);
  const int64_t tiles = (num_samples + kFieldTile - 1) / kFieldTile;
  const int64_t resident =
      int64_t{4} * device_attribute(cudaDevAttrMultiProcessorCount, device);
  launch.blocks = static_cast<unsigned>(std::min(tiles, resident));
  return launch;
}

// Kernels may use more than 48 KiB of shared memory only when told so.
template <class Kernel>
void allow_shared_memory(Kernel* kernel, int bytes) {
  REALFUSION_CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
}

// Calls `function` with hidden width, features and normals as compile-time constants.
template <class Function>
void dispatch_field(const FieldArguments& field, bool with_normals,
                    const Function& function) {
  const auto with_width = [&](auto width) {
    const auto with_features = [&](auto features) {
      if (with_normals) {
        function(width, features, std::true_type{});
      } else {
        function(width, features, std::false_type{});
      }
    };
    switch (field.grid.num_features) {
      case 1:
        return with_features(std::integral_constant<int, 1>{});
      case 2:
        return with_features(std::integral_constant<int, 2>{});
      case 4:
        return with_features(std::integral_constant<int, 4>{});
      default:
        return with_features(std::integral_constant<int, 8>{});
    }
  };
  switch (field.hidden_width) {
    case 16:
      return with_width(std::integral_constant<int, 16>{});
    case 32:
      return with_width(std::integral_constant<int, 32>{});
    default:
      return with_width(std::integral_constant<int, 64>{});
  }
}

FieldCall make_call(const FieldArguments& field, const FieldNetwork<float>& network,
                    const Tensor& positions, const Tensor& table,
                    bool weights_in_shared) {
  return {
      field.grid,
      make_field_settings<float>(field.bound, field.blob_density, field.blob_radius),
      network,
      table.const_data_ptr<float>(),
      positions.const_data_ptr<float>(),
      positions.size(0),
      weights_in_shared};
}

}  // namespace

FieldForwardResult radiance_field(const Tensor& positions, const Tensor& given_table,
                                  const Tensor& w1, const Tensor& b1, const Tensor& w2,
                                  const Tensor& b2, const Tensor& w3, const Tensor& b3,
                                  std::vector<double> scales,
                                  std::vector<int64_t> resolutions,
                                  std::vector<int64_t> offsets, int64_t num_features,
                                  int64_t num_active_levels, bool is_tiled,
                                  bool is_smoothstep, double bound, double blob_density,
                                  double blob_radius, bool with_normals) {
  const char* op = "radiance_field";
  const FieldArguments field =
      check_field(op, positions, given_table, w1, b1, w2, b2, w3, b3, scales,
                  resolutions, offsets, num_features, num_active_levels, is_tiled,
                  is_smoothstep, bound, blob_density, blob_radius);
  check_dtype(op, "positions", positions, ScalarType::Float);
  const DeviceGuard guard(positions.get_device_index());
  const Tensor table = aligned(given_table);
  FieldForwardResult result = allocate_field_outputs(positions, with_normals);
  const int64_t num_samples = positions.size(0);
  if (num_samples == 0) return result;
  auto& [densities, albedo, normals, gradients, masks] = result;
  FieldArrays arrays{};
  arrays.densities = densities.mutable_data_ptr<float>();
  arrays.albedo = albedo.mutable_data_ptr<float>();
  arrays.masks =
      reinterpret_cast<unsigned long long*>(masks.mutable_data_ptr<int64_t>());
  if (with_normals) {
    arrays.normals = normals.mutable_data_ptr<float>();
    arrays.gradients = gradients.mutable_data_ptr<float>();
  }
  const FieldLaunch launch = plan_launch(
      op, field, num_samples, positions.get_device_index(), false, with_normals);
  const FieldCall call = make_call(field, field_network<float>(w1, b1, w2, b2, w3, b3),
                                   positions, table, launch.weights_in_shared);
  dispatch_field(field, with_normals, [&](auto width, auto features, auto normal) {
    const auto kernel = field_forward_kernel<width(), features(), normal()>;
    allow_shared_memory(kernel, launch.shared_bytes);
    kernel<<<launch.blocks, kFieldBlock, launch.shared_bytes,
             current_stream(positions)>>>(call, arrays);
    REALFUSION_CUDA_LAUNCH_CHECK();
  });
  return result;
}

namespace {

// The network's gradients, one tensor, as tensors of their own.
FieldBackwardResult split_gradients(const Tensor& buffer, const Tensor& grad_table,
                                    const FieldArguments& field) {
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
  return {grad_table, w1, b1, w2, b2, w3, b3};
}

const float* pointer_or_null(const std::optional<Tensor>& tensor) {
  return tensor.has_value() ? tensor->const_data_ptr<float>() : nullptr;
}

FieldBackwardResult radiance_field_backward(
    std::optional<Tensor> grad_densities, std::optional<Tensor> grad_albedo,
    std::optional<Tensor> grad_normals, const Tensor& densities, const Tensor& albedo,
    const Tensor& gradients, const Tensor& masks, const Tensor& positions,
    const Tensor& given_table, const Tensor& w1, const Tensor& b1, const Tensor& w2,
    const Tensor& b2, const Tensor& w3, const Tensor& b3, std::vector<double> scales,
    std::vector<int64_t> resolutions, std::vector<int64_t> offsets,
    int64_t num_features, int64_t num_active_levels, bool is_tiled, bool is_smoothstep,
    double bound, double blob_density, double blob_radius) {
  const char* op = "radiance_field_backward";
  const FieldArguments field =
      check_field(op, positions, given_table, w1, b1, w2, b2, w3, b3, scales,
                  resolutions, offsets, num_features, num_active_levels, is_tiled,
                  is_smoothstep, bound, blob_density, blob_radius);
  check_dtype(op, "positions", positions, ScalarType::Float);
  check_field_backward(op, positions, grad_densities, grad_albedo, grad_normals,
                       densities, albedo, gradients, masks);
  const DeviceGuard guard(positions.get_device_index());
  const Tensor table = aligned(given_table);
  const bool with_normals = grad_normals.has_value();
  const int64_t num_samples = positions.size(0);
  const int64_t width = field.hidden_width;
  const int64_t size = width * (field.num_inputs + 1) + width * (width + 1) +
                       kFieldOutputs * (width + 1);
  Tensor grad_table = new_zeros(table, table.sizes());
  if (num_samples == 0) {
    return split_gradients(new_zeros(table, {size}), grad_table, field);
  }
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
  const FieldLaunch launch = plan_launch(
      op, field, num_samples, positions.get_device_index(), true, with_normals);
  const FieldCall call = make_call(field, field_network<float>(w1, b1, w2, b2, w3, b3),
                                   positions, table, launch.weights_in_shared);
  Tensor block_gradients = new_zeros(table, {int64_t{launch.blocks}, size});
  Tensor network_gradients = new_empty(table, {size});
  const cudaStream_t stream = current_stream(positions);
  dispatch_field(field, with_normals, [&](auto hidden, auto features, auto normal) {
    const auto kernel = field_backward_kernel<hidden(), features(), normal()>;
    allow_shared_memory(kernel, launch.shared_bytes);
    kernel<<<launch.blocks, kFieldBlock, launch.shared_bytes, stream>>>(
        call, saved, upstreams, block_gradients.mutable_data_ptr<float>(),
        grad_table.mutable_data_ptr<float>());
    REALFUSION_CUDA_LAUNCH_CHECK();
  });
  field_sum_blocks_kernel<<<num_blocks(size, kFieldBlock), kFieldBlock, 0, stream>>>(
      block_gradients.const_data_ptr<float>(), static_cast<int>(launch.blocks), size,
      network_gradients.mutable_data_ptr<float>());
  REALFUSION_CUDA_LAUNCH_CHECK();
  return split_gradients(network_gradients, grad_table, field);
}

}  // namespace
}  // namespace realfusion::cuda

STABLE_TORCH_LIBRARY_IMPL(realfusion, CUDA, m) {
  m.impl("radiance_field", TORCH_BOX(&realfusion::cuda::radiance_field));
  m.impl("radiance_field_backward",
         TORCH_BOX(&realfusion::cuda::radiance_field_backward));
}
