// Argument checks that the CPU and CUDA launchers of adam_step_ share.
#pragma once

#include "bindings/stable.h"
#include "core/adam.h"

namespace realfusion {

using Tensors = std::vector<Tensor>;

inline void check_adam_list(const char* name, const Tensors& tensors,
                            const Tensors& parameters) {
  const char* op = "adam_step_";
  REALFUSION_CHECK(tensors.size() == parameters.size(), op, ": `", name,
                   "` must have as many tensors as `parameters` (", parameters.size(),
                   "), got ", tensors.size());
  for (size_t k = 0; k < tensors.size(); ++k) {
    check_dtype(op, name, tensors[k], ScalarType::Float);
    check_contiguous(op, name, tensors[k]);
    check_device(op, name, tensors[k], "parameters", parameters[k]);
    REALFUSION_CHECK(tensors[k].numel() == parameters[k].numel(), op, ": `", name,
                     "` must be as large as `parameters`, got ", tensors[k].numel(),
                     " and ", parameters[k].numel(), " numbers at ", k);
  }
}

inline void check_adam(const Tensors& parameters, const Tensors& gradients,
                       const Tensors& first_moments, const Tensors& second_moments,
                       const Tensors& averages, const Tensor& count,
                       const Tensor& rates, const std::vector<double>& weight_decays,
                       const Tensor& withheld, const Tensor& loss_scale,
                       const Tensor& average_share) {
  const char* op = "adam_step_";
  const auto num_tensors = static_cast<int64_t>(parameters.size());
  check_adam_list("parameters", parameters, parameters);
  check_adam_list("gradients", gradients, parameters);
  check_adam_list("first_moments", first_moments, parameters);
  check_adam_list("second_moments", second_moments, parameters);
  check_adam_list("averages", averages, parameters);
  REALFUSION_CHECK(weight_decays.size() == parameters.size(), op,
                   ": `weight_decays` must have as many numbers as there are "
                   "`parameters` (",
                   parameters.size(), "), got ", weight_decays.size());
  check_tensor(op, "rates", rates, {num_tensors}, ScalarType::Float);
  check_tensor(op, "count", count, {}, ScalarType::Float);
  check_tensor(op, "withheld", withheld, {}, ScalarType::Float);
  check_tensor(op, "loss_scale", loss_scale, {}, ScalarType::Float);
  check_tensor(op, "average_share", average_share, {}, ScalarType::Float);
  for (const Tensor& parameter : parameters) {
    check_device(op, "parameters", parameter, "count", count);
  }
  check_device(op, "rates", rates, "count", count);
  check_device(op, "withheld", withheld, "count", count);
  check_device(op, "loss_scale", loss_scale, "count", count);
  check_device(op, "average_share", average_share, "count", count);
}

inline AdamSettings make_adam_settings(double beta1, double beta2, double epsilon,
                                       bool is_decoupled) {
  return {static_cast<float>(beta1), static_cast<float>(beta2),
          static_cast<float>(epsilon), is_decoupled};
}

}  // namespace realfusion
