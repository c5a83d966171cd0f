// Operator schema of the optimiser; kernels: cpu/adam.cpp, cuda/adam.cu, Python:
// realfusion/ops/adam.py.
#include "bindings/stable.h"

STABLE_TORCH_LIBRARY_FRAGMENT(realfusion, m) {
  m.def(
      "adam_step_(Tensor(a!)[] parameters, Tensor[] gradients, "
      "Tensor(b!)[] first_moments, Tensor(c!)[] second_moments, "
      "Tensor(d!)[] averages, Tensor(e!) count, Tensor rates, float[] weight_decays, "
      "Tensor withheld, Tensor loss_scale, Tensor average_share, float beta1, "
      "float beta2, float epsilon, bool is_decoupled) -> ()");
}
