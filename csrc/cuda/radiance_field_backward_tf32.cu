#include "cuda/radiance_field_backward_launch.cuh"

namespace realfusion::cuda {

REALFUSION_BACKWARD_OF_PRECISION(FieldPrecision::tf32);

}  // namespace realfusion::cuda
