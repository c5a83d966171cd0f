// What every .cu file includes first: the stable ABI, the current stream, the device
// guard and the launch check.
//
// No symbol of libtorch_cuda is linked, so that one extension with CPU and CUDA
// kernels also loads under a torch without CUDA: there the CUDA kernels are
// registered and never called, because no CUDA tensor exists.
#pragma once

#include <cuda_runtime.h>

#include "bindings/stable.h"

// Torch's own checks would link libtorch_cuda; REALFUSION_CUDA_CHECK takes their place.
#undef STD_CUDA_CHECK
#undef STD_CUDA_KERNEL_LAUNCH_CHECK

namespace realfusion::cuda {

// Makes a tensor's device the current one for a scope:
//   const DeviceGuard guard(positions.get_device_index());
using torch::stable::accelerator::DeviceGuard;

// The stream on which torch runs on this tensor's device.
cudaStream_t current_stream(const Tensor& tensor);

// Throws with CUDA's own words and the place if `status` is an error.
void check(cudaError_t status, const char* file, int line);

// For kernels that load several neighbours at once: with the 16-byte alignment that
// fresh tensors have and slices may lack.
inline Tensor aligned(const Tensor& tensor) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
  return address % 16 == 0 ? tensor : torch::stable::clone(tensor);
}

// Blocks of `block_size` that cover `count` items. Empty input must return before a
// launch, so that the result is at least 1.
inline unsigned num_blocks(int64_t count, int64_t block_size) {
  const int64_t blocks = (count + block_size - 1) / block_size;
  REALFUSION_CHECK(blocks >= 1 && blocks <= 0x7fffffff, "launch of ", count,
                   " items in blocks of ", block_size,
                   " must have between 1 and 2^31 - 1 blocks, got ", blocks);
  return static_cast<unsigned>(blocks);
}

}  // namespace realfusion::cuda

// For calls of the CUDA runtime.
#define REALFUSION_CUDA_CHECK(status) \
  ::realfusion::cuda::check((status), __FILE__, __LINE__)

// After each <<<...>>>: reports a failed launch where it happened.
#define REALFUSION_CUDA_LAUNCH_CHECK() REALFUSION_CUDA_CHECK(cudaGetLastError())
