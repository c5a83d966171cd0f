// What the CUDA part of the extension knows of itself (no CUDA header needed).
#pragma once

#include <string>

namespace realfusion::cuda {

// The version of the toolkit that compiled the kernels, "13.0".
std::string toolkit_version();

// The architectures compiled for, "800,900,1200" (as __CUDA_ARCH_LIST__).
std::string architectures();

// Whether the torch at hand offers its current stream, without which no kernel can be
// launched: false under a torch without CUDA, true under one with CUDA.
bool has_torch_stream();

}  // namespace realfusion::cuda
