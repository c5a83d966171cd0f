// The radiance field on groups of samples, for one SIMD instruction set. Included by
// radiance_field_avx2.cpp and radiance_field_avx512.cpp, each of which has switched the
// compiler to its target, names a namespace of its own and defines the vector class V
// in it; everything here is in an unnamed namespace too, so that no function of one
// target can be linked into another.
//
// Two layouts alternate. The hash grid runs with the samples in the lanes: arrays
// [feature][sample]. The network runs with the hidden units in the lanes: arrays
// [sample][unit], where a ReLU mask is the result of one comparison a vector, a product
// with a masked vector touches only the rows of the active units (half the work of a
// dense product), and the weights' gradients are outer products whose sums stay in
// registers over a whole tile. Only features cross from one layout to the other.
//
// The hash grid takes a whole group of samples through one level before the next, so
// that the level stays in the second-level cache; the network takes tiles of the group,
// so that their activations do.
//
// Numbers in comments are the steps of the algorithm in core/field.h's terms:
// 1 gather, 2 forward, 3 activations, 4 reverse pass, 5 gradient; 7-8 activations
// backward, 9 gather with tangent, 10-12 hidden layers, 13 weights, 14 scatter.

namespace RF_FIELD_NAMESPACE {
namespace {

constexpr int kTile = 128;    // samples
constexpr int kPadding = 16;  // a group is filled up to whole vectors of any target
constexpr int kMaxGroup = kMaxFieldGroup;
constexpr int kMaxInputs = kMaxSimdInputs;

// On loops of constant length over vectors: an array of vectors stays in registers only
// where every index is a constant.
#if defined(__clang__)
#define RF_UNROLL_ALL _Pragma("unroll")
#else
#define RF_UNROLL_ALL _Pragma("GCC unroll 16")
#endif

// On the stages of a tile: inlined into one another, their registers spill.
#define RF_STAGE __attribute__((noinline))

using Float = V::Float;
using Mask = V::Mask;
using Int = V::Int;
constexpr int N = V::kLanes;

constexpr int round_up(int count, int multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

}  // namespace
}  // namespace RF_FIELD_NAMESPACE

#include "cpu/radiance_field_simd_grid.h"
#include "cpu/radiance_field_simd_network.h"

// After the network, whose layouts they share.
#include "cpu/radiance_field_simd_gradients.h"

namespace RF_FIELD_NAMESPACE {
namespace {

// Calls body with the number of features a level as a constant.
template <class Body>
inline void with_features(int num_features, const Body& body) {
  switch (num_features) {
    case 1:
      return body(std::integral_constant<int, 1>());
    case 2:
      return body(std::integral_constant<int, 2>());
    case 4:
      return body(std::integral_constant<int, 4>());
    default:
      return body(std::integral_constant<int, 8>());
  }
}

// Positions of a group, world [3][kMaxGroup] and unit [3][unit_stride]. Samples outside
// the box, and those that fill up the last vector, stand at the centre and are not
// inside.
RF_STAGE void load_positions(const FieldProblem<float>& problem, int64_t begin,
                             int num_samples, float* world, float* unit,
                             int64_t unit_stride, int32_t* is_inside) {
  const int num_padded = round_up(num_samples, kPadding);
  for (int s = 0; s < num_padded; ++s) {
    const float* position =
        problem.positions + 3 * (begin + std::min(s, num_samples - 1));
    float in_cube[3];
    to_unit_cube(problem.settings, position, in_cube);
    const bool keep = s < num_samples && is_in_unit_cube(in_cube);
    is_inside[s] = keep;
    for (int axis = 0; axis < 3; ++axis) {
      world[axis * kMaxGroup + s] = keep ? position[axis] : 0.0f;
      unit[axis * unit_stride + s] = keep ? in_cube[axis] : 0.5f;
    }
  }
}

// What a forward keeps of a group. `features` turn into the reverse pass's, tile by
// tile.
struct ForwardGroup {
  alignas(64) float world[3 * kMaxGroup];
  alignas(64) float unit[3 * kMaxGroup];
  alignas(64) float gradient[3 * kMaxGroup];
  alignas(64) float blob[kMaxGroup];
  alignas(64) float features[kMaxInputs * kMaxGroup];
  alignas(64) int32_t is_inside[kMaxGroup];
};

template <int H>
struct ForwardTile {
  alignas(64) float hidden1[kTile * H];
  alignas(64) float reverse1[kTile * H];
  alignas(64) float outputs[kTile * kFieldOutputs];
  uint64_t masks1[kTile];
  uint64_t masks2[kTile];
};

// 3: what the network's outputs mean: density and albedo. Loops over plain arrays,
// which the compiler turns into vectors.
RF_STAGE void activate_tile(const FieldProblem<float>& problem, const float* world,
                            const int32_t* is_inside, int num_padded, float* outputs,
                            float* blobs) {
  alignas(64) float powers[kTile * kFieldOutputs];
  if (problem.settings.blob_density == 0.0f) {
    std::fill_n(blobs, num_padded, 0.0f);
  } else {
    for (int s = 0; s < num_padded; ++s) {
      const float position[3] = {world[s], world[kMaxGroup + s],
                                 world[2 * kMaxGroup + s]};
      blobs[s] = density_blob(problem.settings, position);
    }
  }
  for (int s = 0; s < num_padded; ++s) {
    powers[4 * s] = std::min(outputs[4 * s] + blobs[s], kMaxLogDensity);
    for (int c = 1; c < 4; ++c) powers[4 * s + c] = -outputs[4 * s + c];
  }
  for (int k = 0; k < 4 * num_padded; ++k) powers[k] = exponential(powers[k]);
  for (int k = 0; k < 4 * num_padded; ++k) outputs[k] = 1.0f / (1.0f + powers[k]);
  for (int s = 0; s < num_padded; ++s) {
    const float keep = is_inside[s] != 0 ? 1.0f : 0.0f;
    outputs[4 * s] = keep * powers[4 * s];
    for (int c = 1; c < 4; ++c) outputs[4 * s + c] *= keep;
  }
}

// The network on one tile: the samples first.. of the group, i.. of the call.
template <int H, bool kWithNormal>
void forward_tile(const FieldProblem<float>& problem, const PackedNetwork<H>& network,
                  const FieldOutputs<float>& out, int64_t i, int first, int num_samples,
                  ForwardGroup& group, ForwardTile<H>& tile) {
  const int num_padded = round_up(num_samples, kPadding);
  const int32_t* is_inside = group.is_inside + first;
  float* features = group.features + first;
  hidden_layer1<H>(network, features, kMaxGroup, num_padded, tile.hidden1, tile.masks1);
  hidden_layer2_and_outputs<H>(network, tile.hidden1, tile.masks1, num_padded,
                               tile.outputs, tile.masks2);
  activate_tile(problem, group.world + first, is_inside, num_padded, tile.outputs,
                group.blob + first);
  if constexpr (kWithNormal) {
    reverse_layer2<H>(network, tile.masks1, tile.masks2, num_padded, tile.reverse1);
    backward_layer1<H>(network, tile.reverse1, tile.masks1, num_padded, features,
                       kMaxGroup);
  }
  for (int s = 0; s < num_samples; ++s) {
    out.densities[i + s] = tile.outputs[4 * s];
    for (int c = 0; c < 3; ++c)
      out.albedo[3 * (i + s) + c] = tile.outputs[4 * s + 1 + c];
    out.masks[2 * (i + s)] = is_inside[s] != 0 ? tile.masks1[s] : 0;
    out.masks[2 * (i + s) + 1] = is_inside[s] != 0 ? tile.masks2[s] : 0;
  }
}

// 5: the gradient of the log-density and the normal.
RF_STAGE void finish_normals(const FieldProblem<float>& problem,
                             const FieldOutputs<float>& out, int64_t begin,
                             int num_samples, const ForwardGroup& group) {
  for (int s = 0; s < num_samples; ++s) {
    const float pull = -group.blob[s] * problem.settings.blob_inverse_variance;
    float* gradient = out.gradients + 3 * (begin + s);
    for (int axis = 0; axis < 3; ++axis) {
      const int k = axis * kMaxGroup + s;
      const float value =
          group.gradient[k] * problem.settings.inverse_extent + pull * group.world[k];
      gradient[axis] = group.is_inside[s] != 0 ? value : 0.0f;
    }
    normal_from_gradient(gradient, out.normals + 3 * (begin + s));
  }
}

template <int H, bool kWithNormal>
void forward_group(const FieldProblem<float>& problem, const FieldOutputs<float>& out,
                   int64_t begin, int64_t end) {
  // Kept from call to call: fresh memory would fault in page by page.
  static thread_local const auto group = std::make_unique<ForwardGroup>();
  const int num_samples = static_cast<int>(end - begin);
  const int num_padded = round_up(num_samples, kPadding);
  const PackedNetwork<H> network(problem);
  ForwardTile<H> tile;
  load_positions(problem, begin, num_samples, group->world, group->unit, kMaxGroup,
                 group->is_inside);
  with_features(problem.grid.num_features, [&](auto features) {
    encode_group<features>(problem, group->unit, kMaxGroup, num_padded,
                           group->features);
  });
  for (int first = 0; first < num_samples; first += kTile) {
    forward_tile<H, kWithNormal>(problem, network, out, begin + first, first,
                                 std::min(kTile, num_samples - first), *group, tile);
  }
  if constexpr (kWithNormal) {
    with_features(problem.grid.num_features, [&](auto features) {
      differentiate_group<features>(problem, group->unit, group->features, kMaxGroup,
                                    num_padded, group->gradient);
    });
    finish_normals(problem, out, begin, num_samples, *group);
  }
}

// A backward keeps a group's positions, directions and features where the scatter will
// read them; the features and tangents turn into their gradients, tile by tile.
struct BackwardGroup {
  alignas(64) float world[3 * kMaxGroup];
  alignas(64) int32_t is_inside[kMaxGroup];
  alignas(64) float grad_outputs[kMaxGroup * kFieldOutputs];
  uint64_t masks1[kMaxGroup];
  uint64_t masks2[kMaxGroup];
};

template <int H>
struct BackwardTile {
  alignas(64) float hidden1[kTile * H];
  alignas(64) float hidden2[kTile * H];
  alignas(64) float tangent1[kTile * H];
  alignas(64) float grad1[kTile * H];
  alignas(64) float grad2[kTile * H];
  alignas(64) float reverse1[kTile * H];
};

// 7, 8: from the saved outputs and the upstream gradients to obar and zbar. Samples
// that are not inside keep masks of zeros and hence no gradient at all.
template <bool kWithNormal>
RF_STAGE void backward_activations(const FieldProblem<float>& problem,
                                   const FieldOutputs<float>& saved,
                                   const FieldUpstreams<float>& upstreams,
                                   int64_t begin, int num_samples, int64_t stride,
                                   BackwardGroup& group, float* directions) {
  const int num_padded = round_up(num_samples, kPadding);
  for (int s = 0; s < num_padded; ++s) {
    float* grad_outputs = group.grad_outputs + kFieldOutputs * s;
    float direction[3] = {0.0f, 0.0f, 0.0f};
    group.masks1[s] = group.masks2[s] = 0;
    std::fill_n(grad_outputs, kFieldOutputs, 0.0f);
    if (group.is_inside[s] != 0) {
      const int64_t i = begin + s;
      group.masks1[s] = saved.masks[2 * i];
      group.masks2[s] = saved.masks[2 * i + 1];
      FieldUpstream<float> upstream{};
      if (upstreams.densities != nullptr) upstream.density = upstreams.densities[i];
      if (upstreams.albedo != nullptr) {
        for (int c = 0; c < 3; ++c) upstream.albedo[c] = upstreams.albedo[3 * i + c];
      }
      activation_backward(saved.densities[i], saved.albedo + 3 * i, upstream,
                          grad_outputs);
      if constexpr (kWithNormal) {
        normal_from_gradient_backward(saved.gradients + 3 * i,
                                      upstreams.normals + 3 * i, direction);
      }
    }
    if constexpr (kWithNormal) {
      for (int axis = 0; axis < 3; ++axis) {
        directions[axis * stride + s] =
            direction[axis] * problem.settings.inverse_extent;
      }
    }
  }
}

// The network on one tile; features and tangents [..][stride] are the group's, in and
// (their gradients) out.
template <int H, bool kWithNormal>
void backward_tile(const PackedNetwork<H>& network, const uint64_t* masks1,
                   const uint64_t* masks2, const float* grad_outputs, int num_padded,
                   int64_t stride, float* features, float* tangents,
                   BackwardTile<H>& tile, PackedGradients<H>& gradients) {
  const int n = num_padded;
  const int num_inputs = network.num_inputs;
  masked_layer1<H>(network, features, stride, network.b1, masks1, n, tile.hidden1);
  masked_layer2<H>(network, tile.hidden1, masks1, masks2, n, tile.hidden2);
  backward_outputs<H>(network, grad_outputs, masks2, n, tile.grad2);
  backward_layer2<H>(network, tile.grad2, masks1, masks2, n, tile.grad1);
  if constexpr (kWithNormal) {
    masked_layer1<H>(network, tangents, stride, nullptr, masks1, n, tile.tangent1);
    reverse_layer2<H>(network, masks1, masks2, n, tile.reverse1);
    add_gated<H>(masks2, tile.tangent1, n, gradients.gate[0]);
    add_outer_products<H>(tile.reverse1, tangents, stride, 1, num_inputs, n,
                          gradients.w1[0]);
    backward_layer1<H>(network, tile.reverse1, masks1, n, tangents, stride);
  }
  add_outer_products<H>(tile.grad1, features, stride, 1, num_inputs, n,
                        gradients.w1[0]);
  backward_layer1<H>(network, tile.grad1, masks1, n, features, stride);
  add_outer_products<H>(tile.grad2, tile.hidden1, 1, H, H, n, gradients.w2[0]);
  add_outer_products<H>(tile.hidden2, grad_outputs, 1, kFieldOutputs, kFieldOutputs, n,
                        gradients.w3[0]);
  add_rows<H>(tile.grad1, n, gradients.b1);
  add_rows<H>(tile.grad2, n, gradients.b2);
  for (int s = 0; s < n; ++s) {
    for (int o = 0; o < kFieldOutputs; ++o) {
      gradients.b3[o] += grad_outputs[s * kFieldOutputs + o];
    }
  }
}

template <int H, bool kWithNormal>
void backward_group(const FieldProblem<float>& problem,
                    const FieldOutputs<float>& saved,
                    const FieldUpstreams<float>& upstreams,
                    const FieldScatter<float>& scatter, float* network_gradients,
                    int64_t begin, int64_t end) {
  static thread_local const auto group = std::make_unique<BackwardGroup>();
  const int num_samples = static_cast<int>(end - begin);
  const int num_padded = round_up(num_samples, kPadding);
  const int64_t stride = scatter.stride;
  const int64_t column = begin - scatter.first_sample;
  float* unit = scatter.unit + column;
  float* features = scatter.features + column;
  float* directions = kWithNormal ? scatter.directions + column : nullptr;
  float* tangents = kWithNormal ? scatter.reverse + column : nullptr;
  load_positions(problem, begin, num_samples, group->world, unit, stride,
                 group->is_inside);
  backward_activations<kWithNormal>(problem, saved, upstreams, begin, num_samples,
                                    stride, *group, directions);
  with_features(problem.grid.num_features, [&](auto count) {
    if constexpr (kWithNormal) {
      encode_group_along<count>(problem, unit, directions, stride, num_padded, features,
                                tangents);
    } else {
      encode_group<count>(problem, unit, stride, num_padded, features);
    }
  });
  const PackedNetwork<H> network(problem);
  PackedGradients<H> gradients{};
  BackwardTile<H> tile;
  for (int first = 0; first < num_padded; first += kTile) {
    backward_tile<H, kWithNormal>(
        network, group->masks1 + first, group->masks2 + first,
        group->grad_outputs + kFieldOutputs * first,
        std::min(kTile, num_padded - first), stride, features + first,
        kWithNormal ? tangents + first : nullptr, tile, gradients);
  }
  unpack_gradients<H>(problem, network, gradients, network_gradients);
}

// ---- The kernels' table ----

template <int H>
FieldKernels<float> kernels_of_width() {
  FieldKernels<float> kernels{};
  kernels.forward = [](const FieldProblem<float>& problem,
                       const FieldOutputs<float>& outputs, int64_t begin, int64_t end) {
    if (problem.with_normals) {
      forward_group<H, true>(problem, outputs, begin, end);
    } else {
      forward_group<H, false>(problem, outputs, begin, end);
    }
  };
  kernels.backward =
      [](const FieldProblem<float>& problem, const FieldOutputs<float>& saved,
         const FieldUpstreams<float>& upstreams, const FieldScatter<float>& scatter,
         float* network_gradients, int64_t begin, int64_t end) {
        if (problem.with_normals) {
          backward_group<H, true>(problem, saved, upstreams, scatter, network_gradients,
                                  begin, end);
        } else {
          backward_group<H, false>(problem, saved, upstreams, scatter,
                                   network_gradients, begin, end);
        }
      };
  return kernels;
}

template <bool kWithNormal, bool kWhole>
void scatter_with_features(const FieldProblem<float>& problem,
                           const FieldScatter<float>& scatter, int level,
                           uint32_t first_entry, uint32_t last_entry, float* grad_table,
                           int64_t num_samples) {
  with_features(problem.grid.num_features, [&](auto features) {
    scatter_block<features, kWithNormal, kWhole>(problem, scatter, level, first_entry,
                                                 last_entry, grad_table, num_samples);
  });
}

void scatter_any(const FieldProblem<float>& problem, const FieldScatter<float>& scatter,
                 int level, uint32_t first_entry, uint32_t last_entry,
                 float* grad_table, int64_t num_samples) {
  const bool with_normals = scatter.reverse != nullptr;
  const bool is_whole =
      first_entry == 0 && last_entry == problem.grid.levels[level].size;
  const auto run = with_normals ? (is_whole ? scatter_with_features<true, true>
                                            : scatter_with_features<true, false>)
                                : (is_whole ? scatter_with_features<false, true>
                                            : scatter_with_features<false, false>);
  run(problem, scatter, level, first_entry, last_entry, grad_table, num_samples);
}

FieldKernels<float> simd_kernels(int hidden_width) {
  FieldKernels<float> kernels{};
  if (hidden_width == 16) kernels = kernels_of_width<16>();
  if (hidden_width == 32) kernels = kernels_of_width<32>();
  if (hidden_width == 64) kernels = kernels_of_width<64>();
  kernels.scatter = scatter_any;
  return kernels;
}

}  // namespace
}  // namespace RF_FIELD_NAMESPACE

#undef RF_UNROLL_ALL
#undef RF_STAGE
