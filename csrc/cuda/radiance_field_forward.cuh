// Forward of the fused radiance field on the device; radiance_field_tile.cuh says how
// a block shares out its work.
#pragma once

#include "cuda/radiance_field_network.cuh"

namespace realfusion::cuda {

__device__ inline ForwardShared carve_forward(float* memory, int hidden_width,
                                              int num_padded) {
  constexpr int kPitch = kFieldPitch<kForwardTile>;
  ForwardShared shared;
  shared.inputs = memory;
  shared.hidden = shared.inputs + num_padded * kPitch;
  shared.outputs = shared.hidden + hidden_width * kPitch;
  shared.parts = shared.outputs + kFieldOutputs * kForwardTile;
  shared.masks = reinterpret_cast<unsigned long long*>(shared.parts + 3 * kForwardTile);
  return shared;
}

// 2, 4: from e in shared.inputs to o, the masks and, over e, v.
template <FieldPrecision P, int H, bool kWithNormal>
__device__ inline void forward_network(const PackedNetwork& network, int num_active,
                                       int num_padded, const ForwardShared& shared) {
  constexpr int T = kForwardTile;
  const WarpSamples own = WarpSamples::own();
  const int num_inputs = (num_active + kDepth<P> - 1) / kDepth<P> * kDepth<P>;
  Activations<H> sums = broadcast_bias<H>(network.b1);
  multiply_layer<P, false>(network.w1, network.pitch1, num_inputs,
                           SharedInput<T>{shared.inputs, own}, sums);
  const RowMasks masks1 = rectify<H>(own, sums);
  store_activations<P, T>(sums, own, shared.hidden);

  sums = broadcast_bias<H>(network.b2);
  multiply_layer<P, false>(network.w2, kPitch2<H>, H,
                           SharedInput<T>{shared.hidden, own}, sums);
  const RowMasks masks2 = rectify<H>(own, sums);
  multiply_outputs<H>(network, own, sums, shared.outputs);
  if (own.member == 0) {
    RF_UNROLL
    for (int row = 0; row < 2; ++row) {
      shared.masks[own.sample(row)] = masks1.rows[row];
      shared.masks[T + own.sample(row)] = masks2.rows[row];
    }
  }

  if constexpr (kWithNormal) {
    sums = {};
    multiply_layer<P, true>(network.w2, kPitch2<H>, H,
                            ReverseInput<P>{network.w3, masks2}, sums);
    apply_masks<H>(masks1, own, sums);
    store_activations<P, T>(sums, own, shared.hidden);
    multiply_back<P, T, H>(network, num_padded, own, SharedInput<T>{shared.hidden, own},
                           shared.inputs);
  }
}

// 3: writes a sample's density, albedo and masks; returns the blob.
__device__ inline float write_outputs(const FieldCall& call, const FieldLane& own,
                                      const ForwardShared& shared,
                                      const FieldArrays& out) {
  float outputs[kFieldOutputs];
  RF_UNROLL
  for (int o = 0; o < kFieldOutputs; ++o) {
    outputs[o] = call.network.b3[o] + shared.outputs[own.slot * kFieldOutputs + o];
  }
  const float blob = density_blob(call.settings, own.position);
  out.densities[own.sample] =
      own.is_inside ? density_from_log(outputs[0] + blob) : 0.0f;
  RF_UNROLL
  for (int c = 0; c < 3; ++c) {
    out.albedo[3 * own.sample + c] = own.is_inside ? sigmoid(outputs[1 + c]) : 0.0f;
  }
  RF_UNROLL
  for (int layer = 0; layer < 2; ++layer) {
    out.masks[2 * own.sample + layer] =
        own.is_inside ? shared.masks[layer * kForwardTile + own.slot] : 0;
  }
  return blob;
}

// 5: writes z and the normal from J^T v, whose second half is in shared.parts.
__device__ inline void write_normal(const FieldCall& call, const FieldLane& own,
                                    const ForwardShared& shared, float blob,
                                    const float half[3], const FieldArrays& out) {
  const float pull = -blob * call.settings.blob_inverse_variance;
  float gradient[3];
  float normal[3];
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    const float sum = half[axis] + shared.parts[axis * kForwardTile + own.slot];
    const float value = sum * call.settings.inverse_extent + pull * own.position[axis];
    gradient[axis] = own.is_inside ? value : 0.0f;
  }
  normal_from_gradient(gradient, normal);
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    out.gradients[3 * own.sample + axis] = gradient[axis];
    out.normals[3 * own.sample + axis] = normal[axis];
  }
}

// Launch: any number of blocks of kFieldBlock<kForwardTile> threads,
// forward_shared_floats of shared memory and, unless call.packed is set, packed_floats.
template <FieldPrecision P, int H, bool kWithNormal>
__global__ void __launch_bounds__(kFieldBlock<kForwardTile>, 2)
    field_forward_kernel(const __grid_constant__ FieldCall call,
                         const __grid_constant__ FieldArrays out) {
  if constexpr (has_precision<P>()) {
    constexpr int T = kForwardTile;
    RF_DYNAMIC_SHARED(memory);
    const int num_active = call.grid.num_active_levels * call.grid.num_features;
    const int num_padded = padded_inputs(call.grid);
    float* rest = memory;
    const PackedNetwork network = place_network<P, H>(call, num_padded, rest);
    const ForwardShared shared = carve_forward(rest, H, num_padded);
    __syncthreads();

    const int64_t num_tiles = (call.num_samples + T - 1) / T;
    for (int64_t tile = blockIdx.x; tile < num_tiles; tile += gridDim.x) {
      const FieldLane own = load_lane<T>(call, tile);
      const float no_direction[3] = {0.0f, 0.0f, 0.0f};
      with_features(call.grid.num_features, [&](auto features) {
        gather_levels<P, T, features.value, false>(
            call, own, own.is_inside, no_direction, num_padded, shared.inputs, nullptr);
      });
      __syncthreads();
      forward_network<P, H, kWithNormal>(network, num_active, num_padded, shared);
      __syncthreads();
      float gradient[3] = {0.0f, 0.0f, 0.0f};
      if constexpr (kWithNormal) {
        if (own.is_inside) {
          with_features(call.grid.num_features, [&](auto features) {
            pull_back_levels<T, features.value>(call, own, shared.inputs, gradient);
          });
        }
        if (own.part == 1) {
          RF_UNROLL
          for (int axis = 0; axis < 3; ++axis) {
            shared.parts[axis * T + own.slot] = gradient[axis];
          }
        }
        __syncthreads();
      }
      if (own.part == 0 && own.exists) {
        const float blob = write_outputs(call, own, shared, out);
        if constexpr (kWithNormal) {
          write_normal(call, own, shared, blob, gradient, out);
        }
      }
    }
  } else {
    __trap();
  }
}

}  // namespace realfusion::cuda
