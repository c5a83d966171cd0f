// What each radiance_field_backward_*.cu compiles for its precision.
#pragma once

#include "cuda/radiance_field_backward.cuh"
#include "cuda/radiance_field_backward_pass.cuh"

namespace realfusion::cuda {

template <FieldPrecision P, class GradTable>
Tensor launch_backward(const BackwardPass& pass, const GradTable& grad_table) {
  Tensor block_gradients;
  dispatch_width(pass.field, pass.with_normals(), [&](auto width, auto normal) {
    constexpr int kTile = kBackwardTile<P, width()>;
    const auto kernel = field_backward_kernel<P, width(), normal(), GradTable>;
    FieldCall call = pass.call;
    const FieldLaunch plan = plan_launch<width()>(
        pass.op, pass.field, call, kernel, pass.table, kTile, pass.tile_floats(P));
    block_gradients =
        torch::stable::new_zeros(pass.table, {int64_t{plan.blocks}, pass.network_size});
    kernel<<<plan.blocks, kFieldBlock<kTile>, plan.shared_bytes,
             current_stream(pass.table)>>>(call, pass.saved, pass.upstreams,
                                           block_gradients.mutable_data_ptr<float>(),
                                           grad_table);
    REALFUSION_CUDA_LAUNCH_CHECK();
  });
  return block_gradients;
}

#define REALFUSION_BACKWARD_OF_PRECISION(P)                                   \
  template Tensor launch_backward<P>(const BackwardPass&, const FloatTable&); \
  template Tensor launch_backward<P>(const BackwardPass&, const TwoPassTable&)

}  // namespace realfusion::cuda
