#include "cuda/fixed_point_scatter.h"

#include "cuda/fixed_point_scatter.cuh"
#include "cuda/launch.cuh"

namespace realfusion::cuda {

FixedPointScatter::FixedPointScatter(const Tensor& grad_table, int64_t num_samples)
    : sums_(torch::stable::new_zeros(grad_table, grad_table.sizes(),
                                     std::make_optional(ScalarType::Long))),
      bound_(torch::stable::new_zeros(grad_table, {1},
                                      std::make_optional(ScalarType::Int))),
      log2_addends_(log2_of_addends(num_samples)) {}

AddendBoundTable FixedPointScatter::first_pass() {
  return {reinterpret_cast<unsigned*>(bound_.mutable_data_ptr<int32_t>())};
}

FixedPointTable FixedPointScatter::second_pass() {
  return {reinterpret_cast<unsigned long long*>(sums_.mutable_data_ptr<int64_t>()),
          reinterpret_cast<const unsigned*>(bound_.const_data_ptr<int32_t>()),
          log2_addends_};
}

TwoPassTable FixedPointScatter::either_pass(bool is_first) {
  return {first_pass(), second_pass(), is_first};
}

void FixedPointScatter::add_to(Tensor& grad_table) {
  const int64_t size = grad_table.numel();
  add_fixed_point_kernel<<<num_blocks(size, kFixedPointBlock), kFixedPointBlock, 0,
                           current_stream(grad_table)>>>(
      second_pass(), grad_table.mutable_data_ptr<float>(), size);
  REALFUSION_CUDA_LAUNCH_CHECK();
}

}  // namespace realfusion::cuda
