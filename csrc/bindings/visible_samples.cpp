// Schemas of visible_samples and visible_field; kernels: cpu/visible_samples.cpp and,
// of the former, cuda/visible_samples.cu; Python: realfusion/ops/visible_samples.py.
#include "bindings/radiance_field_checks.h"

STABLE_TORCH_LIBRARY_FRAGMENT(realfusion, m) {
  m.def("visible_samples(" REALFUSION_FIELD_SCHEMA
        ", Tensor t, Tensor deltas, Tensor ray_indices, Tensor ray_offsets, "
        "float min_transmittance, int? capacity, bool pad_to_capacity) "
        "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
  // The packed samples, and what radiance_field returns for them.
  m.def("visible_field(" REALFUSION_FIELD_SCHEMA
        ", Tensor t, Tensor deltas, Tensor ray_indices, Tensor ray_offsets, "
        "float min_transmittance, bool with_normals) "
        "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, "
        "Tensor, Tensor, Tensor, Tensor, Tensor)");
}
