// A call of the radiance field's CPU kernels, from an operator's arguments.
#pragma once

#include <atomic>

#include "bindings/radiance_field_checks.h"
#include "cpu/radiance_field.h"

namespace realfusion {

// Calls body(item) for 0 <= item < count, each once, on all threads. The order is that
// of the items, their dearest first.
template <class Body>
void parallel_for_queue(int64_t count, const Body& body) {
  std::atomic<int64_t> next{0};
  torch::stable::parallel_for(0, count, 1, [&](int64_t, int64_t) {
    for (int64_t item = next++; item < count; item = next++) body(item);
  });
}

template <class T>
cpu::FieldKernels<T> choose_kernels(const FieldArguments& field);
template <>
inline cpu::FieldKernels<float> choose_kernels<float>(const FieldArguments& field) {
  return cpu::field_kernels_float(simd_level(), static_cast<int>(field.hidden_width),
                                  field.grid.num_features,
                                  static_cast<int>(field.num_inputs));
}
template <>
inline cpu::FieldKernels<double> choose_kernels<double>(const FieldArguments& field) {
  return cpu::field_kernels_double(static_cast<int>(field.hidden_width),
                                   field.grid.num_features);
}

template <class T>
cpu::FieldProblem<T> make_problem(const FieldArguments& field,
                                  const FieldNetwork<T>& network,
                                  const Tensor& positions, const Tensor& table,
                                  bool with_normals) {
  return {field.grid,
          make_field_settings<T>(field.bound, field.blob_density, field.blob_radius),
          network,
          table.const_data_ptr<T>(),
          positions.const_data_ptr<T>(),
          positions.size(0),
          static_cast<int>(field.hidden_width),
          with_normals};
}

template <class T>
cpu::FieldOutputs<T> field_outputs(const FieldForwardResult& result,
                                   bool with_normals) {
  const auto& [densities, albedo, normals, gradients, masks] = result;
  cpu::FieldOutputs<T> outputs{};
  outputs.densities = densities.mutable_data_ptr<T>();
  outputs.albedo = albedo.mutable_data_ptr<T>();
  outputs.masks = reinterpret_cast<uint64_t*>(masks.mutable_data_ptr<int64_t>());
  if (with_normals) {
    outputs.normals = normals.mutable_data_ptr<T>();
    outputs.gradients = gradients.mutable_data_ptr<T>();
  }
  return outputs;
}

}  // namespace realfusion
