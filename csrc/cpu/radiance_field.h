// CPU kernels of the fused radiance field: torch-free, one thread's share of work.
#pragma once

#include <cstdint>

#include "core/field.h"
#include "cpu/simd.h"

namespace realfusion::cpu {

// The most samples that one call of a kernel takes.
constexpr int64_t kMaxFieldGroup = 4096;

// Networks with more inputs than this take the scalar kernels.
constexpr int kMaxSimdInputs = 64;

// The field of one call.
template <class T>
struct FieldProblem {
  HashGrid grid;
  FieldSettings<T> settings;
  FieldNetwork<T> network;
  const T* table;      // [entries, F], in
  const T* positions;  // [n, 3] world, in
  int64_t num_samples;
  int hidden_width;
  bool with_normals;
};

// What the forward writes and the backward reads. Without normals, the gradients and
// normals are null and never touched.
template <class T>
struct FieldOutputs {
  T* densities;     // [n] 1/unit
  T* albedo;        // [n, 3]
  T* normals;       // [n, 3]
  T* gradients;     // [n, 3] of the log-density, 1/unit
  uint64_t* masks;  // [n, 2] active hidden units of either layer
};

// d loss / d outputs, in. A null pointer stands for zeros.
template <class T>
struct FieldUpstreams {
  const T* densities;  // [n]
  const T* albedo;     // [n, 3]
  const T* normals;    // [n, 3]
};

// What the backward of the samples leaves for the scatter into the table: one block of
// samples at a time, structure of arrays, every row `stride` long.
template <class T>
struct FieldScatter {
  int64_t first_sample;  // of the block
  int64_t stride;        // samples that the block has room for, a multiple of 16
  T* unit;               // [3, stride] position in the unit cube
  T* directions;         // [3, stride] zbar; null without normals
  T* features;           // [active levels * F, stride] gradient to the features
  T* reverse;            // [active levels * F, stride]; null without normals
};

template <class T>
struct FieldKernels {
  // Writes the rows begin..end of the outputs; at most kMaxFieldGroup of them.
  void (*forward)(const FieldProblem<T>& problem, const FieldOutputs<T>& outputs,
                  int64_t begin, int64_t end);
  // Takes the samples begin..end, at most kMaxFieldGroup of them and within the block
  // of `scatter`, and writes their columns of it. `network_gradients` is added to: one
  // buffer, laid out by field_network_gradients.
  void (*backward)(const FieldProblem<T>& problem, const FieldOutputs<T>& saved,
                   const FieldUpstreams<T>& upstreams, const FieldScatter<T>& scatter,
                   T* network_gradients, int64_t begin, int64_t end);
  // Adds the first `num_samples` columns of the block to the level's slice of
  // `grad_table` [entries, F], samples in order. Writes only entries first..last of the
  // level: the sums do not depend on how levels are shared out among threads.
  void (*scatter)(const FieldProblem<T>& problem, const FieldScatter<T>& scatter,
                  int level, uint32_t first_entry, uint32_t last_entry, T* grad_table,
                  int64_t num_samples);
};

// The network's gradients as one buffer: w1, b1, w2, b2, w3, b3.
template <class T>
FieldNetworkGradients<T> field_network_gradients(T* buffer, int64_t num_inputs,
                                                 int64_t hidden_width) {
  FieldNetworkGradients<T> gradients{};
  gradients.w1 = buffer;
  gradients.b1 = gradients.w1 + hidden_width * num_inputs;
  gradients.w2 = gradients.b1 + hidden_width;
  gradients.b2 = gradients.w2 + hidden_width * hidden_width;
  gradients.w3 = gradients.b2 + hidden_width;
  gradients.b3 = gradients.w3 + kFieldOutputs * hidden_width;
  return gradients;
}

inline int64_t field_network_size(int64_t num_inputs, int64_t hidden_width) {
  return hidden_width * (num_inputs + 1) + hidden_width * (hidden_width + 1) +
         kFieldOutputs * (hidden_width + 1);
}

// The kernels for a network and an instruction set: the best that has this shape.
FieldKernels<float> field_kernels_float(SimdLevel level, int hidden_width,
                                        int num_features, int num_inputs);
FieldKernels<double> field_kernels_double(int hidden_width, int num_features);

#if RF_HAS_X86_SIMD
FieldKernels<float> field_kernels_avx2(int hidden_width);
FieldKernels<float> field_kernels_avx512(int hidden_width);
#endif

}  // namespace realfusion::cpu
