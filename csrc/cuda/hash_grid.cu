// CUDA side of the hash-grid operators: checks, allocation, launches.
#include "cuda/hash_grid.cuh"

#include <type_traits>

#include "bindings/hash_grid.h"
#include "cuda/fixed_point_scatter.h"
#include "cuda/launch.cuh"

namespace realfusion::cuda {
namespace {

void check_points(const char* op, const Tensor& positions) {
  check_tensor(op, "positions", positions, {kAny, 3}, ScalarType::Float);
}

void check_table(const char* op, const Tensor& table, const Tensor& positions,
                 int64_t num_entries, int64_t num_features) {
  check_shape(op, "table", table, {num_entries, num_features});
  check_contiguous(op, "table", table);
  check_device(op, "table", table, "positions", positions);
  REALFUSION_CHECK(table.scalar_type() == ScalarType::Float ||
                       table.scalar_type() == ScalarType::Half,
                   op, ": `table` must be float32 or float16, got ",
                   detail::describe_dtype(table.scalar_type()));
}

void check_grad(const char* op, const char* name, const Tensor& grad,
                const Tensor& positions, const HashGrid& grid) {
  check_tensor(op, name, grad,
               {positions.size(0), int64_t{grid.num_levels} * grid.num_features},
               ScalarType::Float);
  check_device(op, name, grad, "positions", positions);
}

void check_directions(const char* op, const Tensor& directions,
                      const Tensor& positions) {
  check_tensor(op, "directions", directions, {positions.size(0), 3}, ScalarType::Float);
  check_device(op, "directions", directions, "positions", positions);
}

// Calls `function` with the number of features as a compile-time constant.
template <class Function>
void dispatch_features(int num_features, const Function& function) {
  switch (num_features) {
    case 1:
      return function(std::integral_constant<int, 1>{});
    case 2:
      return function(std::integral_constant<int, 2>{});
    case 4:
      return function(std::integral_constant<int, 4>{});
    default:
      return function(std::integral_constant<int, 8>{});
  }
}

// As above, and with the table's data in its own type.
template <class Function>
void dispatch_table(const HashGrid& grid, const Tensor& table,
                    const Function& function) {
  dispatch_features(grid.num_features, [&](auto num_features) {
    if (table.scalar_type() == ScalarType::Half) {
      function(num_features, static_cast<const __half*>(table.const_data_ptr()));
    } else {
      function(num_features, table.const_data_ptr<float>());
    }
  });
}

dim3 level_blocks(int64_t num_points, int num_levels) {
  return dim3(num_blocks(num_points, kHashGridBlock),
              static_cast<unsigned>(num_levels));
}

template <bool kIsTangent>
Tensor encode(const HashGrid& grid, const float* directions, const Tensor& positions,
              const Tensor& given_table) {
  const DeviceGuard guard(positions.get_device_index());
  const Tensor table = aligned(given_table);
  const int64_t num_points = positions.size(0);
  Tensor features = torch::stable::new_empty(
      positions, {num_points, int64_t{grid.num_levels} * grid.num_features});
  if (num_points == 0) return features;
  dispatch_table(grid, table, [&](auto constant, const auto* entries) {
    constexpr int F = decltype(constant)::value;
    hash_grid_encode_kernel<F, kIsTangent>
        <<<level_blocks(num_points, grid.num_levels), kHashGridBlock, 0,
           current_stream(positions)>>>(grid, directions,
                                        positions.const_data_ptr<float>(), entries,
                                        features.mutable_data_ptr<float>(), num_points);
  });
  REALFUSION_CUDA_LAUNCH_CHECK();
  return features;
}

// What one scatter into the table takes, but for the table.
template <bool kIsTangent>
struct TableScatter {
  const HashGrid& grid;
  const Tensor& grad;
  const float* directions;
  const Tensor& positions;

