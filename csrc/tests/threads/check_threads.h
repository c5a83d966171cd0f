// The check of the tests in this folder: an operator gives the same bits with one
// thread and with several, for every instruction set. Under ThreadSanitizer it also
// fails where two threads touch the same memory unordered. Gathers and masked stores of
// the SIMD variants are not instrumented; the scalar variant shares the work in the
// same way and is instrumented throughout.
#pragma once

#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "bindings/stable.h"
#include "cpu/simd.h"
#include "tests/check.h"

namespace realfusion::test {

inline Tensor make_tensor(std::vector<int64_t> sizes, ScalarType dtype) {
  return Tensor(std::move(sizes), dtype);
}

// Floats of a tensor of the given shape, each made by `draw`.
template <class Draw>
Tensor make_floats(std::vector<int64_t> sizes, const Draw& draw) {
  Tensor tensor = make_tensor(std::move(sizes), ScalarType::Float);
  float* values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = draw();
  return tensor;
}

inline bool has_same_bits(const Tensor& a, const Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         std::memcmp(a.mutable_data_ptr(), b.mutable_data_ptr(),
                     static_cast<size_t>(a.num_bytes())) == 0;
}

// `run` returns the tensors that an operator made, as a vector.
template <class Run>
void check_any_number_of_threads(const Run& run) {
  const char* names[] = {"scalar", "avx2", "avx512"};
  for (int level = 0; level <= static_cast<int>(supported_simd_level()); ++level) {
    setenv("REALFUSION_SIMD", names[level], 1);
    torch::stable::num_threads() = 1;
    const std::vector<Tensor> expected = run();
    for (const int64_t count : {2, 3, 5}) {
      torch::stable::num_threads() = count;
      const std::vector<Tensor> results = run();
      RF_CHECK(results.size() == expected.size());
      for (size_t k = 0; k < results.size(); ++k) {
        RF_CHECK(has_same_bits(results[k], expected[k]));
      }
    }
  }
}

}  // namespace realfusion::test
