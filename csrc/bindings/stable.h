// What every binding and kernel launcher includes: the LibTorch stable ABI and
// argument checks. Only torch/csrc/stable and torch/headeronly may be used, so that
// one binary serves every torch from TORCH_TARGET_VERSION on.
#pragma once

#ifndef TORCH_TARGET_VERSION
#define TORCH_TARGET_VERSION 0x020a000000000000  // torch 2.10
#endif

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/Dispatch_v2.h>
#include <torch/headeronly/core/ScalarType.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

namespace realfusion {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Stands for "any length" in check_shape.
inline constexpr int64_t kAny = -1;

namespace detail {

template <typename... Args>
std::string message(const Args&... args) {
  std::ostringstream stream;
  (stream << ... << args);
  return stream.str();
}

inline std::string describe_dtype(ScalarType dtype) {
  switch (dtype) {
    case ScalarType::Float:
      return "float32";
    case ScalarType::Double:
      return "float64";
    case ScalarType::Half:
      return "float16";
    case ScalarType::BFloat16:
      return "bfloat16";
    case ScalarType::Byte:
      return "uint8";
    case ScalarType::Int:
      return "int32";
    case ScalarType::Long:
      return "int64";
    case ScalarType::Bool:
      return "bool";
    default:
      return message("dtype ", static_cast<int>(dtype));
  }
}

template <typename Lengths>
std::string describe_shape(const Lengths& lengths) {
  std::ostringstream stream;
  stream << '[';
  const char* separator = "";
  for (const int64_t length : lengths) {
    stream << separator;
    if (length == kAny) {
      stream << '*';
    } else {
      stream << length;
    }
    separator = ", ";
  }
  stream << ']';
  return stream.str();
}

}  // namespace detail

// Throws std::runtime_error (RuntimeError in Python) with the streamed arguments.
// The message reads "<op>: `<argument>` must <contract>, got <value>".
#define REALFUSION_CHECK(condition, ...)                                    \
  do {                                                                      \
    if (!(condition)) [[unlikely]] {                                        \
      throw std::runtime_error(::realfusion::detail::message(__VA_ARGS__)); \
    }                                                                       \
  } while (false)

inline void check_shape(const char* op, const char* name, const Tensor& tensor,
                        std::initializer_list<int64_t> expected) {
  const auto sizes = tensor.sizes();
  bool matches = sizes.size() == expected.size();
  size_t axis = 0;
  for (const int64_t length : expected) {
    if (!matches) {
      break;
    }
    matches = length == kAny || length == sizes[axis];
    ++axis;
  }
  REALFUSION_CHECK(matches, op, ": `", name, "` must have shape ",
                   detail::describe_shape(expected), ", got ",
                   detail::describe_shape(sizes));
}

inline void check_dtype(const char* op, const char* name, const Tensor& tensor,
                        ScalarType expected) {
  REALFUSION_CHECK(tensor.scalar_type() == expected, op, ": `", name, "` must be ",
                   detail::describe_dtype(expected), ", got ",
                   detail::describe_dtype(tensor.scalar_type()));
}

inline void check_contiguous(const char* op, const char* name, const Tensor& tensor) {
  REALFUSION_CHECK(tensor.is_contiguous(), op, ": `", name,
                   "` must be contiguous, got strides ",
                   detail::describe_shape(tensor.strides()));
}

// `tensor` must live where `like` (the argument called `like_name`) lives.
inline void check_device(const char* op, const char* name, const Tensor& tensor,
                         const char* like_name, const Tensor& like) {
  REALFUSION_CHECK(
      tensor.is_cuda() == like.is_cuda() && tensor.is_cpu() == like.is_cpu() &&
          tensor.get_device_index() == like.get_device_index(),
      op, ": `", name, "` must be on the device of `", like_name, "`, got ",
      tensor.is_cpu() ? "cpu" : "cuda", " and ", like.is_cpu() ? "cpu" : "cuda");
}

// Shape, dtype and contiguity of one argument in one line.
inline void check_tensor(const char* op, const char* name, const Tensor& tensor,
                         std::initializer_list<int64_t> shape, ScalarType dtype) {
  check_shape(op, name, tensor, shape);
  check_dtype(op, name, tensor, dtype);
  check_contiguous(op, name, tensor);
}

}  // namespace realfusion
