// Schema of visible_samples; kernels: cpu/visible_samples.cpp, Python:
// realfusion/ops/radiance_field.py.
#include "bindings/radiance_field_checks.h"

STABLE_TORCH_LIBRARY_FRAGMENT(realfusion, m) {
  m.def("visible_samples(" REALFUSION_FIELD_SCHEMA
        ", Tensor t, Tensor deltas, Tensor ray_indices, Tensor ray_offsets, "
        "float min_transmittance, int? capacity, bool pad_to_capacity) "
        "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
}
