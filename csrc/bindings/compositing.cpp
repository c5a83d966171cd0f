// Operator schemas of volume rendering; kernels: cpu/compositing.cpp,
// cuda/compositing.cu, Python: realfusion/ops/compositing.py.
#include "bindings/stable.h"

STABLE_TORCH_LIBRARY_FRAGMENT(realfusion, m) {
  m.def(
      "composite(Tensor densities, Tensor channels, Tensor t, Tensor deltas, "
      "Tensor ray_offsets, Tensor? directions, float early_stop_transmittance) "
      "-> (Tensor values, Tensor transmittance, Tensor depth, Tensor back_facing, "
      "Tensor weights)");
  m.def(
      "composite_backward(Tensor grad_values, Tensor grad_transmittance, "
      "Tensor grad_depth, Tensor grad_back_facing, Tensor channels, Tensor t, "
      "Tensor deltas, Tensor ray_offsets, Tensor? directions, Tensor weights, "
      "Tensor transmittance, float early_stop_transmittance) "
      "-> (Tensor grad_densities, Tensor grad_channels)");
}
