#include "cuda/runtime.h"

#include <dlfcn.h>

#include "cuda/launch.cuh"

#define REALFUSION_STRING_(...) #__VA_ARGS__
#define REALFUSION_STRING(...) REALFUSION_STRING_(__VA_ARGS__)

namespace realfusion::cuda {
namespace {

using StreamFunction = decltype(&aoti_torch_get_current_cuda_stream);

// Python loads libtorch_cuda.so with local visibility, so that its symbols do not bind
// by themselves to a library that does not link it. RTLD_NOLOAD: only if torch has
// already loaded it.
StreamFunction find_stream_function() {
  const char* name = "aoti_torch_get_current_cuda_stream";
  void* symbol = dlsym(RTLD_DEFAULT, name);
  if (symbol == nullptr) {
    if (void* library = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_NOLOAD)) {
      symbol = dlsym(library, name);
    }
  }
  return reinterpret_cast<StreamFunction>(symbol);
}

StreamFunction stream_function() {
  static const StreamFunction function = find_stream_function();
  return function;
}

}  // namespace

std::string toolkit_version() {
  return std::to_string(CUDART_VERSION / 1000) + "." +
         std::to_string(CUDART_VERSION % 1000 / 10);
}

std::string architectures() { return REALFUSION_STRING(__CUDA_ARCH_LIST__); }

bool has_torch_stream() { return stream_function() != nullptr; }

cudaStream_t current_stream(const Tensor& tensor) {
  REALFUSION_CHECK(has_torch_stream(),
                   "the CUDA kernels need a torch with CUDA, got one without "
                   "(libtorch_cuda.so is not loaded)");
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(stream_function()(tensor.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

void check(cudaError_t status, const char* file, int line) {
  REALFUSION_CHECK(status == cudaSuccess, "CUDA error ", cudaGetErrorName(status), " (",
                   cudaGetErrorString(status), ") at ", file, ":", line);
}

}  // namespace realfusion::cuda
