// Backward of the fused radiance field on the device; radiance_field_tile.cuh says how
// a block shares out its work.
#pragma once

#include "cuda/radiance_field_tile.cuh"

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

// Sum over the tile's samples of a row times another.
__device__ inline float dot_rows(const float* a, const float* b) {
  float sum = 0.0f;
  RF_UNROLL
  for (int s = 0; s < kFieldTile; ++s) sum += a[s] * b[s];
  return sum;
}
__device__ inline float sum_row(const float* a) {
  float sum = 0.0f;
  RF_UNROLL
  for (int s = 0; s < kFieldTile; ++s) sum += a[s];
  return sum;
}

// W2's gradient and the gated sums, in registers over all tiles of a block. Thread
// (j0, k0) of an 8 x 16 arrangement owns the units j0 + 8 a and k0 + 16 b.
template <int H, bool kWithNormal>
struct SecondLayerSums {
  static constexpr int kRows = H / 8;
  static constexpr int kColumns = H / 16;
  float products[kRows][kColumns] = {};  // of A2 h1^T
  float gates[kRows][kColumns] = {};     // of m2 t1^T

  __device__ static int row() { return static_cast<int>(threadIdx.x) / 16; }
  __device__ static int column() { return static_cast<int>(threadIdx.x) % 16; }

  __device__ void add_tile(const float* grad2, const float* hidden1,
                           const float* tangent1, const unsigned long long* masks2) {
    for (int s = 0; s < kFieldTile; ++s) {
      float hidden[kColumns];
      float tangent[kColumns];
      const unsigned long long mask = masks2[s];
      RF_UNROLL
      for (int b = 0; b < kColumns; ++b) {
        hidden[b] = hidden1[(column() + 16 * b) * kFieldPitch + s];
        if constexpr (kWithNormal) {
          tangent[b] = tangent1[(column() + 16 * b) * kFieldPitch + s];
        }
      }
      RF_UNROLL
      for (int a = 0; a < kRows; ++a) {
        const int j = row() + 8 * a;
        const float grad = grad2[j * kFieldPitch + s];
        const float gate = is_active(mask, j) ? 1.0f : 0.0f;
        RF_UNROLL
        for (int b = 0; b < kColumns; ++b) {
          products[a][b] += grad * hidden[b];
          if constexpr (kWithNormal) gates[a][b] += gate * tangent[b];
        }
      }
    }
  }

  // Adds to the block's gradients: r2 t1^T to W2, and t2 to row 0 of W3.
  __device__ void flush(const FieldNetwork<float>& network,
                        const FieldNetworkGradients<float>& gradients) const {
    RF_UNROLL
    for (int a = 0; a < kRows; ++a) {
      const int j = row() + 8 * a;
      float tangent2 = 0.0f;
      RF_UNROLL
      for (int b = 0; b < kColumns; ++b) {
        const int k = column() + 16 * b;
        gradients.w2[j * H + k] += products[a][b] + network.w3[j] * gates[a][b];
        tangent2 += network.w2[j * H + k] * gates[a][b];
      }
      if constexpr (kWithNormal) {
        for (int bits = 8; bits > 0; bits /= 2) {
          tangent2 += __shfl_xor_sync(0xffffffffu, tangent2, bits);
        }
        if (column() == 0) gradients.w3[j] += tangent2;
      }
    }
  }
};

