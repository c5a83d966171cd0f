// How the radiance field's kernels are launched: precision, shared memory, blocks, and
// from the network's shape to the kernel's template arguments.
#pragma once

#include <algorithm>
#include <type_traits>

#include "cuda/launch.cuh"
#include "cuda/radiance_field.h"
#include "cuda/radiance_field_tile.cuh"

namespace realfusion::cuda {

inline int device_attribute(cudaDeviceAttr attribute, int device) {
  int value = 0;
  REALFUSION_CUDA_CHECK(cudaDeviceGetAttribute(&value, attribute, device));
  return value;
}

inline int64_t shared_limit(int device) {
  return device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
}

// Bytes of `tile_floats` and, packed, the network.
inline int64_t shared_bytes(const FieldArguments& field, int64_t tile_floats) {
  const int64_t packed =
      packed_floats(static_cast<int>(field.hidden_width), padded_inputs(field.grid));
  return (tile_floats + packed) * int64_t{sizeof(float)};
}

// The process's precision, as far as the device has it and shared memory has room for
// the network; else float32, which can leave the network outside.
inline FieldPrecision choose_precision(const FieldArguments& field, int64_t tile_floats,
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

// Calls `function` with hidden width and normals as compile-time constants.
template <class Function>
void dispatch_width(const FieldArguments& field, bool with_normals,
                    const Function& function) {
  const auto with_width = [&](auto width) {
    if (with_normals) {
      function(width, std::true_type{});
    } else {
      function(width, std::false_type{});
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

// Calls `function` with the precision as a compile-time constant.
template <class Function>
auto dispatch_precision(FieldPrecision precision, const Function& function) {
  using enum FieldPrecision;
  switch (precision) {
    case float32:
      return function(std::integral_constant<FieldPrecision, float32>{});
    case tf32:
      return function(std::integral_constant<FieldPrecision, tf32>{});
    default:
      return function(std::integral_constant<FieldPrecision, bfloat16>{});
  }
}

inline FieldCall make_call(const FieldArguments& field,
                           const FieldNetwork<float>& network, const Tensor& positions,
                           const Tensor& table) {
  return {
      field.grid,
      make_field_settings<float>(field.bound, field.blob_density, field.blob_radius),
      network,
      nullptr,
      table.const_data_ptr<float>(),
      positions.const_data_ptr<float>(),
      positions.size(0)};
}

}  // namespace realfusion::cuda
