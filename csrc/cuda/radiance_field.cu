// CUDA side of the radiance field: checks, allocation, launches.
#include "cuda/radiance_field_backward.cuh"
#include "cuda/radiance_field_forward.cuh"

#include <algorithm>
#include <type_traits>

#include "cuda/fixed_point_scatter.h"
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

int64_t shared_limit(int device) {
  return device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
}

// Bytes of `tile_floats` and, packed, the network.
int64_t shared_bytes(const FieldArguments& field, int64_t tile_floats) {
  const int64_t packed =
      packed_floats(static_cast<int>(field.hidden_width), padded_inputs(field.grid));
  return (tile_floats + packed) * int64_t{sizeof(float)};
}

// The process's precision, as far as the device has it and shared memory has room for
// the network; else float32, which can leave the network outside.
FieldPrecision choose_precision(const FieldArguments& field, int64_t tile_floats,
                                int device) {
  const bool has_tensor_cores =
      device_attribute(cudaDevAttrComputeCapabilityMajor, device) >= 8;
  const bool has_room = shared_bytes(field, tile_floats) <= shared_limit(device);
  return has_tensor_cores && has_room ? field_precision() : FieldPrecision::float32;
}

// How a kernel is launched. A network too large for shared memory is packed in
// `packed`, which must live until the launch.
struct FieldLaunch {
  int shared_bytes;
  unsigned blocks;
  std::optional<Tensor> packed;
};

// Persistent blocks: as many as the device holds at once, or one a tile.
template <class Kernel>
unsigned count_blocks(Kernel* kernel, int block_size, int shared_bytes, int device,
                      int64_t num_tiles) {
  REALFUSION_CUDA_CHECK(cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
  int resident = 0;
  REALFUSION_CUDA_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
      &resident, kernel, block_size, shared_bytes));
  const int64_t processors = device_attribute(cudaDevAttrMultiProcessorCount, device);
  return static_cast<unsigned>(
      std::min(num_tiles, std::max<int64_t>(1, resident) * processors));
}

template <int H, class Kernel>
FieldLaunch plan_launch(const char* op, const FieldArguments& field, FieldCall& call,
                        Kernel* kernel, const Tensor& table, int tile,
                        int64_t tile_floats) {
  const int device = table.get_device_index();
  const int64_t limit = shared_limit(device);
  FieldLaunch launch{};
  int64_t bytes = shared_bytes(field, tile_floats);
  if (bytes > limit) {
    bytes = tile_floats * int64_t{sizeof(float)};
    REALFUSION_CHECK(
        bytes <= limit, op, ": `num_active_levels` must be few enough for ", limit,
        " bytes of shared memory a block, got ", field.grid.num_active_levels,
        " levels of ", field.grid.num_features, " features, which take ", bytes);
    launch.packed = new_empty(table, {packed_floats(H, padded_inputs(field.grid))});
    float* packed = launch.packed->mutable_data_ptr<float>();
    field_pack_kernel<H><<<1, 256, 0, current_stream(table)>>>(call, packed);
    REALFUSION_CUDA_LAUNCH_CHECK();
    call.packed = packed;
  }
  launch.shared_bytes = static_cast<int>(bytes);
  launch.blocks = count_blocks(kernel, 2 * tile, launch.shared_bytes, device,
                               (call.num_samples + tile - 1) / tile);
  return launch;
}

template <FieldPrecision P>
using PrecisionConstant = std::integral_constant<FieldPrecision, P>;

// Calls `function` with precision, hidden width and normals as compile-time constants.
template <class Function>
void dispatch_field(FieldPrecision chosen, const FieldArguments& field,
                    bool with_normals, const Function& function) {
  const auto with_width = [&](auto precision, auto width) {
    if (with_normals) {
      function(precision, width, std::true_type{});
    } else {
      function(precision, width, std::false_type{});
    }
  };
  const auto with_precision = [&](auto precision) {
    switch (field.hidden_width) {
      case 16:
        return with_width(precision, std::integral_constant<int, 16>{});
      case 32:
        return with_width(precision, std::integral_constant<int, 32>{});
      default:
        return with_width(precision, std::integral_constant<int, 64>{});
    }
  };
  switch (chosen) {
    case FieldPrecision::float32:
      return with_precision(PrecisionConstant<FieldPrecision::float32>{});
    case FieldPrecision::tf32:
      return with_precision(PrecisionConstant<FieldPrecision::tf32>{});
    case FieldPrecision::bfloat16:
      return with_precision(PrecisionConstant<FieldPrecision::bfloat16>{});
  }
}

