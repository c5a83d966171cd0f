// Schemas of the hash-grid operators and their CPU side: checks, allocation, threads.
#include "bindings/hash_grid.h"

#include <algorithm>
#include <type_traits>

#include "bindings/huge_pages.h"
#include "cpu/hash_grid.h"

STABLE_TORCH_LIBRARY_FRAGMENT(realfusion, m) {
  m.def(
      "hash_grid_encode(Tensor positions, Tensor table, float[] scales, "
      "int[] resolutions, int[] offsets, int num_features, int num_active_levels, "
      "bool is_tiled, bool is_smoothstep) -> Tensor");
  m.def(
      "hash_grid_encode_backward_table(Tensor grad_features, Tensor positions, "
      "float[] scales, int[] resolutions, int[] offsets, int num_features, "
      "int num_active_levels, bool is_tiled, bool is_smoothstep, "
      "bool is_deterministic=False) -> Tensor");
  m.def(
      "hash_grid_encode_backward_positions(Tensor grad_features, Tensor positions, "
      "Tensor table, float[] scales, int[] resolutions, int[] offsets, "
      "int num_features, int num_active_levels, bool is_tiled, bool is_smoothstep) "
      "-> Tensor");
  m.def(
      "hash_grid_encode_tangent(Tensor directions, Tensor positions, Tensor table, "
      "float[] scales, int[] resolutions, int[] offsets, int num_features, "
      "int num_active_levels, bool is_tiled, bool is_smoothstep) -> Tensor");
  m.def(
      "hash_grid_encode_tangent_backward_table(Tensor grad_tangents, "
      "Tensor directions, Tensor positions, float[] scales, int[] resolutions, "
      "int[] offsets, int num_features, int num_active_levels, bool is_tiled, "
      "bool is_smoothstep, bool is_deterministic=False) -> Tensor");
  m.def(
      "hash_grid_encode_tangent_backward_positions(Tensor grad_tangents, "
      "Tensor directions, Tensor positions, Tensor table, float[] scales, "
      "int[] resolutions, int[] offsets, int num_features, int num_active_levels, "
      "bool is_tiled, bool is_smoothstep) -> Tensor");
}

