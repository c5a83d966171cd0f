// The Python module realfusion._C. Loading it registers the operators (each family's
// schema is in bindings/<family>.cpp); the module itself reports its build and
// holds the process's settings.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings/stable.h"
#include "core/field_precision.h"
#if __has_include("cpu/simd.h")
#include "cpu/simd.h"
#define REALFUSION_HAS_SIMD
#endif
#ifdef REALFUSION_WITH_CUDA
#include "cuda/runtime.h"
#endif

namespace py = pybind11;

namespace {

std::string torch_target_version() {
  const uint64_t version = TORCH_TARGET_VERSION;
  return std::to_string(version >> 56 & 0xff) + "." +
         std::to_string(version >> 48 & 0xff);
}

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "unknown";
#endif
}

std::vector<std::string> simd_variants() {
  std::vector<std::string> variants{"scalar"};
#if defined(__x86_64__)
  variants.insert(variants.end(), {"avx2", "avx512"});
#endif
  return variants;
}

#ifdef REALFUSION_HAS_SIMD
std::string simd_level() {
  switch (realfusion::simd_level()) {
    case realfusion::SimdLevel::avx512:
      return "avx512";
    case realfusion::SimdLevel::avx2:
      return "avx2";
    default:
      return "scalar";
  }
}
#endif

py::dict build_info() {
  py::dict info;
  info["torch_target_version"] = torch_target_version();
  info["compiler"] = compiler();
  info["simd_variants"] = simd_variants();
#ifdef REALFUSION_HAS_SIMD
  info["simd_level"] = simd_level();
#endif
#ifdef REALFUSION_WITH_CUDA
  info["has_cuda"] = true;
  info["cuda_toolkit"] = realfusion::cuda::toolkit_version();
  info["cuda_architectures"] = realfusion::cuda::architectures();
  info["cuda_has_torch_stream"] = realfusion::cuda::has_torch_stream();
#else
  info["has_cuda"] = false;
  info["cuda_toolkit"] = py::none();
  info["cuda_architectures"] = "";
  info["cuda_has_torch_stream"] = false;
#endif
  return info;
}

}  // namespace

PYBIND11_MODULE(_C, module) {
  module.doc() = "Native kernels of realfusion, registered as torch.ops.realfusion.*";
  module.def("build_info", &build_info,
             "How the kernels were built and which of them this machine uses.");
  // By number; realfusion/ops/field_precision.py has the names.
  module.def("field_precision",
             [] { return static_cast<int32_t>(realfusion::field_precision()); });
  module.def("set_field_precision", [](int32_t precision) {
    realfusion::set_field_precision(static_cast<realfusion::FieldPrecision>(precision));
  });
}
