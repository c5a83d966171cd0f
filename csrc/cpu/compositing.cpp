// Volume rendering of packed rays on the CPU: threads own rays, so that results are the
// same for any number of threads.
#include <algorithm>
#include <array>
#include <vector>

#include "bindings/compositing_checks.h"
#include "bindings/huge_pages.h"
#include "core/volume_rendering.h"
#include "cpu/simd.h"

// Inlined into one function for each instruction set, which the compiler vectorises.
#define RF_RAY_LOOP inline __attribute__((always_inline))

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
    const int64_t last = to == num_owned
                             ? num_rays
                             : std::lower_bound(ray_offsets, end, to) - ray_offsets;
    body(first, last);
  });
}

// A copy of a ray's row of channels. Where their number is known it stays in registers,
// while the compiler must assume that any store overwrites a row in memory.
template <typename T, int64_t kNumChannels>
RF_RAY_LOOP auto copy_row(const T* row, std::integral_constant<int64_t, kNumChannels>) {
  std::array<T, kNumChannels> copy;
  std::copy_n(row, kNumChannels, copy.begin());
  return copy;
}
template <typename T>
RF_RAY_LOOP auto copy_row(const T* row, int64_t num_channels) {
  return std::vector<T>(row, row + num_channels);
}

// One call of the forward: samples [S], channels [S, C], directions [N, 3] or null, in;
// values [N, C], transmittance, depth, back_facing [N], weights [S], out.
template <typename T>
struct Forward {
  static constexpr bool kIsLastFirst = false;
  const T* densities;
  const T* channels;
  const T* t;
  const T* deltas;
  const int64_t* ray_offsets;
  const T* directions;
  T early_stop_transmittance;
  T* values;
  T* transmittance;
  T* depth;
  T* back_facing;
  T* weights;
};

// `num_channels` is an integral_constant for the usual counts, so that the loops over
// it unroll.
template <typename T, typename Channels>
RF_RAY_LOOP void composite_ray(const Forward<T>& call, Channels num_channels,
                               int64_t ray) {
  const RayRange range{call.ray_offsets[ray], call.ray_offsets[ray + 1]};
  const T* direction = call.directions ? call.directions + 3 * ray : nullptr;
  T* values = call.values + ray * num_channels;
  T alphas[kBlock];
  T transmittance = 1;
  T depth = 0;
  T back_facing = 0;
  std::fill_n(values, static_cast<int64_t>(num_channels), T(0));
  auto sums = copy_row(values, num_channels);
  int64_t i = range.begin;
  while (i < range.end && transmittance >= call.early_stop_transmittance) {
    const int64_t block = std::min(kBlock, range.end - i);
    for (int64_t k = 0; k < block; ++k) {
      alphas[k] = alpha_from_optical_depth(call.densities[i + k] * call.deltas[i + k]);
    }
    for (int64_t k = 0; k < block && transmittance >= call.early_stop_transmittance;
         ++k, ++i) {
      const RayStep<T> step = attenuate(transmittance, alphas[k]);
      transmittance = step.transmittance;
      call.weights[i] = step.weight;
      depth += step.weight * call.t[i];
      const T* channel = call.channels + i * num_channels;
      for (int64_t c = 0; c < num_channels; ++c) sums[c] += step.weight * channel[c];
      if (direction) {
        const T cosine = back_facing_cosine(channel + num_channels - 3, direction);
        back_facing += step.weight * cosine * cosine;
      }
    }
  }
  std::copy(sums.begin(), sums.end(), values);
  std::fill(call.weights + i, call.weights + range.end, T(0));
  call.transmittance[ray] = transmittance;
  call.depth[ray] = depth;
  if (direction) call.back_facing[ray] = back_facing;
}

// One call of the backward: upstream gradients as the outputs above, in; grad_densities
// [S], grad_channels [S, C], out.
template <typename T>
struct Backward {
  static constexpr bool kIsLastFirst = true;
  const T* grad_values;
  const T* grad_transmittance;
  const T* grad_depth;
  const T* grad_back_facing;
  const T* channels;
  const T* t;
  const T* deltas;
  const int64_t* ray_offsets;
  const T* directions;
  const T* weights;
  const T* transmittance;
  T early_stop_transmittance;
  T* grad_densities;
  T* grad_channels;
};

