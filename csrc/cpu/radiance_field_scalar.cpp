// The radiance field sample by sample, straight from core/field.h: for float64, for
// machines without SIMD variants, and as the oracle of those.
#include "cpu/radiance_field.h"

namespace realfusion::cpu {
namespace {

template <class T, int H, int F, bool kWithNormal>
void forward_samples(const FieldProblem<T>& problem, const FieldOutputs<T>& outputs,
                     int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const FieldSample<T> sample = field_forward<T, H, F, kWithNormal>(
        problem.grid, problem.settings, problem.network, problem.table,
        problem.positions + 3 * i);
    outputs.densities[i] = sample.density;
    outputs.masks[2 * i] = sample.mask1;
    outputs.masks[2 * i + 1] = sample.mask2;
    for (int c = 0; c < 3; ++c) outputs.albedo[3 * i + c] = sample.albedo[c];
    if constexpr (kWithNormal) {
      normal_from_gradient(sample.gradient, outputs.normals + 3 * i);
      for (int c = 0; c < 3; ++c) outputs.gradients[3 * i + c] = sample.gradient[c];
    }
  }
}

template <class T, bool kWithNormal>
FieldSample<T> load_sample(const FieldOutputs<T>& saved, int64_t i) {
  FieldSample<T> sample{};
  sample.density = saved.densities[i];
  sample.mask1 = saved.masks[2 * i];
  sample.mask2 = saved.masks[2 * i + 1];
  for (int c = 0; c < 3; ++c) {
    sample.albedo[c] = saved.albedo[3 * i + c];
    if constexpr (kWithNormal) sample.gradient[c] = saved.gradients[3 * i + c];
  }
  return sample;
}

template <class T>
FieldUpstream<T> load_upstream(const FieldUpstreams<T>& upstreams, int64_t i) {
  FieldUpstream<T> upstream{};
  if (upstreams.densities != nullptr) upstream.density = upstreams.densities[i];
  for (int c = 0; c < 3; ++c) {
    if (upstreams.albedo != nullptr) upstream.albedo[c] = upstreams.albedo[3 * i + c];
    if (upstreams.normals != nullptr) upstream.normal[c] = upstreams.normals[3 * i + c];
  }
  return upstream;
}

template <class T, int H, int F, bool kWithNormal>
void backward_samples(const FieldProblem<T>& problem, const FieldOutputs<T>& saved,
                      const FieldUpstreams<T>& upstreams,
                      const FieldScatter<T>& scatter, T* network_gradients,
                      int64_t begin, int64_t end) {
  const int num_active = problem.grid.num_active_levels * F;
  const FieldNetworkGradients<T> gradients =
      field_network_gradients(network_gradients, problem.grid.num_levels * F, H);
  T features[kMaxFieldFeatures];
  T reverse[kMaxFieldFeatures];
  T direction[3];
  for (int64_t i = begin; i < end; ++i) {
    const T* position = problem.positions + 3 * i;
    field_backward<T, H, F, kWithNormal>(
        problem.grid, problem.settings, problem.network, problem.table, position,
        load_sample<T, kWithNormal>(saved, i), load_upstream(upstreams, i), gradients,
        {features, reverse, direction});
    const int64_t column = i - scatter.first_sample;
    T unit[3];
    to_unit_cube(problem.settings, position, unit);
    const bool is_inside = is_in_unit_cube(unit);  // else all gradients are zero
    for (int axis = 0; axis < 3; ++axis) {
      scatter.unit[axis * scatter.stride + column] = is_inside ? unit[axis] : T(0.5);
      if constexpr (kWithNormal) {
        scatter.directions[axis * scatter.stride + column] = direction[axis];
      }
    }
    for (int d = 0; d < num_active; ++d) {
      scatter.features[d * scatter.stride + column] = features[d];
      if constexpr (kWithNormal) {
        scatter.reverse[d * scatter.stride + column] = reverse[d];
      }
    }
  }
}

template <class T, int F>
void scatter_samples(const FieldProblem<T>& problem, const FieldScatter<T>& scatter,
                     int level_index, uint32_t first_entry, uint32_t last_entry,
                     T* grad_table, int64_t num_samples) {
  const HashGridLevel& level = problem.grid.levels[level_index];
  T* entries = grad_table + level.offset * F;
  const int64_t stride = scatter.stride;
  const bool with_normals = scatter.reverse != nullptr;
  for (int64_t i = 0; i < num_samples; ++i) {
    T unit[3];
    T direction[3] = {T(0), T(0), T(0)};
    for (int axis = 0; axis < 3; ++axis) {
      unit[axis] = scatter.unit[axis * stride + i];
      if (with_normals) direction[axis] = scatter.directions[axis * stride + i];
    }
    T features[F];
    T reverse[F] = {};
    for (int f = 0; f < F; ++f) {
      features[f] = scatter.features[(level_index * F + f) * stride + i];
      if (with_normals)
        reverse[f] = scatter.reverse[(level_index * F + f) * stride + i];
    }
    scatter_level<F>(level, problem.grid.interpolation, unit, direction, features,
                     reverse, entries, first_entry, last_entry);
  }
}

template <class T, int H, int F>
FieldKernels<T> make_kernels() {
  FieldKernels<T> kernels{};
  kernels.forward = [](const FieldProblem<T>& problem, const FieldOutputs<T>& outputs,
                       int64_t begin, int64_t end) {
    if (problem.with_normals) {
      forward_samples<T, H, F, true>(problem, outputs, begin, end);
    } else {
      forward_samples<T, H, F, false>(problem, outputs, begin, end);
    }
  };
  kernels.backward = [](const FieldProblem<T>& problem, const FieldOutputs<T>& saved,
                        const FieldUpstreams<T>& upstreams,
                        const FieldScatter<T>& scatter, T* network_gradients,
                        int64_t begin, int64_t end) {
    if (problem.with_normals) {
      backward_samples<T, H, F, true>(problem, saved, upstreams, scatter,
                                      network_gradients, begin, end);
    } else {
      backward_samples<T, H, F, false>(problem, saved, upstreams, scatter,
                                       network_gradients, begin, end);
    }
  };
  kernels.scatter = scatter_samples<T, F>;
  return kernels;
}

template <class T, int H>
FieldKernels<T> kernels_of_features(int num_features) {
  switch (num_features) {
    case 1:
      return make_kernels<T, H, 1>();
    case 2:
      return make_kernels<T, H, 2>();
    case 4:
      return make_kernels<T, H, 4>();
    default:
      return make_kernels<T, H, 8>();
  }
}

template <class T>
FieldKernels<T> scalar_kernels(int hidden_width, int num_features) {
  switch (hidden_width) {
    case 16:
      return kernels_of_features<T, 16>(num_features);
    case 32:
      return kernels_of_features<T, 32>(num_features);
    default:
      return kernels_of_features<T, 64>(num_features);
  }
}

}  // namespace

FieldKernels<double> field_kernels_double(int hidden_width, int num_features) {
  return scalar_kernels<double>(hidden_width, num_features);
}

FieldKernels<float> field_kernels_float(SimdLevel level, int hidden_width,
                                        int num_features, int num_inputs) {
#if RF_HAS_X86_SIMD
  if (num_inputs <= kMaxSimdInputs) {
    if (level == SimdLevel::avx512) return field_kernels_avx512(hidden_width);
    if (level == SimdLevel::avx2) return field_kernels_avx2(hidden_width);
  }
#endif
  return scalar_kernels<float>(hidden_width, num_features);
}

}  // namespace realfusion::cpu
