// Forward of the fused radiance field on the device; radiance_field_tile.cuh says how
// a block shares out its work.
#pragma once

#include "cuda/radiance_field_tile.cuh"

namespace realfusion::cuda {

// Launch: any number of blocks of kFieldBlock threads, field_shared_floats of shared
// memory.
template <int H, int F, bool kWithNormal>
__global__ void __launch_bounds__(kFieldBlock)
    field_forward_kernel(const __grid_constant__ FieldCall call,
                         const __grid_constant__ FieldArrays out) {
  constexpr int kUnits = H / kFieldWarps;
  RF_DYNAMIC_SHARED(memory);
  __shared__ unsigned long long mask_parts[2][kFieldWarps][kFieldTile];
  const int lane = static_cast<int>(threadIdx.x % kFieldTile);
  const int warp = static_cast<int>(threadIdx.x / kFieldTile);
  const int num_inputs = call.grid.num_levels * F;
  const int num_active = call.grid.num_active_levels * F;
  float* shared = memory;
  const FieldNetwork<float> network = place_weights<H>(call, num_inputs, shared);
  float* features = shared;                            // [D][sample]
  float* first = features + num_inputs * kFieldPitch;  // h1, then r1
  float* second = first + H * kFieldPitch;             // r2
  float* output_parts = second + H * kFieldPitch;      // [warp][4][sample]
  float* gradient_parts = output_parts + kFieldWarps * kFieldOutputs * kFieldPitch;
  const int unit0 = warp * kUnits;
  __syncthreads();

  const int64_t num_tiles = (call.num_samples + kFieldTile - 1) / kFieldTile;
  for (int64_t tile = blockIdx.x; tile < num_tiles; tile += gridDim.x) {
    const FieldLane own = load_lane(call, tile, lane);
    const float no_direction[3] = {0.0f, 0.0f, 0.0f};
    gather_levels<F, false>(call, own, no_direction, lane, warp, features, nullptr);
    __syncthreads();

    float sums[kUnits];  // 2: first layer
    RF_UNROLL
    for (int u = 0; u < kUnits; ++u) sums[u] = network.b1[unit0 + u];
    multiply<kUnits>(network.w1 + unit0 * num_inputs, num_inputs, 1, features,
                     num_active, lane, sums);
    unsigned long long bits = 0;
    RF_UNROLL
    for (int u = 0; u < kUnits; ++u) {
      const bool keep = !(sums[u] <= 0.0f);
      if (keep) bits |= 1ull << (unit0 + u);
      first[(unit0 + u) * kFieldPitch + lane] = keep ? sums[u] : 0.0f;
    }
    mask_parts[0][warp][lane] = bits;
    __syncthreads();

    RF_UNROLL
    for (int u = 0; u < kUnits; ++u) sums[u] = network.b2[unit0 + u];
    multiply<kUnits>(network.w2 + unit0 * H, H, 1, first, H, lane, sums);
    float parts[kFieldOutputs] = {};
    bits = 0;
    RF_UNROLL
    for (int u = 0; u < kUnits; ++u) {
      const bool keep = !(sums[u] <= 0.0f);
      if (keep) bits |= 1ull << (unit0 + u);
      RF_UNROLL
      for (int o = 0; o < kFieldOutputs; ++o) {
        parts[o] += network.w3[o * H + unit0 + u] * (keep ? sums[u] : 0.0f);
      }
      second[(unit0 + u) * kFieldPitch + lane] = keep ? network.w3[unit0 + u] : 0.0f;
    }
    mask_parts[1][warp][lane] = bits;
    RF_UNROLL
    for (int o = 0; o < kFieldOutputs; ++o) {
      output_parts[(warp * kFieldOutputs + o) * kFieldPitch + lane] = parts[o];
    }
    __syncthreads();

    unsigned long long mask1 = 0;
    unsigned long long mask2 = 0;
    for (int w = 0; w < kFieldWarps; ++w) {
      mask1 |= mask_parts[0][w][lane];
      mask2 |= mask_parts[1][w][lane];
    }
    if constexpr (kWithNormal) {
      // 4: r1 = m1 W2^T r2, over h1, which nobody reads any more.
      RF_UNROLL
      for (int u = 0; u < kUnits; ++u) sums[u] = 0.0f;
      multiply<kUnits>(network.w2 + unit0, 1, H, second, H, lane, sums);
      RF_UNROLL
      for (int u = 0; u < kUnits; ++u) {
        first[(unit0 + u) * kFieldPitch + lane] =
            is_active(mask1, unit0 + u) ? sums[u] : 0.0f;
      }
      __syncthreads();
      float gradient[3] = {0.0f, 0.0f, 0.0f};  // 5
      for (int l = warp; l < call.grid.num_active_levels; l += kFieldWarps) {
        const HashGridLevel& level = call.grid.levels[l];
        float reverse[F];
        project_back<H, F>(network.w1 + l * F, num_inputs, first, lane, reverse);
        encode_level_backward_position<F>(level, call.grid.interpolation, own.unit,
                                          call.table + level.offset * F, reverse,
                                          gradient);
      }
      RF_UNROLL
      for (int axis = 0; axis < 3; ++axis) {
        gradient_parts[(warp * 3 + axis) * kFieldPitch + lane] = gradient[axis];
      }
      __syncthreads();
    }

    if (warp == 0 && own.exists) {
      float outputs[kFieldOutputs];
      RF_UNROLL
      for (int o = 0; o < kFieldOutputs; ++o) {
        outputs[o] = network.b3[o];
        for (int w = 0; w < kFieldWarps; ++w) {
          outputs[o] += output_parts[(w * kFieldOutputs + o) * kFieldPitch + lane];
        }
      }
      const float blob = density_blob(call.settings, own.position);
      out.densities[own.sample] =
          own.is_inside ? density_from_log(outputs[0] + blob) : 0.0f;
      RF_UNROLL
      for (int c = 0; c < 3; ++c) {
        out.albedo[3 * own.sample + c] = own.is_inside ? sigmoid(outputs[1 + c]) : 0.0f;
      }
      out.masks[2 * own.sample] = own.is_inside ? mask1 : 0;
      out.masks[2 * own.sample + 1] = own.is_inside ? mask2 : 0;
      if constexpr (kWithNormal) {
        float gradient[3];
        float normal[3];
        const float pull = -blob * call.settings.blob_inverse_variance;
        RF_UNROLL
        for (int axis = 0; axis < 3; ++axis) {
          float sum = 0.0f;
          for (int w = 0; w < kFieldWarps; ++w) {
            sum += gradient_parts[(w * 3 + axis) * kFieldPitch + lane];
          }
          const float value =
              sum * call.settings.inverse_extent + pull * own.position[axis];
          gradient[axis] = own.is_inside ? value : 0.0f;
        }
        normal_from_gradient(gradient, normal);
        RF_UNROLL
        for (int axis = 0; axis < 3; ++axis) {
          out.gradients[3 * own.sample + axis] = gradient[axis];
          out.normals[3 * own.sample + axis] = normal[axis];
        }
      }
    }
    __syncthreads();
  }
}

}  // namespace realfusion::cuda
