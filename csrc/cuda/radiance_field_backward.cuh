// Backward of the fused radiance field on the device; radiance_field_tile.cuh says how
// a block shares out its work.
#pragma once

#include "cuda/radiance_field_gradients.cuh"

namespace realfusion::cuda {

// 7, 8: obar and zbar (in units of the cube) of the lane's sample.
template <bool kWithNormal>
__device__ inline void backward_activations(const FieldCall& call, const FieldLane& own,
                                            const FieldArrays& saved,
                                            const FieldUpstreamArrays& upstreams,
                                            float grad_outputs[kFieldOutputs],
                                            float direction[3]) {
  RF_UNROLL
  for (int o = 0; o < kFieldOutputs; ++o) grad_outputs[o] = 0.0f;
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) direction[axis] = 0.0f;
  if (!own.is_inside) return;
  const int64_t i = own.sample;
  FieldUpstream<float> upstream{};
  if (upstreams.densities != nullptr) upstream.density = upstreams.densities[i];
  RF_UNROLL
  for (int c = 0; c < 3; ++c) {
    if (upstreams.albedo != nullptr) upstream.albedo[c] = upstreams.albedo[3 * i + c];
  }
  activation_backward(saved.densities[i], saved.albedo + 3 * i, upstream, grad_outputs);
  if constexpr (kWithNormal) {
    normal_from_gradient_backward(saved.gradients + 3 * i, upstreams.normals + 3 * i,
                                  direction);
    RF_UNROLL
    for (int axis = 0; axis < 3; ++axis)
      direction[axis] *= call.settings.inverse_extent;
  }
}

template <FieldPrecision P, int H>
__device__ inline BackwardShared carve_backward(float* memory, int num_padded,
                                                bool with_normals) {
  constexpr int T = kBackwardTile<P, H>;
  BackwardShared shared;
  shared.inputs = memory;
  shared.tangents = shared.inputs + num_padded * kFieldPitch<T>;
  shared.first =
      with_normals ? shared.tangents + num_padded * kFieldPitch<T> : shared.tangents;
  shared.second = shared.first + H * kFieldPitch<T>;
  shared.grad_outputs = shared.second + H * kFieldPitch<T>;
  shared.masks =
      reinterpret_cast<unsigned long long*>(shared.grad_outputs + kFieldOutputs * T);
  return shared;
}

// A2 of a warp's samples as the input of a product.
template <FieldPrecision P, int H>
struct SecondGradientInput {
  const float* w3;
  float grads[2][kFieldOutputs];  // obar of the lane's samples
  RowMasks masks2;

  __device__ float operator()(int row, int k) const {
    float sum = 0.0f;
    RF_UNROLL
    for (int o = 0; o < kFieldOutputs; ++o) sum += w3[o * H + k] * grads[row][o];
    return is_active(masks2.rows[row], k) ? round_operand<P>(sum) : 0.0f;
  }
};

// The products of a warp's 16 samples, and the block's sums, between barriers.
template <FieldPrecision P, int H, bool kWithNormal>
struct BackwardNetwork {
  static constexpr int T = kBackwardTile<P, H>;
  const PackedNetwork& network;
  const BackwardShared& shared;
  int num_inputs;  // in use, a multiple of the depth
  int num_padded;
  WarpSamples own = WarpSamples::own();

  __device__ RowMasks masks(int layer) const {
    return {shared.masks[layer * T + own.sample(0)],
            shared.masks[layer * T + own.sample(1)]};
  }

  // 10: h1 and h2.
  __device__ void recompute_hidden() const {
    Activations<H> sums = broadcast_bias<H>(network.b1);
    multiply_layer<P, false>(network.w1, network.pitch1, num_inputs,
                             SharedInput<T>{shared.inputs, own}, sums);
    apply_masks<H>(masks(0), own, sums);
    store_activations<P, T>(sums, own, shared.first);
    sums = broadcast_bias<H>(network.b2);
    multiply_layer<P, false>(network.w2, kPitch2<H>, H,
                             SharedInput<T>{shared.first, own}, sums);
    apply_masks<H>(masks(1), own, sums);
    store_activations<P, T>(sums, own, shared.second);
  }

  // 11: t1, over h2.
  __device__ void push_tangent() const {
    Activations<H> sums;
    multiply_layer<P, false>(network.w1, network.pitch1, num_inputs,
                             SharedInput<T>{shared.tangents, own}, sums);
    apply_masks<H>(masks(0), own, sums);
    store_activations<P, T>(sums, own, shared.second);
  }

  // 12, 4: A1 over h1, r1 over t1.
  __device__ void pull_back_hidden() const {
    const RowMasks masks1 = masks(0);
    const RowMasks masks2 = masks(1);
    SecondGradientInput<P, H> input{network.w3, {}, masks2};
    RF_UNROLL
    for (int row = 0; row < 2; ++row) {
      load_vector<kFieldOutputs>(shared.grad_outputs + own.sample(row) * kFieldOutputs,
                                 input.grads[row]);
    }
    Activations<H> sums;
    multiply_layer<P, true>(network.w2, kPitch2<H>, H, input, sums);
    apply_masks<H>(masks1, own, sums);
    store_activations<P, T>(sums, own, shared.first);
    if constexpr (kWithNormal) {
      sums = {};
      multiply_layer<P, true>(network.w2, kPitch2<H>, H,
                              ReverseInput<P>{network.w3, masks2}, sums);
      apply_masks<H>(masks1, own, sums);
      store_activations<P, T>(sums, own, shared.second);
    }
  }

