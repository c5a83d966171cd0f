#include "cuda/radiance_field_backward_launch.cuh"

namespace realfusion::cuda {

REALFUSION_BACKWARD_OF_PRECISION(FieldPrecision::bfloat16);

}  // namespace realfusion::cuda
