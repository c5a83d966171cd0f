// Packed samples of many rays on the CPU: offsets from counts, and the rows they need.
#pragma once

#include <cstring>

#include "bindings/ray_marching_checks.h"
#include "cpu/ray_marching.h"

namespace realfusion {

// Zeros behind the samples that belong to rays.
inline void clear_rows(const Tensor& tensor, int64_t first_byte, int64_t num_bytes) {
  std::memset(static_cast<char*>(tensor.mutable_data_ptr()) + first_byte, 0,
              static_cast<size_t>(num_bytes));
}

// Room for the samples that the rays have counted, with an exclusive scan of the counts
// as their offsets. From the first ray that does not fit the capacity on, all rays are
// left without samples. `like` gives the device; the rows are still to be written,
// except for the padding.
inline PackedSamples allocate_packed_samples(const Tensor& like, const int32_t* counts,
                                             int64_t num_rays,
                                             std::optional<int64_t> capacity,
                                             bool pad_to_capacity) {
  const auto int32 = std::make_optional(ScalarType::Int);
  const auto int64 = std::make_optional(ScalarType::Long);
  Tensor ray_offsets = torch::stable::new_empty(like, {num_rays + 1}, int64);
  int64_t* offsets = ray_offsets.mutable_data_ptr<int64_t>();
  int64_t num_wanted = 0;
  int64_t num_fitting = 0;
  offsets[0] = 0;
  for (int64_t ray = 0; ray < num_rays; ++ray) {
    num_wanted += counts[ray];
    if (!capacity.has_value() || num_wanted <= *capacity) num_fitting = num_wanted;
    offsets[ray + 1] = num_fitting;
  }
  Tensor num_requested = torch::stable::new_empty(like, {}, int64);
  *num_requested.mutable_data_ptr<int64_t>() = num_wanted;

  const int64_t num_samples = pad_to_capacity ? *capacity : num_fitting;
  Tensor positions = torch::stable::new_empty(like, {num_samples, 3});
  Tensor t = torch::stable::new_empty(like, {num_samples});
  Tensor deltas = torch::stable::new_empty(like, {num_samples});
  Tensor ray_indices = torch::stable::new_empty(like, {num_samples}, int32);
  const int64_t num_padded = num_samples - num_fitting;
  if (num_padded > 0) {
    clear_rows(positions, 12 * num_fitting, 12 * num_padded);
    for (const Tensor& tensor : {t, deltas, ray_indices}) {
      clear_rows(tensor, 4 * num_fitting, 4 * num_padded);
    }
  }
  return {positions, t, deltas, ray_indices, ray_offsets, num_requested};
}

inline cpu::MarchSamples sample_rows(const PackedSamples& samples) {
  const auto& [positions, t, deltas, ray_indices, ray_offsets, num_requested] = samples;
  return {positions.mutable_data_ptr<float>(), t.mutable_data_ptr<float>(),
          deltas.mutable_data_ptr<float>(), ray_indices.mutable_data_ptr<int32_t>()};
}

}  // namespace realfusion
