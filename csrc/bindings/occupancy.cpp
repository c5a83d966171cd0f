// Schemas of the occupancy operators and their CPU side.
#include "cpu/occupancy.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <utility>

#include "bindings/huge_pages.h"
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

template <class T>
void check_range(const char* op, const char* name, const Tensor& tensor,
                 int64_t limit) {
  const T* values = tensor.const_data_ptr<T>();
  std::atomic<int64_t> bad = -1;  // the place of a value out of range
  torch::stable::parallel_for(
      0, tensor.numel(), kItemsPerTask, [&](int64_t begin, int64_t end) {
        bool is_inside = true;  // no early exit: the loop is one of vectors
        for (int64_t i = begin; i < end; ++i) {
          is_inside &= values[i] >= 0 && values[i] < limit;
        }
        if (is_inside) return;
        bad = std::find_if(values + begin, values + end,
                           [&](T value) { return value < 0 || value >= limit; }) -
              values;
      });
  REALFUSION_CHECK(bad < 0, op, ": `", name, "` must be in 0..", limit - 1, ", got ",
                   values[std::max<int64_t>(bad, 0)]);
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

// One update's arguments, checked.
struct OccupancyUpdate {
  const int64_t* cells;
  const float* densities;
  float decay;
  float* density_ema;
  int64_t num_visits;
  int64_t num_cells;
};

// Whether no cell is visited twice, at the sight of it.
bool is_rising(const OccupancyUpdate& update) {
  std::atomic<bool> is_rising = true;
  torch::stable::parallel_for(0, update.num_visits, kItemsPerTask,
                              [&](int64_t begin, int64_t end) {
                                if (!cpu::is_rising_range(update.cells, begin, end))
                                  is_rising = false;
                              });
  return is_rising;
}

// Sorts the visits by bucket, then updates the buckets side by side. `scratch` has 8
// bytes a visit.
void update_by_buckets(const OccupancyUpdate& update, const Tensor& scratch) {
  constexpr int64_t kVisitsPerTask = 32768;
  constexpr size_t kBuckets = cpu::kMaxVisitBuckets;
  int shift = 13;  // 32 KiB of densities: a cache of the first level
  while (((update.num_cells - 1) >> shift) >= cpu::kMaxVisitBuckets) ++shift;
  const int64_t num_tasks = (update.num_visits + kVisitsPerTask - 1) / kVisitsPerTask;
  std::vector<int64_t> places(static_cast<size_t>(num_tasks) * kBuckets, 0);
  auto* visits = static_cast<cpu::CellVisit*>(scratch.mutable_data_ptr());
  const auto for_tasks = [&](const auto& body) {
    torch::stable::parallel_for(0, num_tasks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        body(&places[static_cast<size_t>(task) * kBuckets], task * kVisitsPerTask,
             std::min((task + 1) * kVisitsPerTask, update.num_visits));
      }
    });
  };
  for_tasks([&](int64_t* counts, int64_t begin, int64_t end) {
    cpu::count_visits_range(update.cells, shift, counts, begin, end);
  });
  std::vector<int64_t> starts(kBuckets + 1, 0);
  int64_t next = 0;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    for (size_t row = bucket; row < places.size(); row += kBuckets) {
      next += std::exchange(places[row], next);
    }
    starts[bucket + 1] = next;
  }
  for_tasks([&](int64_t* own_places, int64_t begin, int64_t end) {
    cpu::sort_visits_range(update.cells, update.densities, shift, own_places, visits,
                           begin, end);
  });
  torch::stable::parallel_for(
      0, static_cast<int64_t>(kBuckets), 1, [&](int64_t begin, int64_t end) {
        for (int64_t bucket = begin; bucket < end; ++bucket) {
          cpu::update_visited(visits + starts[bucket],
                              starts[bucket + 1] - starts[bucket], update.decay,
                              update.density_ema);
        }
      });
}

void update_occupancy_cpu(Tensor density_ema, const Tensor& cells,
                          const Tensor& densities, double decay) {
  check_update_occupancy(density_ema, cells, densities, decay);
  check_range<int64_t>("update_occupancy_", "cells", cells, density_ema.size(0));
  const OccupancyUpdate update{cells.const_data_ptr<int64_t>(),
                               densities.const_data_ptr<float>(),
                               static_cast<float>(decay),
                               density_ema.mutable_data_ptr<float>(),
                               cells.size(0),
                               density_ema.size(0)};
  if (is_rising(update)) {
    torch::stable::parallel_for(
        0, update.num_visits, kItemsPerTask, [&](int64_t begin, int64_t end) {
          cpu::update_distinct_range(update.cells, update.densities, update.decay,
                                     update.density_ema, begin, end);
        });
  } else {
    update_by_buckets(update, on_huge_pages(torch::stable::empty_like(cells)));
  }
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