// Each block adds its tiles to its own row of `block_gradients` [blocks, size of the
// network], zeroed; the table's gradients [entries, F] are summed by atomics. Launch:
// as the forward.
template <int H, int F, bool kWithNormal>
__global__ void __launch_bounds__(kFieldBlock, 2)
    field_backward_kernel(const __grid_constant__ FieldCall call,
                          const __grid_constant__ FieldArrays saved,
                          const __grid_constant__ FieldUpstreamArrays upstreams,
                          float* __restrict__ block_gradients,
                          float* __restrict__ grad_table) {
  constexpr int kUnits = H / kFieldWarps;
  RF_DYNAMIC_SHARED(memory);
  __shared__ unsigned long long masks2[kFieldTile];
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % kFieldTile;
  const int warp = thread / kFieldTile;
  const int num_inputs = call.grid.num_levels * F;
  const int num_active = call.grid.num_active_levels * F;
  float* shared = memory;
  const FieldNetwork<float> network = place_weights<H>(call, num_inputs, shared);
  float* first = shared;                                         // h1, then A1
  float* second = first + H * kFieldPitch;                       // h2, then A2
  float* third = second + H * kFieldPitch;                       // t1, then r1
  float* grad_outputs = third + H * kFieldPitch;                 // [4][sample]
  float* features = grad_outputs + kFieldOutputs * kFieldPitch;  // [D][sample]
  float* tangents = features + num_inputs * kFieldPitch;         // [D][sample]
  const int unit0 = warp * kUnits;

  FieldNetworkGradients<float> gradients;
  gradients.w1 =
      block_gradients + blockIdx.x * (int64_t{H} * (num_inputs + 1) +
                                      int64_t{H} * (H + 1) + kFieldOutputs * (H + 1));
  gradients.b1 = gradients.w1 + H * num_inputs;
  gradients.w2 = gradients.b1 + H;
  gradients.b2 = gradients.w2 + H * H;
  gradients.w3 = gradients.b2 + H;
  gradients.b3 = gradients.w3 + kFieldOutputs * H;
  SecondLayerSums<H, kWithNormal> second_layer;
  __syncthreads();

  const int64_t num_tiles = (call.num_samples + kFieldTile - 1) / kFieldTile;
  for (int64_t tile = blockIdx.x; tile < num_tiles; tile += gridDim.x) {
    const FieldLane own = load_lane(call, tile, lane);
    const unsigned long long mask1 = own.is_inside ? saved.masks[2 * own.sample] : 0;
    const unsigned long long mask2 =
        own.is_inside ? saved.masks[2 * own.sample + 1] : 0;
    float own_outputs[kFieldOutputs];
    float direction[3];
    backward_activations<kWithNormal>(call, own, saved, upstreams, own_outputs,
                                      direction);
    if (warp == 0) {
      masks2[lane] = mask2;
      RF_UNROLL
      for (int o = 0; o < kFieldOutputs; ++o) {
        grad_outputs[o * kFieldPitch + lane] = own_outputs[o];
      }
    }
    gather_levels<F, kWithNormal>(call, own, direction, lane, warp, features, tangents);
    __syncthreads();

    float sums[kUnits];  // 10, 11: first layer and its tangent
    RF_UNROLL
    for (int u = 0; u < kUnits; ++u) sums[u] = network.b1[unit0 + u];
    multiply<kUnits>(network.w1 + unit0 * num_inputs, num_inputs, 1, features,
                     num_active, lane, sums);
    RF_UNROLL
    for (int u = 0; u < kUnits; ++u) {
      first[(unit0 + u) * kFieldPitch + lane] =
          is_active(mask1, unit0 + u) ? sums[u] : 0.0f;
    }
    if constexpr (kWithNormal) {
      RF_UNROLL
      for (int u = 0; u < kUnits; ++u) sums[u] = 0.0f;
      multiply<kUnits>(network.w1 + unit0 * num_inputs, num_inputs, 1, tangents,
                       num_active, lane, sums);
      RF_UNROLL
      for (int u = 0; u < kUnits; ++u) {
        third[(unit0 + u) * kFieldPitch + lane] =
            is_active(mask1, unit0 + u) ? sums[u] : 0.0f;
      }
    }
    __syncthreads();

    RF_UNROLL
    for (int u = 0; u < kUnits; ++u) sums[u] = network.b2[unit0 + u];
    multiply<kUnits>(network.w2 + unit0 * H, H, 1, first, H, lane, sums);
    RF_UNROLL
    for (int u = 0; u < kUnits; ++u) {
      second[(unit0 + u) * kFieldPitch + lane] =
          is_active(mask2, unit0 + u) ? sums[u] : 0.0f;
    }
    __syncthreads();

    for (int k = thread; k < kFieldOutputs * H; k += kFieldBlock) {  // 13: W3, b3
      gradients.w3[k] +=
          dot_rows(grad_outputs + k / H * kFieldPitch, second + k % H * kFieldPitch);
    }
    if (thread < kFieldOutputs) {
      gradients.b3[thread] += sum_row(grad_outputs + thread * kFieldPitch);
    }
    __syncthreads();

    RF_UNROLL
    for (int u = 0; u < kUnits; ++u) {  // 12: A2, over h2
      float sum = 0.0f;
      RF_UNROLL
      for (int o = 0; o < kFieldOutputs; ++o) {
        sum += network.w3[o * H + unit0 + u] * own_outputs[o];
      }
      second[(unit0 + u) * kFieldPitch + lane] =
          is_active(mask2, unit0 + u) ? sum : 0.0f;
    }
    __syncthreads();

    second_layer.add_tile(second, first, third, masks2);  // 13: W2, b2
    if (thread < H) gradients.b2[thread] += sum_row(second + thread * kFieldPitch);
    __syncthreads();

    RF_UNROLL
    for (int u = 0; u < kUnits; ++u) sums[u] = 0.0f;  // 12: A1, over h1
    multiply<kUnits>(network.w2 + unit0, 1, H, second, H, lane, sums);
    RF_UNROLL
    for (int u = 0; u < kUnits; ++u) {
      first[(unit0 + u) * kFieldPitch + lane] =
          is_active(mask1, unit0 + u) ? sums[u] : 0.0f;
    }
    if constexpr (kWithNormal) {  // 4: r1, over t1
      RF_UNROLL
      for (int u = 0; u < kUnits; ++u) sums[u] = 0.0f;
      for (int j = 0; j < H; ++j) {
        const float reverse2 = is_active(mask2, j) ? network.w3[j] : 0.0f;
        RF_UNROLL
        for (int u = 0; u < kUnits; ++u) {
          sums[u] += network.w2[j * H + unit0 + u] * reverse2;
        }
      }
      RF_UNROLL
      for (int u = 0; u < kUnits; ++u) {
        third[(unit0 + u) * kFieldPitch + lane] =
            is_active(mask1, unit0 + u) ? sums[u] : 0.0f;
      }
    }
    __syncthreads();

    for (int item = thread; item < H * num_active; item += kFieldBlock) {  // 13: W1, b1
      const int k = item / num_active;
      const int d = item % num_active;
      float sum = dot_rows(first + k * kFieldPitch, features + d * kFieldPitch);
      if constexpr (kWithNormal) {
        sum += dot_rows(third + k * kFieldPitch, tangents + d * kFieldPitch);
      }
      gradients.w1[k * num_inputs + d] += sum;
    }
    if (thread < H) gradients.b1[thread] += sum_row(first + thread * kFieldPitch);

    for (int l = warp; l < call.grid.num_active_levels; l += kFieldWarps) {  // 12, 14
      const HashGridLevel& level = call.grid.levels[l];
      float* entries = grad_table + level.offset * F;
      float grads[F];
      float reverses[F];
      project_back<H, F>(network.w1 + l * F, num_inputs, first, lane, grads);
      if constexpr (kWithNormal) {
        project_back<H, F>(network.w1 + l * F, num_inputs, third, lane, reverses);
      }
      if (!own.is_inside) continue;
      const DirectionalCorners<float> corners =
          grid_corners_along(level, call.grid.interpolation, own.unit, direction);
      RF_UNROLL
      for (int c = 0; c < 8; ++c) {
        float values[F];
        RF_UNROLL
        for (int f = 0; f < F; ++f) {
          values[f] = corners.weights[c] * grads[f];
          if constexpr (kWithNormal) values[f] += corners.tangents[c] * reverses[f];
        }
        add_vector<F>(entries + int64_t{corners.indices[c]} * F, 1.0f, values);
      }
    }
    __syncthreads();
  }
  second_layer.flush(network, gradients);
}

// gradients [size] = the sum of the blocks' rows, in their order. Launch: one thread an
// element.
__global__ void __launch_bounds__(kFieldBlock)
    field_sum_blocks_kernel(const float* __restrict__ block_gradients, int num_rows,
                            int64_t size, float* __restrict__ gradients) {
  const int64_t k = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (k >= size) return;
  float sum = 0.0f;
  for (int row = 0; row < num_rows; ++row) sum += block_gradients[row * size + k];
  gradients[k] = sum;
}

}  // namespace realfusion::cuda