  template <class Table>
  void launch(const Table& table) const {
    const int64_t num_points = positions.size(0);
    dispatch_features(grid.num_features, [&](auto constant) {
      constexpr int F = decltype(constant)::value;
      hash_grid_backward_table_kernel<F, kIsTangent>
          <<<level_blocks(num_points, grid.num_active_levels), kHashGridBlock, 0,
             current_stream(positions)>>>(grid, grad.const_data_ptr<float>(),
                                          directions, positions.const_data_ptr<float>(),
                                          table, num_points);
    });
    REALFUSION_CUDA_LAUNCH_CHECK();
  }
};

template <bool kIsTangent>
Tensor backward_table(const HashGrid& grid, const Tensor& given_grad,
                      const float* directions, const Tensor& positions,
                      int64_t num_entries, bool is_deterministic) {
  const DeviceGuard guard(positions.get_device_index());
  const Tensor grad = aligned(given_grad);
  Tensor grad_table =
      torch::stable::new_zeros(positions, {num_entries, int64_t{grid.num_features}});
  if (positions.size(0) == 0 || grid.num_active_levels == 0) return grad_table;
  const TableScatter<kIsTangent> scatter{grid, grad, directions, positions};
  if (is_deterministic) {
    FixedPointScatter fixed_point(grad_table, positions.size(0));
    scatter.launch(fixed_point.first_pass());
    scatter.launch(fixed_point.second_pass());
    fixed_point.add_to(grad_table);
  } else {
    scatter.launch(FloatTable{grad_table.mutable_data_ptr<float>()});
  }
  return grad_table;
}

template <bool kIsTangent>
Tensor backward_positions(const HashGrid& grid, const Tensor& given_grad,
                          const float* directions, const Tensor& positions,
                          const Tensor& given_table) {
  const DeviceGuard guard(positions.get_device_index());
  const Tensor table = aligned(given_table);
  const Tensor grad = aligned(given_grad);
  const int64_t num_points = positions.size(0);
  Tensor grad_positions = torch::stable::new_empty(positions, positions.sizes());
  if (num_points == 0) return grad_positions;
  dispatch_table(grid, table, [&](auto constant, const auto* entries) {
    constexpr int F = decltype(constant)::value;
    hash_grid_backward_positions_kernel<F, kIsTangent>
        <<<num_blocks(num_points, kHashGridBlock), kHashGridBlock, 0,
           current_stream(positions)>>>(grid, grad.const_data_ptr<float>(), directions,
                                        positions.const_data_ptr<float>(), entries,
                                        grad_positions.mutable_data_ptr<float>(),
                                        num_points);
  });
  REALFUSION_CUDA_LAUNCH_CHECK();
  return grad_positions;
}

Tensor hash_grid_encode(const Tensor& positions, const Tensor& table,
                        std::vector<double> scales, std::vector<int64_t> resolutions,
                        std::vector<int64_t> offsets, int64_t num_features,
                        int64_t num_active_levels, bool is_tiled, bool is_smoothstep) {
  const char* op = "hash_grid_encode";
  const HashGrid grid = make_hash_grid(op, scales, resolutions, offsets, num_features,
                                       num_active_levels, is_tiled, is_smoothstep);
  check_points(op, positions);
  check_table(op, table, positions, offsets.back(), num_features);
  return encode<false>(grid, nullptr, positions, table);
}

Tensor hash_grid_encode_backward_table(
    const Tensor& grad_features, const Tensor& positions, std::vector<double> scales,
    std::vector<int64_t> resolutions, std::vector<int64_t> offsets,
    int64_t num_features, int64_t num_active_levels, bool is_tiled, bool is_smoothstep,
    bool is_deterministic) {
  const char* op = "hash_grid_encode_backward_table";
  const HashGrid grid = make_hash_grid(op, scales, resolutions, offsets, num_features,
                                       num_active_levels, is_tiled, is_smoothstep);
  check_points(op, positions);
  check_grad(op, "grad_features", grad_features, positions, grid);
  return backward_table<false>(grid, grad_features, nullptr, positions, offsets.back(),
                               is_deterministic);
}

Tensor hash_grid_encode_backward_positions(
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
  return backward_positions<false>(grid, grad_features, nullptr, positions, table);
}

Tensor hash_grid_encode_tangent(const Tensor& directions, const Tensor& positions,
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
  return encode<true>(grid, directions.const_data_ptr<float>(), positions, table);
}

Tensor hash_grid_encode_tangent_backward_table(
    const Tensor& grad_tangents, const Tensor& directions, const Tensor& positions,
    std::vector<double> scales, std::vector<int64_t> resolutions,
    std::vector<int64_t> offsets, int64_t num_features, int64_t num_active_levels,
    bool is_tiled, bool is_smoothstep, bool is_deterministic) {
  const char* op = "hash_grid_encode_tangent_backward_table";
  const HashGrid grid = make_hash_grid(op, scales, resolutions, offsets, num_features,
                                       num_active_levels, is_tiled, is_smoothstep);
  check_points(op, positions);
  check_directions(op, directions, positions);
  check_grad(op, "grad_tangents", grad_tangents, positions, grid);
  return backward_table<true>(grid, grad_tangents, directions.const_data_ptr<float>(),
                              positions, offsets.back(), is_deterministic);
}

Tensor hash_grid_encode_tangent_backward_positions(
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
  return backward_positions<true>(grid, grad_tangents,
                                  directions.const_data_ptr<float>(), positions, table);
}

}  // namespace
}  // namespace realfusion::cuda

STABLE_TORCH_LIBRARY_IMPL(realfusion, CUDA, m) {
  m.impl("hash_grid_encode", TORCH_BOX(&realfusion::cuda::hash_grid_encode));
  m.impl("hash_grid_encode_backward_table",
         TORCH_BOX(&realfusion::cuda::hash_grid_encode_backward_table));
  m.impl("hash_grid_encode_backward_positions",
         TORCH_BOX(&realfusion::cuda::hash_grid_encode_backward_positions));
  m.impl("hash_grid_encode_tangent",
         TORCH_BOX(&realfusion::cuda::hash_grid_encode_tangent));
  m.impl("hash_grid_encode_tangent_backward_table",
         TORCH_BOX(&realfusion::cuda::hash_grid_encode_tangent_backward_table));
  m.impl("hash_grid_encode_tangent_backward_positions",
         TORCH_BOX(&realfusion::cuda::hash_grid_encode_tangent_backward_positions));
}
