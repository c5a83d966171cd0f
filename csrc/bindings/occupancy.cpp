// Schemas of the occupancy operators and their CPU side.
#include "cpu/occupancy.h"

#include <algorithm>
#include <numeric>

#include "bindings/occupancy_checks.h"
#include "bindings/stable.h"

STABLE_TORCH_LIBRARY_FRAGMENT(realfusion, m) {
  m.def("morton_encode(Tensor coords) -> Tensor");
  m.def("morton_decode(Tensor cells) -> Tensor");
  m.def(
      "occupancy_cell_points(Tensor cells, Tensor noise, int resolution, float bound) "
      "-> Tensor");
  m.def(
      "update_occupancy_(Tensor(a!) density_ema, Tensor cells, Tensor densities, "
      "float decay) -> ()");
  m.def("pack_occupancy(Tensor density_ema, Tensor threshold) -> Tensor");
  m.def("sample_occupied_cells(Tensor bits, Tensor uniforms) -> Tensor");
}

namespace realfusion {
namespace {

constexpr int64_t kItemsPerTask = 16384;

// The first item outside 0..limit - 1, or -1.
template <class T>
int64_t find_out_of_range(const T* values, int64_t count, int64_t limit) {
  for (int64_t i = 0; i < count; ++i) {
    if (values[i] < 0 || values[i] >= limit) return i;
  }
  return -1;
}

template <class T>
void check_range(const char* op, const char* name, const Tensor& tensor,
                 int64_t limit) {
  const T* values = tensor.const_data_ptr<T>();
  const int64_t bad = find_out_of_range(values, tensor.numel(), limit);
  REALFUSION_CHECK(bad < 0, op, ": `", name, "` must be in 0..", limit - 1, ", got ",
                   values[bad < 0 ? 0 : bad]);
}

Tensor morton_encode_cpu(const Tensor& coords) {
  const char* op = "morton_encode";
  check_tensor(op, "coords", coords, {kAny, 3}, ScalarType::Int);
  check_range<int32_t>(op, "coords", coords, kMaxOccupancyResolution);
  Tensor cells = torch::stable::new_empty(coords, {coords.size(0)},
                                          std::make_optional(ScalarType::Long));
  const int32_t* in = coords.const_data_ptr<int32_t>();
  int64_t* out = cells.mutable_data_ptr<int64_t>();
  torch::stable::parallel_for(0, coords.size(0), kItemsPerTask,
                              [&](int64_t begin, int64_t end) {
                                cpu::morton_encode_range(in, out, begin, end);
                              });
  return cells;
}

Tensor morton_decode_cpu(const Tensor& cells) {
  const char* op = "morton_decode";
  check_tensor(op, "cells", cells, {kAny}, ScalarType::Long);
  check_range<int64_t>(op, "cells", cells, int64_t{1} << 30);
  Tensor coords = torch::stable::new_empty(cells, {cells.size(0), 3},
                                           std::make_optional(ScalarType::Int));
  const int64_t* in = cells.const_data_ptr<int64_t>();
  int32_t* out = coords.mutable_data_ptr<int32_t>();
  torch::stable::parallel_for(0, cells.size(0), kItemsPerTask,
                              [&](int64_t begin, int64_t end) {
                                cpu::morton_decode_range(in, out, begin, end);
                              });
  return coords;
}

Tensor occupancy_cell_points_cpu(const Tensor& cells, const Tensor& noise,
                                 int64_t resolution, double bound) {
  check_cell_points(cells, noise, resolution, bound);
  check_range<int64_t>("occupancy_cell_points", "cells", cells,
                       resolution * resolution * resolution);
  Tensor points = torch::stable::new_empty(noise, noise.sizes());
  const int64_t* cell_data = cells.const_data_ptr<int64_t>();
  const float* noise_data = noise.const_data_ptr<float>();
  float* out = points.mutable_data_ptr<float>();
  const auto half_size = static_cast<float>(bound);
  const float cell_size = 2.0f * half_size / static_cast<float>(resolution);
  torch::stable::parallel_for(0, cells.size(0), kItemsPerTask,
                              [&](int64_t begin, int64_t end) {
                                cpu::cell_points_range(cell_data, noise_data, cell_size,
                                                       half_size, out, begin, end);
                              });
  return points;
}

void update_occupancy_cpu(Tensor density_ema, const Tensor& cells,
                          const Tensor& densities, double decay) {
  check_update_occupancy(density_ema, cells, densities, decay);
  check_range<int64_t>("update_occupancy_", "cells", cells, density_ema.size(0));
  Tensor decayed = torch::stable::empty_like(densities);
  const int64_t* cell_data = cells.const_data_ptr<int64_t>();
  const float* density_data = densities.const_data_ptr<float>();
  float* decayed_data = decayed.mutable_data_ptr<float>();
  float* ema_data = density_ema.mutable_data_ptr<float>();
  const auto factor = static_cast<float>(decay);
  const auto parallel = [&](const auto& body) {
    torch::stable::parallel_for(0, cells.size(0), kItemsPerTask, body);
  };
  parallel([&](int64_t begin, int64_t end) {
    cpu::decay_range(ema_data, cell_data, factor, decayed_data, begin, end);
  });
  parallel([&](int64_t begin, int64_t end) {
    cpu::store_decayed_range(decayed_data, cell_data, ema_data, begin, end);
  });
  parallel([&](int64_t begin, int64_t end) {
    cpu::raise_range(density_data, cell_data, ema_data, begin, end);
  });
}

Tensor pack_occupancy_cpu(const Tensor& density_ema, const Tensor& threshold) {
  check_pack_occupancy(density_ema, threshold);
  const int64_t num_bytes = density_ema.size(0) / 8;
  Tensor bits = torch::stable::new_empty(density_ema, {num_bytes},
                                         std::make_optional(ScalarType::Byte));
  const float* in = density_ema.const_data_ptr<float>();
  const float limit = *threshold.const_data_ptr<float>();
  uint8_t* out = bits.mutable_data_ptr<uint8_t>();
  torch::stable::parallel_for(
      0, num_bytes, kItemsPerTask,
      [&](int64_t begin, int64_t end) { cpu::pack_range(in, limit, out, begin, end); });
  return bits;
}

// Lists the occupied cells, a part of the bits a task, and draws from the list.
Tensor sample_occupied_cells_cpu(const Tensor& bits, const Tensor& uniforms) {
  check_sample_occupied_cells(bits, uniforms);
  constexpr int64_t kWordsPerTask = 4096;
  const uint8_t* in = bits.const_data_ptr<uint8_t>();
  const int64_t num_words = bits.numel() / 8;
  const int64_t num_tasks = (num_words + kWordsPerTask - 1) / kWordsPerTask;
  std::vector<int64_t> starts(static_cast<size_t>(num_tasks) + 1, 0);
  const auto for_tasks = [&](const auto& body) {
    torch::stable::parallel_for(0, num_tasks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        body(task, task * kWordsPerTask,
             std::min((task + 1) * kWordsPerTask, num_words));
      }
    });
  };
  for_tasks([&](int64_t task, int64_t begin, int64_t end) {
    starts[task + 1] = cpu::count_occupied_range(in, begin, end);
  });
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  Tensor occupied = torch::stable::new_empty(bits, {starts.back()},
                                             std::make_optional(ScalarType::Int));
  int32_t* listed = occupied.mutable_data_ptr<int32_t>();
  for_tasks([&](int64_t task, int64_t begin, int64_t end) {
    cpu::list_occupied_range(in, listed + starts[task], begin, end);
  });
  Tensor cells = torch::stable::new_empty(uniforms, uniforms.sizes(),
                                          std::make_optional(ScalarType::Long));
  const float* draws = uniforms.const_data_ptr<float>();
  int64_t* out = cells.mutable_data_ptr<int64_t>();
  torch::stable::parallel_for(0, uniforms.size(0), kItemsPerTask,
                              [&](int64_t begin, int64_t end) {
                                cpu::draw_cells_range(draws, listed, starts.back(),
                                                      64 * num_words, out, begin, end);
                              });
  return cells;
}

}  // namespace
}  // namespace realfusion

STABLE_TORCH_LIBRARY_IMPL(realfusion, CPU, m) {
  m.impl("morton_encode", TORCH_BOX(&realfusion::morton_encode_cpu));
  m.impl("morton_decode", TORCH_BOX(&realfusion::morton_decode_cpu));
  m.impl("occupancy_cell_points", TORCH_BOX(&realfusion::occupancy_cell_points_cpu));
  m.impl("update_occupancy_", TORCH_BOX(&realfusion::update_occupancy_cpu));
  m.impl("pack_occupancy", TORCH_BOX(&realfusion::pack_occupancy_cpu));
  m.impl("sample_occupied_cells", TORCH_BOX(&realfusion::sample_occupied_cells_cpu));
}