template <typename T, typename Channels>
RF_RAY_LOOP void composite_ray(const Backward<T>& call, Channels num_channels,
                               int64_t ray) {
  const auto grad_values =
      copy_row(call.grad_values + ray * num_channels, num_channels);
  const T final_transmittance = call.transmittance[ray];
  const T grad_opacity = -call.grad_transmittance[ray];
  const T grad_depth = call.grad_depth[ray];
  const T* direction = call.directions ? call.directions + 3 * ray : nullptr;
  const T grad_back_facing = direction ? call.grad_back_facing[ray] : T(0);
  RaySuffix<T> suffix;
  for (int64_t i = call.ray_offsets[ray + 1] - 1; i >= call.ray_offsets[ray]; --i) {
    const T weight = call.weights[i];
    const T* channel = call.channels + i * num_channels;
    T* grad_channel = call.grad_channels + i * num_channels;
    T response = grad_depth * call.t[i];
    for (int64_t c = 0; c < num_channels; ++c) {
      response += grad_values[c] * channel[c];
      grad_channel[c] = weight * grad_values[c];
    }
    if (direction) {
      const int64_t normal = num_channels - 3;
      const T slope = 2 * weight * grad_back_facing *
                      back_facing_cosine(channel + normal, direction);
      for (int k = 0; k < 3; ++k) grad_channel[normal + k] += slope * direction[k];
    }
    // Behind the point where the ray was cut off, weights and gradients are zero.
    const bool is_reached =
        final_transmittance + suffix.weight + weight >= call.early_stop_transmittance;
    const T grad = density_gradient(call.deltas[i], response, suffix,
                                    final_transmittance, grad_opacity);
    call.grad_densities[i] = is_reached ? grad : T(0);
    suffix.weight += weight;
    suffix.response += weight * response;
  }
}

// The rays in the order in which their samples are taken, so that memory is read and
// written in one direction: against it, the backward of 290 000 samples took 3 times as
// long.
template <typename Call, typename Channels>
RF_RAY_LOOP void composite_in_order(const Call& call, Channels num_channels,
                                    int64_t first, int64_t last) {
  if constexpr (Call::kIsLastFirst) {
    for (int64_t ray = last; ray-- > first;) composite_ray(call, num_channels, ray);
  } else {
    for (int64_t ray = first; ray < last; ++ray) composite_ray(call, num_channels, ray);
  }
}

template <typename Call, typename Channels>
void composite_rays(const Call& call, Channels num_channels, int64_t first,
                    int64_t last) {
  composite_in_order(call, num_channels, first, last);
}
#if RF_HAS_X86_SIMD
template <typename Call, typename Channels>
RF_TARGET_AVX2 void composite_rays_avx2(const Call& call, Channels num_channels,
                                        int64_t first, int64_t last) {
  composite_in_order(call, num_channels, first, last);
}
template <typename Call, typename Channels>
RF_TARGET_AVX512 void composite_rays_avx512(const Call& call, Channels num_channels,
                                            int64_t first, int64_t last) {
  composite_in_order(call, num_channels, first, last);
}
#endif

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

template <typename Call>
void run(const Call& call, const CompositeSizes& sizes) {
  with_channel_count(sizes.num_channels, [&](auto num_channels) {
    auto rays = composite_rays<Call, decltype(num_channels)>;
#if RF_HAS_X86_SIMD
    const SimdLevel level = simd_level();
    if (level == SimdLevel::avx2) {
      rays = composite_rays_avx2<Call, decltype(num_channels)>;
    } else if (level == SimdLevel::avx512) {
      rays = composite_rays_avx512<Call, decltype(num_channels)>;
    }
#endif
    parallel_for_rays(
        call.ray_offsets, sizes.num_rays,
        [&](int64_t first, int64_t last) { rays(call, num_channels, first, last); });
  });
}

using Composited = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;
using Directions = std::optional<Tensor>;

template <typename T>
const T* data_or_null(const Directions& directions) {
  return directions ? directions->const_data_ptr<T>() : nullptr;
}

template <typename T>
Composited run_composite(const CompositeSizes& sizes, const Tensor& densities,
                         const Tensor& channels, const Tensor& t, const Tensor& deltas,
                         const Tensor& ray_offsets, const Directions& directions,
                         T early_stop_transmittance) {
  auto values =
      torch::stable::new_empty(channels, {sizes.num_rays, sizes.num_channels});
  auto transmittance = torch::stable::new_empty(channels, {sizes.num_rays});
  auto depth = torch::stable::new_empty(channels, {sizes.num_rays});
  auto back_facing = torch::stable::new_empty(channels, {sizes.num_facing});
  auto weights = torch::stable::new_empty(channels, {sizes.num_samples});
  const Forward<T> call{densities.const_data_ptr<T>(),
                        channels.const_data_ptr<T>(),
                        t.const_data_ptr<T>(),
                        deltas.const_data_ptr<T>(),
                        ray_offsets.const_data_ptr<int64_t>(),
                        data_or_null<T>(directions),
                        early_stop_transmittance,
                        values.mutable_data_ptr<T>(),
                        transmittance.mutable_data_ptr<T>(),
                        depth.mutable_data_ptr<T>(),
                        back_facing.mutable_data_ptr<T>(),
                        weights.mutable_data_ptr<T>()};
  run(call, sizes);
  std::fill(call.weights + call.ray_offsets[sizes.num_rays],
            call.weights + sizes.num_samples, T(0));
  return {values, transmittance, depth, back_facing, weights};
}

