// AVX-512 variant of the hash-grid kernels.
#include "cpu/lanes_avx512.h"

#if RF_HAS_X86_SIMD

#define RF_LANES avx512
#define RF_LANES_TARGET RF_TARGET_AVX512
#include "cpu/hash_grid_lanes.h"

#include "cpu/hash_grid_table_lanes.h"

#include "cpu/hash_grid_slope_lanes.h"

namespace realfusion::cpu {

HashGridKernels<float> hash_grid_kernels_avx512(int num_features) {
  return avx512::kernels(num_features);
}

}  // namespace realfusion::cpu

#undef RF_LANES
#undef RF_LANES_TARGET

#endif