FieldCall make_call(const FieldArguments& field, const FieldNetwork<float>& network,
                    const Tensor& positions, const Tensor& table) {
  return {
      field.grid,
      make_field_settings<float>(field.bound, field.blob_density, field.blob_radius),
      network,
      nullptr,
      table.const_data_ptr<float>(),
      positions.const_data_ptr<float>(),
      positions.size(0)};
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
  FieldCall call =
      make_call(field, field_network<float>(w1, b1, w2, b2, w3, b3), positions, table);
  const int64_t tile_floats = forward_shared_floats(
      static_cast<int>(field.hidden_width), padded_inputs(field.grid));
  const auto run = [&](auto precision, auto width, auto normal) {
    const auto kernel = field_forward_kernel<precision(), width(), normal()>;
    const FieldLaunch launch =
        plan_launch<width()>(op, field, call, kernel, table, kForwardTile, tile_floats);
    kernel<<<launch.blocks, kFieldBlock<kForwardTile>, launch.shared_bytes,
             current_stream(positions)>>>(call, arrays);
    REALFUSION_CUDA_LAUNCH_CHECK();
  };
  dispatch_field(choose_precision(field, tile_floats, positions.get_device_index()),
                 field, with_normals, run);
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

// A backward pass over all samples, but for the table's gradients.
struct BackwardPass {
  const char* op;
  const FieldArguments& field;
  const Tensor& table;
  const FieldCall& call;
  FieldArrays saved;
  FieldUpstreamArrays upstreams;
  int64_t network_size;

  // Returns the blocks' gradients of the network, [blocks, network_size].
  template <class GradTable>
  Tensor launch(const GradTable& grad_table) const {
    Tensor block_gradients;
    const bool with_normals = upstreams.normals != nullptr;
    const auto tile_floats = [&](FieldPrecision precision) {
      return backward_shared_floats(precision, static_cast<int>(field.hidden_width),
                                    padded_inputs(field.grid), with_normals);
    };
    const auto run = [&](auto precision, auto width, auto normal) {
      constexpr int kTile = kBackwardTile<precision(), width()>;
      const auto kernel =
          field_backward_kernel<precision(), width(), normal(), GradTable>;
      FieldCall own_call = call;
      const FieldLaunch plan = plan_launch<width()>(op, field, own_call, kernel, table,
                                                    kTile, tile_floats(precision()));
      block_gradients = new_zeros(table, {int64_t{plan.blocks}, network_size});
      kernel<<<plan.blocks, kFieldBlock<kTile>, plan.shared_bytes,
               current_stream(table)>>>(own_call, saved, upstreams,
                                        block_gradients.mutable_data_ptr<float>(),
                                        grad_table);
      REALFUSION_CUDA_LAUNCH_CHECK();
    };
    dispatch_field(choose_precision(field, tile_floats(field_precision()),
                                    table.get_device_index()),
                   field, with_normals, run);
    return block_gradients;
  }
};

// Fills in `grad_table`, zeroed; returns the blocks' gradients of the network.
Tensor scatter_backward(const BackwardPass& pass, Tensor& grad_table,
                        bool is_deterministic) {
  if (!is_deterministic) {
    return pass.launch(FloatTable{grad_table.mutable_data_ptr<float>()});
  }
  FixedPointScatter fixed_point(grad_table, pass.call.num_samples);
  pass.launch(fixed_point.either_pass(true));
  Tensor block_gradients = pass.launch(fixed_point.either_pass(false));
  fixed_point.write(grad_table);
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

FieldBackwardResult radiance_field_backward(
    std::optional<Tensor> grad_densities, std::optional<Tensor> grad_albedo,
    std::optional<Tensor> grad_normals, const Tensor& densities, const Tensor& albedo,
    const Tensor& gradients, const Tensor& masks, const Tensor& positions,
    const Tensor& given_table, const Tensor& w1, const Tensor& b1, const Tensor& w2,
    const Tensor& b2, const Tensor& w3, const Tensor& b3, std::vector<double> scales,
    std::vector<int64_t> resolutions, std::vector<int64_t> offsets,
    int64_t num_features, int64_t num_active_levels, bool is_tiled, bool is_smoothstep,
    double bound, double blob_density, double blob_radius, bool is_deterministic) {
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
  const int64_t width = field.hidden_width;
  const int64_t size = width * (field.num_inputs + 1) + width * (width + 1) +
                       kFieldOutputs * (width + 1);
  Tensor grad_table = new_zeros(table, table.sizes());
  if (positions.size(0) == 0) {
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
  const FieldCall call =
      make_call(field, field_network<float>(w1, b1, w2, b2, w3, b3), positions, table);
  const BackwardPass pass{op, field, table, call, saved, upstreams, size};
  const Tensor block_gradients = scatter_backward(pass, grad_table, is_deterministic);
  return split_gradients(sum_blocks(block_gradients), grad_table, field);
}

}  // namespace
}  // namespace realfusion::cuda

STABLE_TORCH_LIBRARY_IMPL(realfusion, CUDA, m) {
  m.impl("radiance_field", TORCH_BOX(&realfusion::cuda::radiance_field));
  m.impl("radiance_field_backward",
         TORCH_BOX(&realfusion::cuda::radiance_field_backward));
}
