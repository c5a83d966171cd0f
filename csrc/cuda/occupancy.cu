// CUDA side of the occupancy operators: checks, allocation, launches.
#include "cuda/occupancy.cuh"

#include "bindings/occupancy_checks.h"
#include "cuda/launch.cuh"

namespace realfusion::cuda {
namespace {

Tensor morton_encode_op(const Tensor& coords) {
  check_tensor("morton_encode", "coords", coords, {kAny, 3}, ScalarType::Int);
  const DeviceGuard guard(coords.get_device_index());
  const int64_t count = coords.size(0);
  Tensor cells =
      torch::stable::new_empty(coords, {count}, std::make_optional(ScalarType::Long));
  if (count == 0) return cells;
  morton_encode_kernel<<<num_blocks(count, kOccupancyBlock), kOccupancyBlock, 0,
                         current_stream(coords)>>>(
      coords.const_data_ptr<int32_t>(), cells.mutable_data_ptr<int64_t>(), count);
  REALFUSION_CUDA_LAUNCH_CHECK();
  return cells;
}

Tensor morton_decode_op(const Tensor& cells) {
  check_tensor("morton_decode", "cells", cells, {kAny}, ScalarType::Long);
  const DeviceGuard guard(cells.get_device_index());
  const int64_t count = cells.size(0);
  Tensor coords =
      torch::stable::new_empty(cells, {count, 3}, std::make_optional(ScalarType::Int));
  if (count == 0) return coords;
  morton_decode_kernel<<<num_blocks(count, kOccupancyBlock), kOccupancyBlock, 0,
                         current_stream(cells)>>>(
      cells.const_data_ptr<int64_t>(), coords.mutable_data_ptr<int32_t>(), count);
  REALFUSION_CUDA_LAUNCH_CHECK();
  return coords;
}

Tensor occupancy_cell_points_op(const Tensor& cells, const Tensor& noise,
                                int64_t resolution, double bound) {
  check_cell_points(cells, noise, resolution, bound);
  const DeviceGuard guard(cells.get_device_index());
  const int64_t count = cells.size(0);
  Tensor points = torch::stable::new_empty(noise, noise.sizes());
  if (count == 0) return points;
  const auto half_size = static_cast<float>(bound);
  const float cell_size = 2.0f * half_size / static_cast<float>(resolution);
  cell_points_kernel<<<num_blocks(count, kOccupancyBlock), kOccupancyBlock, 0,
                       current_stream(cells)>>>(
      cells.const_data_ptr<int64_t>(), noise.const_data_ptr<float>(), cell_size,
      half_size, points.mutable_data_ptr<float>(), count);
  REALFUSION_CUDA_LAUNCH_CHECK();
  return points;
}

void update_occupancy_op(Tensor density_ema, const Tensor& cells,
                         const Tensor& densities, double decay) {
  check_update_occupancy(density_ema, cells, densities, decay);
  const DeviceGuard guard(density_ema.get_device_index());
  const int64_t count = cells.size(0);
  if (count == 0) return;
  const unsigned blocks = num_blocks(count, kOccupancyBlock);
  const cudaStream_t stream = current_stream(density_ema);
  const int64_t* cell_data = cells.const_data_ptr<int64_t>();
  float* ema_data = density_ema.mutable_data_ptr<float>();
  raise_visited_kernel<<<blocks, kOccupancyBlock, 0, stream>>>(
      cell_data, densities.const_data_ptr<float>(), static_cast<float>(decay), ema_data,
      count, density_ema.size(0));
  REALFUSION_CUDA_LAUNCH_CHECK();
  unmark_visited_kernel<<<blocks, kOccupancyBlock, 0, stream>>>(cell_data, ema_data,
                                                                count);
  REALFUSION_CUDA_LAUNCH_CHECK();
}

Tensor pack_occupancy_op(const Tensor& density_ema, const Tensor& threshold) {
  check_pack_occupancy(density_ema, threshold);
  const DeviceGuard guard(density_ema.get_device_index());
  const int64_t num_bytes = density_ema.size(0) / 8;
  Tensor bits = torch::stable::new_empty(density_ema, {num_bytes},
                                         std::make_optional(ScalarType::Byte));
  if (num_bytes == 0) return bits;
  pack_kernel<<<num_blocks(num_bytes, kOccupancyBlock), kOccupancyBlock, 0,
                current_stream(density_ema)>>>(
      density_ema.const_data_ptr<float>(), threshold.const_data_ptr<float>(),
      bits.mutable_data_ptr<uint8_t>(), num_bytes);
  REALFUSION_CUDA_LAUNCH_CHECK();
  return bits;
}

Tensor sample_occupied_cells_op(const Tensor& given_bits, const Tensor& uniforms) {
  check_sample_occupied_cells(given_bits, uniforms);
  const DeviceGuard guard(uniforms.get_device_index());
  const int64_t count = uniforms.size(0);
  Tensor cells =
      torch::stable::new_empty(uniforms, {count}, std::make_optional(ScalarType::Long));
  if (count == 0) return cells;
  const Tensor bits = aligned(given_bits);
  const int64_t num_words = bits.numel() / 8;
  const unsigned word_blocks = num_blocks(num_words, kOccupancyBlock);
  const auto make_ranks = [&](int64_t size) {
    return torch::stable::new_empty(bits, {size}, std::make_optional(ScalarType::Int));
  };
  Tensor word_ranks = make_ranks(num_words);
  Tensor block_counts = make_ranks(word_blocks);
  Tensor block_ranks = make_ranks(int64_t{word_blocks} + 1);
  const auto* words = static_cast<const unsigned long long*>(bits.const_data_ptr());
  const cudaStream_t stream = current_stream(bits);
  rank_words_kernel<<<word_blocks, kOccupancyBlock, 0, stream>>>(
      words, num_words, word_ranks.mutable_data_ptr<int32_t>(),
      block_counts.mutable_data_ptr<int32_t>());
  REALFUSION_CUDA_LAUNCH_CHECK();
  rank_blocks_kernel<<<1, kRankBlock, 0, stream>>>(
      block_counts.const_data_ptr<int32_t>(), word_blocks,
      block_ranks.mutable_data_ptr<int32_t>());
  REALFUSION_CUDA_LAUNCH_CHECK();
  const OccupiedRanks ranks{words, word_ranks.const_data_ptr<int32_t>(),
                            block_ranks.const_data_ptr<int32_t>(), num_words,
                            word_blocks};
  draw_cells_kernel<<<num_blocks(count, kOccupancyBlock), kOccupancyBlock, 0, stream>>>(
      ranks, uniforms.const_data_ptr<float>(), cells.mutable_data_ptr<int64_t>(),
      count);
  REALFUSION_CUDA_LAUNCH_CHECK();
  return cells;
}

}  // namespace
}  // namespace realfusion::cuda

STABLE_TORCH_LIBRARY_IMPL(realfusion, CUDA, m) {
  m.impl("morton_encode", TORCH_BOX(&realfusion::cuda::morton_encode_op));
  m.impl("morton_decode", TORCH_BOX(&realfusion::cuda::morton_decode_op));
  m.impl("occupancy_cell_points",
         TORCH_BOX(&realfusion::cuda::occupancy_cell_points_op));
  m.impl("update_occupancy_", TORCH_BOX(&realfusion::cuda::update_occupancy_op));
  m.impl("pack_occupancy", TORCH_BOX(&realfusion::cuda::pack_occupancy_op));
  m.impl("sample_occupied_cells",
         TORCH_BOX(&realfusion::cuda::sample_occupied_cells_op));
}
