// Sum of what the blocks of a backward pass found for the network.
#pragma once

#include <cstdint>

namespace realfusion::cuda {

constexpr int kSumColumns = 32;  // of a block of field_sum_blocks_kernel
constexpr int kSumParts = 8;

// gradients [size] = the sum of the blocks' rows, in a fixed order: the rows modulo 8,
// then those eight sums. Launch: a block of 256 threads for every 32 elements.
__global__ void __launch_bounds__(kSumColumns* kSumParts)
    field_sum_blocks_kernel(const float* __restrict__ block_gradients, int num_rows,
                            int64_t size, float* __restrict__ gradients) {
  __shared__ float parts[kSumParts][kSumColumns];
  const int column = static_cast<int>(threadIdx.x) % kSumColumns;
  const int part = static_cast<int>(threadIdx.x) / kSumColumns;
  const int64_t k = int64_t{blockIdx.x} * kSumColumns + column;
  float sum = 0.0f;
  for (int row = part; row < num_rows && k < size; row += kSumParts) {
    sum += block_gradients[row * size + k];
  }
  parts[part][column] = sum;
  __syncthreads();
  if (part != 0 || k >= size) return;
  for (int p = 1; p < kSumParts; ++p) sum += parts[p][column];
  gradients[k] = sum;
}

}  // namespace realfusion::cuda
