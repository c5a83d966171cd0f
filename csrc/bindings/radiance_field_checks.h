// Arguments of the radiance field's operators, checked for both devices.
#pragma once

#include "bindings/hash_grid.h"
#include "bindings/stable.h"
#include "core/field.h"

// The field as every operator on it takes it: where, and what. In the schemas, in the
// functions behind them, and handed on by these.
#define REALFUSION_FIELD_SCHEMA                                                  \
  "Tensor positions, Tensor table, Tensor w1, Tensor b1, Tensor w2, Tensor b2, " \
  "Tensor w3, Tensor b3, float[] scales, int[] resolutions, int[] offsets, "     \
  "int num_features, int num_active_levels, bool is_tiled, bool is_smoothstep, " \
  "float bound, float blob_density, float blob_radius"
#define REALFUSION_FIELD_PARAMETERS                                                  \
  const Tensor &positions, const Tensor &table, const Tensor &w1, const Tensor &b1,  \
      const Tensor &w2, const Tensor &b2, const Tensor &w3, const Tensor &b3,        \
      std::vector<double> scales, std::vector<int64_t> resolutions,                  \
      std::vector<int64_t> offsets, int64_t num_features, int64_t num_active_levels, \
      bool is_tiled, bool is_smoothstep, double bound, double blob_density,          \
      double blob_radius
#define REALFUSION_FIELD_ARGUMENTS                                                   \
  positions, table, w1, b1, w2, b2, w3, b3, scales, resolutions, offsets,            \
      num_features, num_active_levels, is_tiled, is_smoothstep, bound, blob_density, \
      blob_radius

namespace realfusion {

// The arguments that describe the field rather than the samples.
struct FieldArguments {
  HashGrid grid;
  int64_t num_inputs;  // L * F
  int64_t hidden_width;
  double bound;
  double blob_density;
  double blob_radius;
};

inline FieldArguments check_field(
    const char* op, const Tensor& positions, const Tensor& table, const Tensor& w1,
    const Tensor& b1, const Tensor& w2, const Tensor& b2, const Tensor& w3,
    const Tensor& b3, const std::vector<double>& scales,
    const std::vector<int64_t>& resolutions, const std::vector<int64_t>& offsets,
    int64_t num_features, int64_t num_active_levels, bool is_tiled, bool is_smoothstep,
    double bound, double blob_density, double blob_radius) {
  FieldArguments field{};
  field.grid = make_hash_grid(op, scales, resolutions, offsets, num_features,
                              num_active_levels, is_tiled, is_smoothstep);
  field.num_inputs = field.grid.num_levels * num_features;
  check_shape(op, "w1", w1, {kAny, field.num_inputs});
  field.hidden_width = w1.size(0);
  field.bound = bound;
  field.blob_density = blob_density;
  field.blob_radius = blob_radius;
  const int64_t width = field.hidden_width;
  REALFUSION_CHECK(width == 16 || width == 32 || width == 64, op,
                   ": `w1` must have 16, 32 or 64 rows, got ", width);
  REALFUSION_CHECK(bound > 0.0, op, ": `bound` must be positive, got ", bound);
  REALFUSION_CHECK(blob_radius > 0.0, op, ": `blob_radius` must be positive, got ",
                   blob_radius);
  const ScalarType dtype = positions.scalar_type();
  check_tensor(op, "positions", positions, {kAny, 3}, dtype);
  check_tensor(op, "table", table, {offsets.back(), num_features}, dtype);
  check_tensor(op, "w1", w1, {width, field.num_inputs}, dtype);
  check_tensor(op, "b1", b1, {width}, dtype);
  check_tensor(op, "w2", w2, {width, width}, dtype);
  check_tensor(op, "b2", b2, {width}, dtype);
  check_tensor(op, "w3", w3, {kFieldOutputs, width}, dtype);
  check_tensor(op, "b3", b3, {kFieldOutputs}, dtype);
  check_device(op, "table", table, "positions", positions);
  check_device(op, "w1", w1, "positions", positions);
  check_device(op, "b1", b1, "positions", positions);
  check_device(op, "w2", w2, "positions", positions);
  check_device(op, "b2", b2, "positions", positions);
  check_device(op, "w3", w3, "positions", positions);
  check_device(op, "b3", b3, "positions", positions);
  return field;
}

template <class T>
FieldNetwork<T> field_network(const Tensor& w1, const Tensor& b1, const Tensor& w2,
                              const Tensor& b2, const Tensor& w3, const Tensor& b3) {
  return {w1.const_data_ptr<T>(), b1.const_data_ptr<T>(), w2.const_data_ptr<T>(),
          b2.const_data_ptr<T>(), w3.const_data_ptr<T>(), b3.const_data_ptr<T>()};
}

// Densities, albedo, normals, gradients of the log-density, masks.
using FieldForwardResult = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

// Gradients of w1, b1, w2, b2, w3, b3.
using FieldNetworkResult = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

// Gradient of the table, and those.
using FieldBackwardResult =
    std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

inline FieldForwardResult allocate_field_outputs(const Tensor& positions,
                                                 bool with_normals) {
  const int64_t num_samples = positions.size(0);
  const int64_t num_normals = with_normals ? num_samples : 0;
  return {torch::stable::new_empty(positions, {num_samples}),
          torch::stable::new_empty(positions, {num_samples, 3}),
          torch::stable::new_empty(positions, {num_normals, 3}),
          torch::stable::new_empty(positions, {num_normals, 3}),
          torch::stable::new_empty(positions, {num_samples, 2}, ScalarType::Long)};
}

// The tensor that a backward adds the table's gradient to.
inline void check_grad_table(const char* op, const Tensor& grad_table,
                             const Tensor& table) {
  check_tensor(op, "grad_table", grad_table, {table.size(0), table.size(1)},
               table.scalar_type());
  check_device(op, "grad_table", grad_table, "table", table);
}

// The saved outputs and the upstream gradients of a backward.
inline void check_field_backward(const char* op, const Tensor& positions,
                                 const std::optional<Tensor>& grad_densities,
                                 const std::optional<Tensor>& grad_albedo,
                                 const std::optional<Tensor>& grad_normals,
                                 const Tensor& densities, const Tensor& albedo,
                                 const Tensor& gradients, const Tensor& masks) {
  const int64_t num_samples = positions.size(0);
  const ScalarType dtype = positions.scalar_type();
  if (grad_densities.has_value()) {
    check_tensor(op, "grad_densities", *grad_densities, {num_samples}, dtype);
    check_device(op, "grad_densities", *grad_densities, "positions", positions);
  }
  if (grad_albedo.has_value()) {
    check_tensor(op, "grad_albedo", *grad_albedo, {num_samples, 3}, dtype);
    check_device(op, "grad_albedo", *grad_albedo, "positions", positions);
  }
  if (grad_normals.has_value()) {
    check_tensor(op, "grad_normals", *grad_normals, {num_samples, 3}, dtype);
    check_tensor(op, "gradients", gradients, {num_samples, 3}, dtype);
    check_device(op, "grad_normals", *grad_normals, "positions", positions);
    check_device(op, "gradients", gradients, "positions", positions);
  }
  check_tensor(op, "densities", densities, {num_samples}, dtype);
  check_tensor(op, "albedo", albedo, {num_samples, 3}, dtype);
  check_tensor(op, "masks", masks, {num_samples, 2}, ScalarType::Long);
  check_device(op, "densities", densities, "positions", positions);
  check_device(op, "albedo", albedo, "positions", positions);
  check_device(op, "masks", masks, "positions", positions);
}

}  // namespace realfusion