namespace realfusion {
namespace {

// Rows below which a second thread is not worth its start.
constexpr int64_t kRowsPerTask = 1024;

void check_cpu_dtype(const char* op, const char* name, const Tensor& tensor) {
  const ScalarType dtype = tensor.scalar_type();
  REALFUSION_CHECK(dtype == ScalarType::Float || dtype == ScalarType::Double, op, ": `",
                   name, "` must be float32 or float64 on the CPU, got ",
                   detail::describe_dtype(dtype));
}

template <class T>
cpu::HashGridKernels<T> kernels_for(const HashGrid& grid) {
  if constexpr (std::is_same_v<T, float>) {
    return cpu::hash_grid_kernels_float(simd_level(), grid.num_features);
  } else {
    return cpu::hash_grid_kernels_double(grid.num_features);
  }
}

// Rows of three numbers of the points, in the dtype of `positions`.
void check_points(const char* op, const Tensor& positions) {
  check_cpu_dtype(op, "positions", positions);
  check_tensor(op, "positions", positions, {kAny, 3}, positions.scalar_type());
}

void check_directions(const char* op, const Tensor& directions,
                      const Tensor& positions) {
  check_tensor(op, "directions", directions, {positions.size(0), 3},
               positions.scalar_type());
}

void check_table(const char* op, const Tensor& table, const Tensor& positions,
                 int64_t num_entries, int64_t num_features) {
  check_tensor(op, "table", table, {num_entries, num_features},
               positions.scalar_type());
}

void check_grad(const char* op, const char* name, const Tensor& grad,
                const Tensor& positions, const HashGrid& grid) {
  check_tensor(op, name, grad,
               {positions.size(0), int64_t{grid.num_levels} * grid.num_features},
               positions.scalar_type());
}

// Calls `function` with a number of the dtype of `positions`.
template <class Function>
void dispatch_dtype(const Tensor& positions, const Function& function) {
  if (positions.scalar_type() == ScalarType::Double) {
    function(double{});
  } else {
    function(float{});
  }
}

// Without `directions` the features, with them their derivatives.
template <class T>
void encode(const HashGrid& grid, const Tensor* directions, const Tensor& positions,
            const Tensor& table, const Tensor& features) {
  const auto kernels = kernels_for<T>(grid);
  const T* direction_data = directions ? directions->const_data_ptr<T>() : nullptr;
  const T* position_data = positions.const_data_ptr<T>();
  const T* table_data = table.const_data_ptr<T>();
  T* feature_data = features.mutable_data_ptr<T>();
  torch::stable::parallel_for(
      0, positions.size(0), kRowsPerTask, [&](int64_t begin, int64_t end) {
        if (direction_data == nullptr) {
          kernels.encode(grid, position_data, table_data, feature_data, begin, end);
        } else {
          kernels.tangent(grid, direction_data, position_data, table_data, feature_data,
                          begin, end);
        }
      });
}

// Each thread owns every n-th level, coarse (cheap) and fine (dear) ones alike. One
// level's sums are made by one thread in the order of the points: no atomics, and the
// same bits for any number of threads.
template <class T>
void backward_table(const HashGrid& grid, const Tensor& grad, const Tensor* directions,
                    const Tensor& positions, const Tensor& grad_table) {
  const auto kernels = kernels_for<T>(grid);
  const T* grad_data = grad.const_data_ptr<T>();
  const T* direction_data = directions ? directions->const_data_ptr<T>() : nullptr;
  const T* position_data = positions.const_data_ptr<T>();
  T* table_data = grad_table.mutable_data_ptr<T>();
  const int64_t num_points = positions.size(0);
  const int num_owners = std::min<int>(
      grid.num_levels, std::max<int>(1, torch::stable::get_num_threads()));
  torch::stable::parallel_for(0, num_owners, 1, [&](int64_t begin, int64_t end) {
    for (auto owner = static_cast<int>(begin); owner < end; ++owner) {
      for (int l = owner; l < grid.num_levels; l += num_owners) {
        const HashGridLevel& level = grid.levels[l];
        std::fill_n(table_data + level.offset * grid.num_features,
                    level.size * grid.num_features, T(0));
      }
      if (direction_data == nullptr) {
        kernels.backward_table(grid, owner, num_owners, grad_data, position_data,
                               table_data, num_points);
      } else {
        kernels.tangent_backward_table(grid, owner, num_owners, grad_data,
                                       direction_data, position_data, table_data,
                                       num_points);
      }
    }
  });
}

template <class T>
void backward_positions(const HashGrid& grid, const Tensor& grad,
                        const Tensor* directions, const Tensor& positions,
                        const Tensor& table, const Tensor& grad_positions) {
  const auto kernels = kernels_for<T>(grid);
  const T* grad_data = grad.const_data_ptr<T>();
  const T* direction_data = directions ? directions->const_data_ptr<T>() : nullptr;
  const T* position_data = positions.const_data_ptr<T>();
  const T* table_data = table.const_data_ptr<T>();
  T* out = grad_positions.mutable_data_ptr<T>();
  torch::stable::parallel_for(
      0, positions.size(0), kRowsPerTask, [&](int64_t begin, int64_t end) {
        if (direction_data == nullptr) {
          kernels.backward_positions(grid, grad_data, position_data, table_data, out,
                                     begin, end);
        } else {
          kernels.tangent_backward_positions(grid, grad_data, direction_data,
                                             position_data, table_data, out, begin,
                                             end);
        }
      });
}

Tensor hash_grid_encode_cpu(const Tensor& positions, const Tensor& table,
                            std::vector<double> scales,
                            std::vector<int64_t> resolutions,
                            std::vector<int64_t> offsets, int64_t num_features,
                            int64_t num_active_levels, bool is_tiled,
                            bool is_smoothstep) {
  const char* op = "hash_grid_encode";
  const HashGrid grid = make_hash_grid(op, scales, resolutions, offsets, num_features,
                                       num_active_levels, is_tiled, is_smoothstep);
  check_points(op, positions);
  check_table(op, table, positions, offsets.back(), num_features);
  Tensor features = on_huge_pages(torch::stable::new_empty(
      positions, {positions.size(0), grid.num_levels * num_features}));
  dispatch_dtype(positions, [&](auto number) {
    using T = decltype(number);
    encode<T>(grid, nullptr, positions, table, features);
  });
  return features;
}

// Always deterministic on the CPU: the last argument is for the device's atomics.
Tensor hash_grid_encode_backward_table_cpu(
    const Tensor& grad_features, const Tensor& positions, std::vector<double> scales,
    std::vector<int64_t> resolutions, std::vector<int64_t> offsets,
    int64_t num_features, int64_t num_active_levels, bool is_tiled, bool is_smoothstep,
    bool /*is_deterministic*/) {
  const char* op = "hash_grid_encode_backward_table";
  const HashGrid grid = make_hash_grid(op, scales, resolutions, offsets, num_features,
                                       num_active_levels, is_tiled, is_smoothstep);
  check_points(op, positions);
  check_grad(op, "grad_features", grad_features, positions, grid);
  Tensor grad_table = on_huge_pages(
      torch::stable::new_empty(positions, {offsets.back(), num_features}));
  dispatch_dtype(positions, [&](auto number) {
    using T = decltype(number);
    backward_table<T>(grid, grad_features, nullptr, positions, grad_table);
  });
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
  check_points(op, positions);
  check_table(op, table, positions, offsets.back(), num_features);
  check_grad(op, "grad_features", grad_features, positions, grid);
  Tensor grad_positions = torch::stable::new_empty(positions, positions.sizes());
  dispatch_dtype(positions, [&](auto number) {
    using T = decltype(number);
    backward_positions<T>(grid, grad_features, nullptr, positions, table,
                          grad_positions);
  });
  return grad_positions;
}

Tensor hash_grid_encode_tangent_cpu(const Tensor& directions, const Tensor& positions,
                                    const Tensor& table, std::vector<double> scales,
                                    std::vector<int64_t> resolutions,
                                    std::vector<int64_t> offsets, int64_t num_features,
                                    int64_t num_active_levels, bool is_tiled,
                                    bool is_smoothstep) {
  const char* op = "hash_grid_encode_tangent";
  const HashGrid grid = make_hash_grid(op, scales, resolutions, offsets, num_features,
                                       num_active_levels, is_tiled, is_smoothstep);
  check_points(op, positions);
  check_directions(op, directions, positions);
  check_table(op, table, positions, offsets.back(), num_features);
  Tensor tangents = on_huge_pages(torch::stable::new_empty(
      positions, {positions.size(0), grid.num_levels * num_features}));
  dispatch_dtype(positions, [&](auto number) {
    using T = decltype(number);
    encode<T>(grid, &directions, positions, table, tangents);
  });
  return tangents;
}

Tensor hash_grid_encode_tangent_backward_table_cpu(
    const Tensor& grad_tangents, const Tensor& directions, const Tensor& positions,
    std::vector<double> scales, std::vector<int64_t> resolutions,
    std::vector<int64_t> offsets, int64_t num_features, int64_t num_active_levels,
    bool is_tiled, bool is_smoothstep, bool /*is_deterministic*/) {
  const char* op = "hash_grid_encode_tangent_backward_table";
  const HashGrid grid = make_hash_grid(op, scales, resolutions, offsets, num_features,
                                       num_active_levels, is_tiled, is_smoothstep);
  check_points(op, positions);
  check_directions(op, directions, positions);
  check_grad(op, "grad_tangents", grad_tangents, positions, grid);
  Tensor grad_table = on_huge_pages(
      torch::stable::new_empty(positions, {offsets.back(), num_features}));
  dispatch_dtype(positions, [&](auto number) {
    using T = decltype(number);
    backward_table<T>(grid, grad_tangents, &directions, positions, grad_table);
  });
  return grad_table;
}

Tensor hash_grid_encode_tangent_backward_positions_cpu(
    const Tensor& grad_tangents, const Tensor& directions, const Tensor& positions,
    const Tensor& table, std::vector<double> scales, std::vector<int64_t> resolutions,
    std::vector<int64_t> offsets, int64_t num_features, int64_t num_active_levels,
    bool is_tiled, bool is_smoothstep) {
  const char* op = "hash_grid_encode_tangent_backward_positions";
  const HashGrid grid = make_hash_grid(op, scales, resolutions, offsets, num_features,
                                       num_active_levels, is_tiled, is_smoothstep);
  check_points(op, positions);
  check_directions(op, directions, positions);
  check_table(op, table, positions, offsets.back(), num_features);
  check_grad(op, "grad_tangents", grad_tangents, positions, grid);
  Tensor grad_positions = torch::stable::new_empty(positions, positions.sizes());
  dispatch_dtype(positions, [&](auto number) {
    using T = decltype(number);
    backward_positions<T>(grid, grad_tangents, &directions, positions, table,
                          grad_positions);
  });
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
  m.impl("hash_grid_encode_tangent",
         TORCH_BOX(&realfusion::hash_grid_encode_tangent_cpu));
  m.impl("hash_grid_encode_tangent_backward_table",
         TORCH_BOX(&realfusion::hash_grid_encode_tangent_backward_table_cpu));
  m.impl("hash_grid_encode_tangent_backward_positions",
         TORCH_BOX(&realfusion::hash_grid_encode_tangent_backward_positions_cpu));
}
