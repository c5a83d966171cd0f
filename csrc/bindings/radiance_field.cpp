// Operator schemas of the fused radiance field; kernels: cpu/radiance_field*.cpp,
// cuda/radiance_field.cu, Python: realfusion/ops/radiance_field.py.
#include "bindings/radiance_field_checks.h"

#define REALFUSION_FIELD_BACKWARD_SCHEMA                                \
  "Tensor? grad_densities, Tensor? grad_albedo, Tensor? grad_normals, " \
  "Tensor densities, Tensor albedo, Tensor gradients, Tensor "          \
  "masks, " REALFUSION_FIELD_SCHEMA ", bool is_deterministic=False"

#define REALFUSION_NETWORK_GRADIENTS                                 \
  "Tensor grad_w1, Tensor grad_b1, Tensor grad_w2, Tensor grad_b2, " \
  "Tensor grad_w3, Tensor grad_b3"

STABLE_TORCH_LIBRARY_FRAGMENT(realfusion, m) {
  m.def("radiance_field(" REALFUSION_FIELD_SCHEMA
        ", bool with_normals) -> (Tensor densities, Tensor albedo, Tensor normals, "
        "Tensor gradients, Tensor masks)");
  m.def("radiance_field_backward(" REALFUSION_FIELD_BACKWARD_SCHEMA
        ") -> (Tensor grad_table, " REALFUSION_NETWORK_GRADIENTS ")");
  // Adds the table's gradient to a tensor that has one already.
  m.def(
      "radiance_field_backward_(Tensor(a!) "
      "grad_table, " REALFUSION_FIELD_BACKWARD_SCHEMA
      ") -> (" REALFUSION_NETWORK_GRADIENTS ")");
}