template <typename T>
std::tuple<Tensor, Tensor> run_composite_backward(
    const CompositeSizes& sizes, const Tensor& grad_values,
    const Tensor& grad_transmittance, const Tensor& grad_depth,
    const Tensor& grad_back_facing, const Tensor& channels, const Tensor& t,
    const Tensor& deltas, const Tensor& ray_offsets, const Directions& directions,
    const Tensor& weights, const Tensor& transmittance, T early_stop_transmittance) {
  auto grad_densities = torch::stable::new_empty(channels, {sizes.num_samples});
  auto grad_channels = on_huge_pages(
      torch::stable::new_empty(channels, {sizes.num_samples, sizes.num_channels}));
  const Backward<T> call{
      grad_values.const_data_ptr<T>(),      grad_transmittance.const_data_ptr<T>(),
      grad_depth.const_data_ptr<T>(),       grad_back_facing.const_data_ptr<T>(),
      channels.const_data_ptr<T>(),         t.const_data_ptr<T>(),
      deltas.const_data_ptr<T>(),           ray_offsets.const_data_ptr<int64_t>(),
      data_or_null<T>(directions),          weights.const_data_ptr<T>(),
      transmittance.const_data_ptr<T>(),    early_stop_transmittance,
      grad_densities.mutable_data_ptr<T>(), grad_channels.mutable_data_ptr<T>()};
  run(call, sizes);
  const int64_t num_owned = call.ray_offsets[sizes.num_rays];
  std::fill(call.grad_densities + num_owned, call.grad_densities + sizes.num_samples,
            T(0));
  std::fill(call.grad_channels + num_owned * sizes.num_channels,
            call.grad_channels + sizes.num_samples * sizes.num_channels, T(0));
  return {grad_densities, grad_channels};
}

Composited composite(const Tensor& densities, const Tensor& channels, const Tensor& t,
                     const Tensor& deltas, const Tensor& ray_offsets,
                     const Directions& directions, double early_stop_transmittance) {
  const char* op = "composite";
  const CompositeSizes sizes =
      check_composite(op, channels, t, deltas, ray_offsets, directions);
  check_tensor(op, "densities", densities, {sizes.num_samples}, channels.scalar_type());
  check_ray_offsets(op, ray_offsets.const_data_ptr<int64_t>(), sizes.num_rays,
                    sizes.num_samples);
  if (channels.scalar_type() == ScalarType::Double) {
    return run_composite<double>(sizes, densities, channels, t, deltas, ray_offsets,
                                 directions, early_stop_transmittance);
  }
  check_dtype(op, "channels", channels, ScalarType::Float);
  return run_composite<float>(sizes, densities, channels, t, deltas, ray_offsets,
                              directions, static_cast<float>(early_stop_transmittance));
}

std::tuple<Tensor, Tensor> composite_backward(
    const Tensor& grad_values, const Tensor& grad_transmittance,
    const Tensor& grad_depth, const Tensor& grad_back_facing, const Tensor& channels,
    const Tensor& t, const Tensor& deltas, const Tensor& ray_offsets,
    const Directions& directions, const Tensor& weights, const Tensor& transmittance,
    double early_stop_transmittance) {
  const char* op = "composite_backward";
  const CompositeSizes sizes =
      check_composite(op, channels, t, deltas, ray_offsets, directions);
  const ScalarType dtype = channels.scalar_type();
  check_tensor(op, "grad_values", grad_values, {sizes.num_rays, sizes.num_channels},
               dtype);
  check_tensor(op, "grad_transmittance", grad_transmittance, {sizes.num_rays}, dtype);
  check_tensor(op, "grad_depth", grad_depth, {sizes.num_rays}, dtype);
  check_tensor(op, "grad_back_facing", grad_back_facing, {sizes.num_facing}, dtype);
  check_tensor(op, "weights", weights, {sizes.num_samples}, dtype);
  check_tensor(op, "transmittance", transmittance, {sizes.num_rays}, dtype);
  check_ray_offsets(op, ray_offsets.const_data_ptr<int64_t>(), sizes.num_rays,
                    sizes.num_samples);
  if (dtype == ScalarType::Double) {
    return run_composite_backward<double>(sizes, grad_values, grad_transmittance,
                                          grad_depth, grad_back_facing, channels, t,
                                          deltas, ray_offsets, directions, weights,
                                          transmittance, early_stop_transmittance);
  }
  check_dtype(op, "channels", channels, ScalarType::Float);
  return run_composite_backward<float>(
      sizes, grad_values, grad_transmittance, grad_depth, grad_back_facing, channels, t,
      deltas, ray_offsets, directions, weights, transmittance,
      static_cast<float>(early_stop_transmittance));
}

}  // namespace
}  // namespace realfusion

STABLE_TORCH_LIBRARY_IMPL(realfusion, CPU, m) {
  m.impl("composite", TORCH_BOX(&realfusion::composite));
  m.impl("composite_backward", TORCH_BOX(&realfusion::composite_backward));
}
