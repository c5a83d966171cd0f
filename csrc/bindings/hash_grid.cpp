// Schemas of the hash-grid operators and their CPU side: checks, allocation, threads.
#include "bindings/hash_grid.h"

#include <algorithm>
#include <atomic>

#include "cpu/hash_grid.h"

STABLE_TORCH_LIBRARY_FRAGMENT(realfusion, m) {
  m.def(
      "hash_grid_encode(Tensor positions, Tensor table, float[] scales, "
      "int[] resolutions, int[] offsets, int num_features, int num_active_levels, "
      "bool is_tiled, bool is_smoothstep) -> Tensor");
  m.def(
      "hash_grid_encode_backward_table(Tensor grad_features, Tensor positions, "
      "float[] scales, int[] resolutions, int[] offsets, int num_features, "
      "int num_active_levels, bool is_tiled, bool is_smoothstep) -> Tensor");
  m.def(
      "hash_grid_encode_backward_positions(Tensor grad_features, Tensor positions, "
      "Tensor table, float[] scales, int[] resolutions, int[] offsets, "
      "int num_features, int num_active_levels, bool is_tiled, bool is_smoothstep) "
      "-> Tensor");
}

namespace realfusion {
namespace {

// Rows below which a second thread is not worth its start.
constexpr int64_t kRowsPerTask = cpu::kHashGridChunk;

void check_cpu_dtype(const char* op, const char* name, const Tensor& tensor) {
  const ScalarType dtype = tensor.scalar_type();
  REALFUSION_CHECK(dtype == ScalarType::Float || dtype == ScalarType::Double, op, ": `",
                   name, "` must be float32 or float64 on the CPU, got ",
                   detail::describe_dtype(dtype));
}

template <class T>
cpu::HashGridKernels<T> kernels();
template <>
cpu::HashGridKernels<float> kernels<float>() {
  return cpu::hash_grid_kernels_float(simd_level());
}
template <>
cpu::HashGridKernels<double> kernels<double>() {
  return cpu::hash_grid_kernels_double();
}

template <class T>
void encode(const HashGrid& grid, const Tensor& positions, const Tensor& table,
            const Tensor& features) {
  const auto run = kernels<T>().encode;
  const T* position_data = positions.const_data_ptr<T>();
  const T* table_data = table.const_data_ptr<T>();
  T* feature_data = features.mutable_data_ptr<T>();
  torch::stable::parallel_for(
      0, positions.size(0), kRowsPerTask, [&](int64_t begin, int64_t end) {
        run(grid, position_data, table_data, feature_data, begin, end);
      });
}

// Threads take whole levels from a queue, the finest (dearest) first. One level's sums
// are made by one thread in the order of the points: no atomics on the table, and the
// same bits for any number of threads.
template <class T>
void backward_table(const HashGrid& grid, const Tensor& grad_features,
                    const Tensor& positions, const Tensor& grad_table) {
  const auto run = kernels<T>().backward_table;
  const T* grad_data = grad_features.const_data_ptr<T>();
  const T* position_data = positions.const_data_ptr<T>();
  T* table_data = grad_table.mutable_data_ptr<T>();
  const int64_t num_points = positions.size(0);
  std::atomic<int> num_taken{0};
  const auto work = [&](int64_t, int64_t) {
    for (int taken = num_taken++; taken < grid.num_levels; taken = num_taken++) {
      const int l = grid.num_levels - 1 - taken;
      const HashGridLevel& level = grid.levels[l];
      std::fill_n(table_data + level.offset * grid.num_features,
                  level.size * grid.num_features, T(0));
      if (l < grid.num_active_levels) {
        run(grid, l, grad_data, position_data, table_data, num_points);
      }
    }
  };
  torch::stable::parallel_for(0, grid.num_levels, 1, work);
}

template <class T>
void backward_positions(const HashGrid& grid, const Tensor& grad_features,
                        const Tensor& positions, const Tensor& table,
                        const Tensor& grad_positions) {
  const auto run = kernels<T>().backward_positions;
  const T* grad_data = grad_features.const_data_ptr<T>();
  const T* position_data = positions.const_data_ptr<T>();
  const T* table_data = table.const_data_ptr<T>();
  T* out = grad_positions.mutable_data_ptr<T>();
  torch::stable::parallel_for(
      0, positions.size(0), kRowsPerTask, [&](int64_t begin, int64_t end) {
        run(grid, grad_data, position_data, table_data, out, begin, end);
      });
}

Tensor hash_grid_encode_cpu(const Tensor& positions, const Tensor& table,
                            std::vector<double> scales, std::vector<int64_t> resolutions,
                            std::vector<int64_t> offsets, int64_t num_features,
                            int64_t num_active_levels, bool is_tiled,
                            bool is_smoothstep) {
  const char* op = "hash_grid_encode";
  const HashGrid grid = make_hash_grid(op, scales, resolutions, offsets, num_features,
                                       num_active_levels, is_tiled, is_smoothstep);
  check_cpu_dtype(op, "positions", positions);
  check_tensor(op, "positions", positions, {kAny, 3}, positions.scalar_type());
  check_tensor(op, "table", table, {offsets.back(), num_features},
               positions.scalar_type());
  Tensor features = torch::stable::new_empty(
      positions, {positions.size(0), grid.num_levels * num_features});
  if (positions.scalar_type() == ScalarType::Double) {
    encode<double>(grid, positions, table, features);
  } else {
    encode<float>(grid, positions, table, features);
  }
  return features;
}

Tensor hash_grid_encode_backward_table_cpu(
    const Tensor& grad_features, const Tensor& positions, std::vector<double> scales,
    std::vector<int64_t> resolutions, std::vector<int64_t> offsets,
    int64_t num_features, int64_t num_active_levels, bool is_tiled,
    bool is_smoothstep) {
  const char* op = "hash_grid_encode_backward_table";
  const HashGrid grid = make_hash_grid(op, scales, resolutions, offsets, num_features,
                                       num_active_levels, is_tiled, is_smoothstep);
  check_cpu_dtype(op, "positions", positions);
  check_tensor(op, "positions", positions, {kAny, 3}, positions.scalar_type());
  check_tensor(op, "grad_features", grad_features,
               {positions.size(0), grid.num_levels * num_features},
               positions.scalar_type());
  Tensor grad_table =
      torch::stable::new_empty(positions, {offsets.back(), num_features});
  if (positions.scalar_type() == ScalarType::Double) {
    backward_table<double>(grid, grad_features, positions, grad_table);
  } else {
    backward_table<float>(grid, grad_features, positions, grad_table);
  }
  return grad_table;
}

Tensor hash_grid_encode_backward_positions_cpu(
    const Tensor& grad_features, const Tensor& positions, const Tensor& table,
    std::vector<double> scales, std::vector<int64_t> resolutions,
    std::vector<int64_t> offsets, int64_t num_features, int64_t num_active_levels,
    bool is_tiled, bool is_smoothstep) {
  const char* op = "hash_grid_encode_backward_positions";
  const HashGrid grid = make_hash_grid(op, scales, resolutions, offsets, num_features,
                                       num_active_levels, is_tiled, is_smoothstep);
  check_cpu_dtype(op, "positions", positions);
  check_tensor(op, "positions", positions, {kAny, 3}, positions.scalar_type());
  check_tensor(op, "table", table, {offsets.back(), num_features},
               positions.scalar_type());
  check_tensor(op, "grad_features", grad_features,
               {positions.size(0), grid.num_levels * num_features},
               positions.scalar_type());
  Tensor grad_positions = torch::stable::new_empty(positions, positions.sizes());
  if (positions.scalar_type() == ScalarType::Double) {
    backward_positions<double>(grid, grad_features, positions, table, grad_positions);
  } else {
    backward_positions<float>(grid, grad_features, positions, table, grad_positions);
  }
  return grad_positions;
}

}  // namespace
}  // namespace realfusion

STABLE_TORCH_LIBRARY_IMPL(realfusion, CPU, m) {
  m.impl("hash_grid_encode", TORCH_BOX(&realfusion::hash_grid_encode_cpu));
  m.impl("hash_grid_encode_backward_table",
         TORCH_BOX(&realfusion::hash_grid_encode_backward_table_cpu));
  m.impl("hash_grid_encode_backward_positions",
         TORCH_BOX(&realfusion::hash_grid_encode_backward_positions_cpu));
}
