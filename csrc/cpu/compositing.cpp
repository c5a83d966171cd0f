// Volume rendering of packed rays on the CPU: threads own rays, so that results are the
// same for any number of threads.
#include <algorithm>

#include "bindings/compositing_checks.h"
#include "core/volume_rendering.h"

namespace realfusion {
namespace {

// Samples whose opacities are computed at a time, in one vectorised loop. Early
// termination wastes at most one such block.
constexpr int64_t kBlock = 64;

// Samples a task holds at least: below that, starting a thread costs more.
constexpr int64_t kGrain = 4096;

struct RayRange {
  int64_t begin;
  int64_t end;
};

// Calls body(first_ray, last_ray) in parallel, with the rays shared out by their
// samples: rays through the object have many, the others none. A ray belongs to the
// task in whose range of samples it starts.
template <typename Body>
void parallel_for_rays(const int64_t* ray_offsets, int64_t num_rays, const Body& body) {
  const int64_t num_owned = ray_offsets[num_rays];
  if (num_owned == 0) {
    body(0, num_rays);
    return;
  }
  const int64_t* end = ray_offsets + num_rays;
  torch::stable::parallel_for(0, num_owned, kGrain, [&](int64_t from, int64_t to) {
    const int64_t first = std::lower_bound(ray_offsets, end, from) - ray_offsets;
    const int64_t last =
        to == num_owned ? num_rays : std::lower_bound(ray_offsets, end, to) - ray_offsets;
    body(first, last);
  });
}

void check_ray_offsets(const char* op, const int64_t* ray_offsets, int64_t num_rays,
                       int64_t num_samples) {
  const bool is_sorted = std::is_sorted(ray_offsets, ray_offsets + num_rays + 1);
  REALFUSION_CHECK(
      is_sorted && ray_offsets[0] == 0 && ray_offsets[num_rays] <= num_samples, op,
      ": `ray_offsets` must ascend from 0 to at most the number of samples (",
      num_samples, "), got ", ray_offsets[0], " to ", ray_offsets[num_rays],
      is_sorted ? "" : ", not ascending");
}

// The ray's colour (and whatever else is in the channels) and depth. `num_channels` is
// an integral_constant for the usual counts, so that the loops over it unroll.
//
// densities, t, deltas [S], channels [S, C], in; values [C], weights [S], out.
template <typename T, typename Channels>
T composite_ray(RayRange range, Channels num_channels, T early_stop_transmittance,
                const T* densities, const T* channels, const T* t, const T* deltas,
                T* values, T* depth, T* weights) {
  T alphas[kBlock];
  T transmittance = 1;
  T depth_sum = 0;
  int64_t i = range.begin;
  while (i < range.end && transmittance >= early_stop_transmittance) {
    const int64_t block = std::min(kBlock, range.end - i);
    for (int64_t k = 0; k < block; ++k) {
      alphas[k] = alpha_from_optical_depth(densities[i + k] * deltas[i + k]);
    }
    for (int64_t k = 0; k < block && transmittance >= early_stop_transmittance; ++k, ++i) {
      const RayStep<T> step = attenuate(transmittance, alphas[k]);
      transmittance = step.transmittance;
      weights[i] = step.weight;
      depth_sum += step.weight * t[i];
      const T* channel = channels + i * num_channels;
      for (int64_t c = 0; c < num_channels; ++c) values[c] += step.weight * channel[c];
    }
  }
  std::fill(weights + i, weights + range.end, T(0));
  *depth = depth_sum;
  return transmittance;
}

// grad_values [C], in; grad_densities [S], grad_channels [S, C], out, zero on entry.
template <typename T, typename Channels>
void composite_ray_backward(RayRange range, Channels num_channels,
                            T early_stop_transmittance, const T* grad_values,
                            T grad_opacity, T grad_depth, const T* channels, const T* t,
                            const T* deltas, const T* weights, T final_transmittance,
                            T* grad_densities, T* grad_channels) {
  RaySuffix<T> suffix;
  for (int64_t i = range.end - 1; i >= range.begin; --i) {
    const T weight = weights[i];
    if (final_transmittance + suffix.weight + weight < early_stop_transmittance) {
      continue;  // behind the point where the ray was cut off
    }
    const T* channel = channels + i * num_channels;
    T* grad_channel = grad_channels + i * num_channels;
    T response = grad_depth * t[i];
    for (int64_t c = 0; c < num_channels; ++c) {
      response += grad_values[c] * channel[c];
      grad_channel[c] = weight * grad_values[c];
    }
    grad_densities[i] =
        density_gradient(deltas[i], response, suffix, final_transmittance, grad_opacity);
    suffix.weight += weight;
    suffix.response += weight * response;
  }
}

// Calls body with the number of channels, as a constant where it is a usual one: colour
// 3, colour and normal 6, with one more 7.
template <typename Body>
void with_channel_count(int64_t num_channels, const Body& body) {
  switch (num_channels) {
    case 1:
      return body(std::integral_constant<int64_t, 1>());
    case 3:
      return body(std::integral_constant<int64_t, 3>());
    case 4:
      return body(std::integral_constant<int64_t, 4>());
    case 6:
      return body(std::integral_constant<int64_t, 6>());
    case 7:
      return body(std::integral_constant<int64_t, 7>());
    default:
      return body(num_channels);
  }
}

using Composited = std::tuple<Tensor, Tensor, Tensor, Tensor>;

template <typename T>
Composited run_composite(const CompositeSizes& sizes, const Tensor& densities,
                         const Tensor& channels, const Tensor& t, const Tensor& deltas,
                         const Tensor& ray_offsets, T early_stop_transmittance) {
  const auto [num_rays, num_samples, num_channels] = sizes;
  auto values = torch::stable::new_zeros(channels, {num_rays, num_channels});
  auto transmittance = torch::stable::new_empty(channels, {num_rays});
  auto depth = torch::stable::new_empty(channels, {num_rays});
  auto weights = torch::stable::new_empty(channels, {num_samples});
  const int64_t* offsets = ray_offsets.const_data_ptr<int64_t>();
  const T* densities_in = densities.const_data_ptr<T>();
  const T* channels_in = channels.const_data_ptr<T>();
  const T* t_in = t.const_data_ptr<T>();
  const T* deltas_in = deltas.const_data_ptr<T>();
  T* values_out = values.mutable_data_ptr<T>();
  T* transmittance_out = transmittance.mutable_data_ptr<T>();
  T* depth_out = depth.mutable_data_ptr<T>();
  T* weights_out = weights.mutable_data_ptr<T>();
  with_channel_count(num_channels, [&](auto channel_count) {
    parallel_for_rays(offsets, num_rays, [&](int64_t first, int64_t last) {
      for (int64_t ray = first; ray < last; ++ray) {
        transmittance_out[ray] = composite_ray<T>(
            {offsets[ray], offsets[ray + 1]}, channel_count, early_stop_transmittance,
            densities_in, channels_in, t_in, deltas_in, values_out + ray * channel_count,
            depth_out + ray, weights_out);
      }
    });
  });
  std::fill(weights_out + offsets[num_rays], weights_out + num_samples, T(0));
  return {values, transmittance, depth, weights};
}

template <typename T>
std::tuple<Tensor, Tensor> run_composite_backward(
    const CompositeSizes& sizes, const Tensor& grad_values,
    const Tensor& grad_transmittance, const Tensor& grad_depth, const Tensor& channels,
    const Tensor& t, const Tensor& deltas, const Tensor& ray_offsets,
    const Tensor& weights, const Tensor& transmittance, T early_stop_transmittance) {
  const auto [num_rays, num_samples, num_channels] = sizes;
  auto grad_densities = torch::stable::new_zeros(channels, {num_samples});
  auto grad_channels = torch::stable::new_zeros(channels, {num_samples, num_channels});
  const int64_t* offsets = ray_offsets.const_data_ptr<int64_t>();
  const T* grad_values_in = grad_values.const_data_ptr<T>();
  const T* grad_transmittance_in = grad_transmittance.const_data_ptr<T>();
  const T* grad_depth_in = grad_depth.const_data_ptr<T>();
  const T* channels_in = channels.const_data_ptr<T>();
  const T* t_in = t.const_data_ptr<T>();
  const T* deltas_in = deltas.const_data_ptr<T>();
  const T* weights_in = weights.const_data_ptr<T>();
  const T* transmittance_in = transmittance.const_data_ptr<T>();
  T* grad_densities_out = grad_densities.mutable_data_ptr<T>();
  T* grad_channels_out = grad_channels.mutable_data_ptr<T>();
  with_channel_count(num_channels, [&](auto channel_count) {
    parallel_for_rays(offsets, num_rays, [&](int64_t first, int64_t last) {
      for (int64_t ray = first; ray < last; ++ray) {
        composite_ray_backward<T>(
            {offsets[ray], offsets[ray + 1]}, channel_count, early_stop_transmittance,
            grad_values_in + ray * channel_count, -grad_transmittance_in[ray],
            grad_depth_in[ray], channels_in, t_in, deltas_in, weights_in,
            transmittance_in[ray], grad_densities_out, grad_channels_out);
      }
    });
  });
  return {grad_densities, grad_channels};
}

Composited composite(const Tensor& densities, const Tensor& channels, const Tensor& t,
                     const Tensor& deltas, const Tensor& ray_offsets,
                     double early_stop_transmittance) {
  const char* op = "composite";
  const CompositeSizes sizes = check_composite(op, channels, t, deltas, ray_offsets);
  check_tensor(op, "densities", densities, {sizes.num_samples}, channels.scalar_type());
  check_ray_offsets(op, ray_offsets.const_data_ptr<int64_t>(), sizes.num_rays,
                    sizes.num_samples);
  if (channels.scalar_type() == ScalarType::Double) {
    return run_composite<double>(sizes, densities, channels, t, deltas, ray_offsets,
                                 early_stop_transmittance);
  }
  check_dtype(op, "channels", channels, ScalarType::Float);
  return run_composite<float>(sizes, densities, channels, t, deltas, ray_offsets,
                              static_cast<float>(early_stop_transmittance));
}

std::tuple<Tensor, Tensor> composite_backward(
    const Tensor& grad_values, const Tensor& grad_transmittance, const Tensor& grad_depth,
    const Tensor& channels, const Tensor& t, const Tensor& deltas,
    const Tensor& ray_offsets, const Tensor& weights, const Tensor& transmittance,
    double early_stop_transmittance) {
  const char* op = "composite_backward";
  const CompositeSizes sizes = check_composite(op, channels, t, deltas, ray_offsets);
  const ScalarType dtype = channels.scalar_type();
  check_tensor(op, "grad_values", grad_values, {sizes.num_rays, sizes.num_channels}, dtype);
  check_tensor(op, "grad_transmittance", grad_transmittance, {sizes.num_rays}, dtype);
  check_tensor(op, "grad_depth", grad_depth, {sizes.num_rays}, dtype);
  check_tensor(op, "weights", weights, {sizes.num_samples}, dtype);
  check_tensor(op, "transmittance", transmittance, {sizes.num_rays}, dtype);
  check_ray_offsets(op, ray_offsets.const_data_ptr<int64_t>(), sizes.num_rays,
                    sizes.num_samples);
  if (dtype == ScalarType::Double) {
    return run_composite_backward<double>(
        sizes, grad_values, grad_transmittance, grad_depth, channels, t, deltas,
        ray_offsets, weights, transmittance, early_stop_transmittance);
  }
  check_dtype(op, "channels", channels, ScalarType::Float);
  return run_composite_backward<float>(
      sizes, grad_values, grad_transmittance, grad_depth, channels, t, deltas,
      ray_offsets, weights, transmittance, static_cast<float>(early_stop_transmittance));
}

}  // namespace
}  // namespace realfusion

STABLE_TORCH_LIBRARY_IMPL(realfusion, CPU, m) {
  m.impl("composite", TORCH_BOX(&realfusion::composite));
  m.impl("composite_backward", TORCH_BOX(&realfusion::composite_backward));
}
