// Operator schemas of the fused radiance field; kernels: cpu/radiance_field*.cpp,
// cuda/radiance_field.cu, Python: realfusion/ops/radiance_field.py.
#include "bindings/radiance_field_checks.h"

STABLE_TORCH_LIBRARY_FRAGMENT(realfusion, m) {
  m.def("radiance_field(" REALFUSION_FIELD_SCHEMA
        ", bool with_normals) -> (Tensor densities, Tensor albedo, Tensor normals, "
        "Tensor gradients, Tensor masks)");
  m.def(
      "radiance_field_backward(Tensor? grad_densities, Tensor? grad_albedo, "
      "Tensor? grad_normals, Tensor densities, Tensor albedo, Tensor gradients, "
      "Tensor masks, " REALFUSION_FIELD_SCHEMA
      ", bool is_deterministic=False) -> (Tensor grad_table, Tensor grad_w1, "
      "Tensor grad_b1, Tensor grad_w2, Tensor grad_b2, Tensor grad_w3, "
      "Tensor grad_b3)");
}
