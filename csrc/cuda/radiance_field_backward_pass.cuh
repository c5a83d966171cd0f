// The radiance field's backward pass over all samples, launched. Its kernels take the
// compiler longer than all others together: each precision is a source file of its own
// (radiance_field_backward_*.cu), and they are compiled side by side.
#pragma once

#include "cuda/grid_scatter.cuh"
#include "cuda/radiance_field_launch.cuh"

namespace realfusion::cuda {

// A backward pass, but for the table's gradients.
struct BackwardPass {
  const char* op;
  const FieldArguments& field;
  const Tensor& table;
  const FieldCall& call;
  FieldArrays saved;
  FieldUpstreamArrays upstreams;
  int64_t network_size;

  bool with_normals() const { return upstreams.normals != nullptr; }

  int64_t tile_floats(FieldPrecision precision) const {
    return backward_shared_floats(precision, static_cast<int>(field.hidden_width),
                                  padded_inputs(field.grid), with_normals());
  }
};

// Returns the blocks' gradients of the network, [blocks, network_size].
template <FieldPrecision P, class GradTable>
Tensor launch_backward(const BackwardPass& pass, const GradTable& grad_table);

}  // namespace realfusion::cuda
