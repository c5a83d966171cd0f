// Host side of the deterministic mode of grid_scatter.cuh.
#pragma once

#include "bindings/stable.h"
#include "cuda/grid_scatter.cuh"

namespace realfusion::cuda {

// Scatters with the same bits every time, for 8 more bytes an element of the table
// while it lives. Launch a scatter into the tables of the first pass and of the second,
// then `add_to`; all on the current stream.
class FixedPointScatter {
 public:
  // Of `num_samples` samples into tables like `grad_table`.
  FixedPointScatter(const Tensor& grad_table, int64_t num_samples);

  AddendBoundTable first_pass();
  FixedPointTable second_pass();
  TwoPassTable either_pass(bool is_first);

  // Adds the sums to all of `grad_table`.
  void add_to(Tensor& grad_table);

 private:
  Tensor sums_;
  Tensor bound_;
  int log2_addends_;
};

}  // namespace realfusion::cuda