  // 12, 4: ebar over e, v over t0.
  __device__ void pull_back_inputs() const {
    multiply_back<P, T, H>(network, num_padded, own, SharedInput<T>{shared.first, own},
                           shared.inputs);
    if constexpr (kWithNormal) {
      multiply_back<P, T, H>(network, num_padded, own,
                             SharedInput<T>{shared.second, own}, shared.tangents);
    }
  }
};

// The block's row of `block_gradients`, laid out as core/field.h says.
template <int H>
__device__ inline FieldNetworkGradients<float> own_gradients(float* block_gradients,
                                                             int num_inputs) {
  const int64_t size =
      int64_t{H} * (num_inputs + 1) + int64_t{H} * (H + 1) + kFieldOutputs * (H + 1);
  FieldNetworkGradients<float> gradients;
  gradients.w1 = block_gradients + blockIdx.x * size;
  gradients.b1 = gradients.w1 + H * num_inputs;
  gradients.w2 = gradients.b1 + H;
  gradients.b2 = gradients.w2 + H * H;
  gradients.w3 = gradients.b2 + H;
  gradients.b3 = gradients.w3 + kFieldOutputs * H;
  return gradients;
}

// 7, 8: the thread's direction; obar and the masks go to shared memory. Returns whether
// the sample has any gradient.
template <int T, bool kWithNormal>
__device__ inline bool load_upstream(const FieldCall& call, const FieldLane& own,
                                     const FieldArrays& saved,
                                     const FieldUpstreamArrays& upstreams,
                                     const BackwardShared& shared, float direction[3]) {
  float grad_outputs[kFieldOutputs];
  backward_activations<kWithNormal>(call, own, saved, upstreams, grad_outputs,
                                    direction);
  bool counts = false;
  RF_UNROLL
  for (int o = 0; o < kFieldOutputs; ++o) counts |= grad_outputs[o] != 0.0f;
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) counts |= direction[axis] != 0.0f;
  if (own.part == 0) {
    RF_UNROLL
    for (int o = 0; o < kFieldOutputs; ++o) {
      shared.grad_outputs[own.slot * kFieldOutputs + o] = grad_outputs[o];
    }
    RF_UNROLL
    for (int layer = 0; layer < 2; ++layer) {
      shared.masks[layer * T + own.slot] =
          own.is_inside ? saved.masks[2 * own.sample + layer] : 0;
    }
  }
  return counts;
}

// Each block adds its tiles to its own row of `block_gradients` [blocks, size of the
// network], zeroed, and scatters the table's gradients [entries, F] into a table of
// grid_scatter.cuh. A tile without any gradient, as behind an opaque surface, is left
// out. Launch: any number of blocks of kFieldBlock<kBackwardTile<P, H>> threads,
// backward_shared_floats of shared memory and, unless call.packed is set,
// packed_floats.
template <FieldPrecision P, int H, bool kWithNormal, class Table>
__global__ void __launch_bounds__(kFieldBlock<kBackwardTile<P, H>>, 2)
    field_backward_kernel(const __grid_constant__ FieldCall call,
                          const __grid_constant__ FieldArrays saved,
                          const __grid_constant__ FieldUpstreamArrays upstreams,
                          float* __restrict__ block_gradients,
                          const __grid_constant__ Table grad_table) {
  if constexpr (has_precision<P>()) {
    constexpr int T = kBackwardTile<P, H>;
    RF_DYNAMIC_SHARED(memory);
    const int num_inputs = call.grid.num_levels * call.grid.num_features;
    const int num_active = call.grid.num_active_levels * call.grid.num_features;
    const int num_padded = padded_inputs(call.grid);
    float* rest = memory;
    const PackedNetwork network = place_network<P, H>(call, num_padded, rest);
    const BackwardShared shared = carve_backward<P, H>(rest, num_padded, kWithNormal);
    const BackwardNetwork<P, H, kWithNormal> products{
        network, shared, (num_active + kDepth<P> - 1) / kDepth<P> * kDepth<P>,
        num_padded};
    const FieldNetworkGradients<float> gradients =
        own_gradients<H>(block_gradients, num_inputs);
    NetworkSums<P, H, kWithNormal> sums;
    auto table_sums = grad_table.open();

    const int64_t num_tiles = (call.num_samples + T - 1) / T;
    for (int64_t tile = blockIdx.x; tile < num_tiles; tile += gridDim.x) {
      const FieldLane own = load_lane<T>(call, tile);
      float direction[3];
      const bool counts =
          load_upstream<T, kWithNormal>(call, own, saved, upstreams, shared, direction);
      if (!__syncthreads_or(counts)) continue;
      with_features(call.grid.num_features, [&](auto features) {
        gather_levels<P, T, features.value, kWithNormal>(
            call, own, counts, direction, num_padded, shared.inputs, shared.tangents);
      });
      __syncthreads();
      products.recompute_hidden();
      __syncthreads();
      sums.add_third_layer(shared.second, shared.grad_outputs);
      if constexpr (kWithNormal) {
        __syncthreads();
        products.push_tangent();
        __syncthreads();
      }
      sums.add_second_layer(network, shared);
      __syncthreads();
      products.pull_back_hidden();
      __syncthreads();
      sums.add_first_layer(shared, num_padded, gradients, num_inputs, num_active);
      __syncthreads();
      products.pull_back_inputs();
      __syncthreads();
      with_features(call.grid.num_features, [&](auto features) {
        scatter_levels<T, features.value, kWithNormal>(
            call, own, counts, direction, shared.inputs, shared.tangents, table_sums);
      });
    }
    table_sums.close();
    __syncthreads();
    sums.flush(call.network, shared.first, gradients, num_inputs, num_active);
  } else {
    __trap();
  }
}

}  // namespace realfusion::cuda
