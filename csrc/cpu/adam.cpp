// A step of Adam on the CPU: one pass over parameters, moments and averages. Bound by
// memory, so that the compiler's own vectors are as good as any.
#include "core/adam.h"
#include "bindings/adam_checks.h"
#include "cpu/simd.h"

// Inlined into one function for each instruction set, which the compiler vectorises.
#define RF_ADAM_LOOP inline __attribute__((always_inline))

namespace realfusion {
namespace {

// Numbers a task holds at least: below that, starting a thread costs more.
constexpr int64_t kGrain = 16384;

// The arrays of one parameter.
struct AdamArrays {
  float* parameter;
  const float* gradient;
  float* first;
  float* second;
  float* average;
};

RF_ADAM_LOOP void update_range(const AdamArrays& arrays, const AdamStep& given,
                               int64_t begin, int64_t end) {
  const AdamStep step = given;  // in registers: no store can change it
  float* __restrict__ parameter = arrays.parameter;
  const float* __restrict__ gradient = arrays.gradient;
  float* __restrict__ first = arrays.first;
  float* __restrict__ second = arrays.second;
  float* __restrict__ average = arrays.average;
  for (int64_t i = begin; i < end; ++i) {
    const AdamState state =
        adam_update(step, {parameter[i], first[i], second[i], average[i]}, gradient[i]);
    parameter[i] = state.parameter;
    first[i] = state.first;
    second[i] = state.second;
    average[i] = state.average;
  }
}

void update_scalar(const AdamArrays& arrays, const AdamStep& step, int64_t begin,
                   int64_t end) {
  update_range(arrays, step, begin, end);
}
#if RF_HAS_X86_SIMD
RF_TARGET_AVX2 void update_avx2(const AdamArrays& arrays, const AdamStep& step,
                                int64_t begin, int64_t end) {
  update_range(arrays, step, begin, end);
}
RF_TARGET_AVX512 void update_avx512(const AdamArrays& arrays, const AdamStep& step,
                                    int64_t begin, int64_t end) {
  update_range(arrays, step, begin, end);
}
#endif

auto select_update() {
#if RF_HAS_X86_SIMD
  const SimdLevel level = simd_level();
  if (level == SimdLevel::avx512) return update_avx512;
  if (level == SimdLevel::avx2) return update_avx2;
#endif
  return update_scalar;
}

void adam_step_(Tensors parameters, Tensors gradients, Tensors first_moments,
                Tensors second_moments, Tensors averages, Tensor count,
                const Tensor& rates, std::vector<double> weight_decays,
                const Tensor& withheld, const Tensor& loss_scale,
                const Tensor& average_share, double beta1, double beta2, double epsilon,
                bool is_decoupled) {
  check_adam(parameters, gradients, first_moments, second_moments, averages, count,
             rates, weight_decays, withheld, loss_scale, average_share);
  if (*withheld.const_data_ptr<float>() != 0.0f) return;
  const float steps = ++*count.mutable_data_ptr<float>();
  const AdamSettings settings = make_adam_settings(beta1, beta2, epsilon, is_decoupled);
  const auto update = select_update();
  for (size_t k = 0; k < parameters.size(); ++k) {
    const AdamArrays arrays{parameters[k].mutable_data_ptr<float>(),
                            gradients[k].const_data_ptr<float>(),
                            first_moments[k].mutable_data_ptr<float>(),
                            second_moments[k].mutable_data_ptr<float>(),
                            averages[k].mutable_data_ptr<float>()};
    const AdamStep step = make_adam_step(
        settings, steps, rates.const_data_ptr<float>()[k],
        static_cast<float>(weight_decays[k]), *loss_scale.const_data_ptr<float>(),
        *average_share.const_data_ptr<float>());
    torch::stable::parallel_for(
        0, parameters[k].numel(), kGrain,
        [&](int64_t begin, int64_t end) { update(arrays, step, begin, end); });
  }
}

}  // namespace
}  // namespace realfusion

STABLE_TORCH_LIBRARY_IMPL(realfusion, CPU, m) {
  m.impl("adam_step_", TORCH_BOX(&realfusion::adam_step_));
}
