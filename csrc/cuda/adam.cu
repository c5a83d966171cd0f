// CUDA side of adam_step_: checks and launches. Nothing is allocated, and the host
// reads nothing, so that a CUDA graph can repeat it.
#include "cuda/adam.cuh"

#include <algorithm>

#include "bindings/adam_checks.h"
#include "cuda/launch.cuh"

namespace realfusion::cuda {
namespace {

void adam_step_(Tensors parameters, Tensors gradients, Tensors first_moments,
                Tensors second_moments, Tensors averages, Tensor count,
                const Tensor& rates, std::vector<double> weight_decays,
                const Tensor& withheld, const Tensor& loss_scale,
                const Tensor& average_share, double beta1, double beta2, double epsilon,
                bool is_decoupled) {
  check_adam(parameters, gradients, first_moments, second_moments, averages, count,
             rates, weight_decays, withheld, loss_scale, average_share);
  const DeviceGuard guard(count.get_device_index());
  const cudaStream_t stream = current_stream(count);
  float* count_data = count.mutable_data_ptr<float>();
  const float* withheld_data = withheld.const_data_ptr<float>();
  count_step_kernel<<<1, 32, 0, stream>>>(count_data, withheld_data);
  REALFUSION_CUDA_LAUNCH_CHECK();
  const AdamScalars scalars{count_data, withheld_data,
                            loss_scale.const_data_ptr<float>(),
                            average_share.const_data_ptr<float>()};
  const AdamSettings settings = make_adam_settings(beta1, beta2, epsilon, is_decoupled);
  for (size_t from = 0; from < parameters.size(); from += kAdamTensors) {
    const size_t to = std::min(from + kAdamTensors, parameters.size());
    AdamTensors tensors{};
    int64_t blocks = 0;
    for (size_t k = from; k < to; ++k) {
      const size_t slot = k - from;
      const int64_t length = parameters[k].numel();
      tensors.parameters[slot] = parameters[k].mutable_data_ptr<float>();
      tensors.gradients[slot] = gradients[k].const_data_ptr<float>();
      tensors.first_moments[slot] = first_moments[k].mutable_data_ptr<float>();
      tensors.second_moments[slot] = second_moments[k].mutable_data_ptr<float>();
      tensors.averages[slot] = averages[k].mutable_data_ptr<float>();
      tensors.lengths[slot] = length;
      tensors.weight_decays[slot] = static_cast<float>(weight_decays[k]);
      blocks += (length + kAdamPerBlock - 1) / kAdamPerBlock;
      tensors.ends[slot] = static_cast<unsigned>(blocks);
    }
    if (blocks == 0) continue;
    adam_step_kernel<<<num_blocks(blocks, 1), kAdamBlock, 0, stream>>>(
        tensors, scalars, rates.const_data_ptr<float>() + from, settings);
    REALFUSION_CUDA_LAUNCH_CHECK();
  }
}

}  // namespace
}  // namespace realfusion::cuda

STABLE_TORCH_LIBRARY_IMPL(realfusion, CUDA, m) {
  m.impl("adam_step_", TORCH_BOX(&realfusion::cuda::adam_step_));
}
