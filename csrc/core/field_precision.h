// In which precision the device kernels of the fused field multiply matrices. Sums are
// always float32. The CPU kernels do not ask: they compute in the dtype of their input.
#pragma once

#include <atomic>
#include <cstdint>

namespace realfusion {

enum class FieldPrecision : int32_t {
  float32 = 0,   // fused multiply-adds
  tf32 = 1,      // tensor cores, operands rounded to 11 significant bits
  bfloat16 = 2,  // tensor cores, operands rounded to 8 significant bits
};

namespace detail {
inline std::atomic<FieldPrecision> field_precision{FieldPrecision::tf32};
}  // namespace detail

// Of the whole process, read at each launch.
inline FieldPrecision field_precision() {
  return detail::field_precision.load(std::memory_order_relaxed);
}
inline void set_field_precision(FieldPrecision precision) {
  detail::field_precision.store(precision, std::memory_order_relaxed);
}

}  // namespace realfusion
