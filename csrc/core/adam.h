// One step of Adam (Kingma & Ba 2015, algorithm 1) or AdamW (Loshchilov & Hutter 2019)
// on one number, and its running average: shared by the CPU and CUDA kernels. No torch.
#pragma once

#include <cmath>

#include "host_device.h"

namespace realfusion {

// What a whole call shares.
struct AdamSettings {
  float beta1;
  float beta2;
  float epsilon;
  bool is_decoupled;  // AdamW: the weights decay by themselves, not by their gradients
};

// What the numbers of one tensor share at one step.
struct AdamStep {
  AdamSettings settings;
  float rate;          // learning rate
  float step_size;     // rate / (1 - beta1^t)
  float inverse_root;  // 1 / sqrt(1 - beta2^t)
  float weight_decay;
  float gradient_scale;  // 1 / loss scale
  float average_share;   // how far the average moves to the new value
};

// `count`: steps up to this one, t above.
RF_HOST_DEVICE AdamStep make_adam_step(const AdamSettings& settings, float count,
                                       float rate, float weight_decay, float loss_scale,
                                       float average_share) {
  // In double: 1 - beta2^t of the first steps is a difference of close numbers.
  const double left1 = 1.0 - pow(static_cast<double>(settings.beta1), double(count));
  const double left2 = 1.0 - pow(static_cast<double>(settings.beta2), double(count));
  AdamStep step;
  step.settings = settings;
  step.rate = rate;
  step.step_size = static_cast<float>(rate / left1);
  step.inverse_root = static_cast<float>(1.0 / sqrt(left2));
  step.weight_decay = weight_decay;
  step.gradient_scale = 1.0f / loss_scale;
  step.average_share = average_share;
  return step;
}

// A parameter with its moments and its average.
struct AdamState {
  float parameter;
  float first;   // mean of the gradients
  float second;  // mean of their squares
  float average;
};

RF_HOST_DEVICE AdamState adam_update(const AdamStep& step, AdamState state,
                                     float gradient) {
  const AdamSettings& settings = step.settings;
  gradient *= step.gradient_scale;
  if (settings.is_decoupled) {
    state.parameter -= step.rate * step.weight_decay * state.parameter;
  } else {
    gradient += step.weight_decay * state.parameter;
  }
  state.first += (1.0f - settings.beta1) * (gradient - state.first);
  state.second += (1.0f - settings.beta2) * (gradient * gradient - state.second);
  const float root = sqrtf(state.second) * step.inverse_root;
  state.parameter -= step.step_size * state.first / (root + settings.epsilon);
  state.average += step.average_share * (state.parameter - state.average);
  return state;
}

}  // namespace realfusion
