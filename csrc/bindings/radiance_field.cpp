// Operator schemas of the fused radiance field; kernels: cpu/radiance_field*.cpp,
// cuda/radiance_field.cu, Python: realfusion/ops/radiance_field.py.
#include "bindings/stable.h"

#define REALFUSION_FIELD_SCHEMA                                                  \
  "Tensor positions, Tensor table, Tensor w1, Tensor b1, Tensor w2, Tensor b2, " \
  "Tensor w3, Tensor b3, float[] scales, int[] resolutions, int[] offsets, "     \
  "int num_features, int num_active_levels, bool is_tiled, bool is_smoothstep, " \
  "float bound, float blob_density, float blob_radius"

STABLE_TORCH_LIBRARY_FRAGMENT(realfusion, m) {
  m.def("radiance_field(" REALFUSION_FIELD_SCHEMA
        ", bool with_normals) -> (Tensor densities, Tensor albedo, Tensor normals, "
        "Tensor gradients, Tensor masks)");
  m.def(
      "radiance_field_backward(Tensor? grad_densities, Tensor? grad_albedo, "
      "Tensor? grad_normals, Tensor densities, Tensor albedo, Tensor gradients, "
      "Tensor masks, " REALFUSION_FIELD_SCHEMA
      ") -> (Tensor grad_table, Tensor grad_w1, Tensor grad_b1, Tensor grad_w2, "
      "Tensor grad_b2, Tensor grad_w3, Tensor grad_b3)");
}
