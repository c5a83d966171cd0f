// The radiance field's forward on the device, for operators that need the field.
#pragma once

#include "bindings/radiance_field_checks.h"

namespace realfusion::cuda {

// The operator `radiance_field`, on the current stream.
FieldForwardResult radiance_field(REALFUSION_FIELD_PARAMETERS, bool with_normals);

}  // namespace realfusion::cuda
