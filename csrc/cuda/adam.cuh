// Device kernels of the optimiser: one launch updates all parameters. No torch: the CPU
// launch shim of csrc/tests runs these very bodies.
#pragma once

#include <cstdint>

#include "core/adam.h"

namespace realfusion::cuda {

constexpr int kAdamBlock = 256;
constexpr int kAdamPerThread = 4;
constexpr int64_t kAdamPerBlock = kAdamBlock * kAdamPerThread;
constexpr int kAdamTensors = 16;  // of one launch

// The parameters of one launch: tensor k has the blocks from ends[k - 1] to ends[k].
struct AdamTensors {
  float* parameters[kAdamTensors];
  const float* gradients[kAdamTensors];
  float* first_moments[kAdamTensors];
  float* second_moments[kAdamTensors];
  float* averages[kAdamTensors];
  int64_t lengths[kAdamTensors];
  float weight_decays[kAdamTensors];
  unsigned ends[kAdamTensors];
};

// What a step is told on the device, one number each.
struct AdamScalars {
  const float* count;  // steps, this one included
  const float* withheld;
  const float* loss_scale;
  const float* average_share;
};

// Counts the step unless it is withheld. Launch: one warp.
__global__ void count_step_kernel(float* count, const float* withheld) {
  if (threadIdx.x == 0 && *withheld == 0.0f) *count += 1.0f;
}

// rates [tensors], in. Nothing changes where the step is withheld. Launch:
// kAdamPerBlock numbers a block.
__global__ void __launch_bounds__(kAdamBlock)
    adam_step_kernel(const __grid_constant__ AdamTensors tensors,
                     const __grid_constant__ AdamScalars scalars,
                     const float* __restrict__ rates, AdamSettings settings) {
  if (*scalars.withheld != 0.0f) return;
  int k = 0;
  while (blockIdx.x >= tensors.ends[k]) ++k;
  const unsigned first_block = k == 0 ? 0 : tensors.ends[k - 1];
  __shared__ AdamStep shared;  // its powers take longer than all else of a thread
  if (threadIdx.x == 0) {
    shared =
        make_adam_step(settings, *scalars.count, rates[k], tensors.weight_decays[k],
                       *scalars.loss_scale, *scalars.average_share);
  }
  __syncthreads();
  const AdamStep step = shared;
  const int64_t begin = (blockIdx.x - first_block) * kAdamPerBlock;
  for (int j = 0; j < kAdamPerThread; ++j) {
    const int64_t i = begin + int64_t{j} * kAdamBlock + threadIdx.x;
    if (i >= tensors.lengths[k]) return;
    const AdamState state =
        adam_update(step,
                    {tensors.parameters[k][i], tensors.first_moments[k][i],
                     tensors.second_moments[k][i], tensors.averages[k][i]},
                    tensors.gradients[k][i]);
    tensors.parameters[k][i] = state.parameter;
    tensors.first_moments[k][i] = state.first;
    tensors.second_moments[k][i] = state.second;
    tensors.averages[k][i] = state.average;
  }
}

}  // namespace realfusion::cuda
