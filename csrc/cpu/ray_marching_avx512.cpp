// AVX-512 variant of the ray-marching kernels.
#include "cpu/lanes_avx512.h"

#if RF_HAS_X86_SIMD

#define RF_LANES avx512
#define RF_LANES_TARGET RF_TARGET_AVX512
#include "cpu/ray_marching_lanes.h"

namespace realfusion::cpu {

MarchKernels march_kernels_avx512() { return {avx512::count, avx512::emit}; }

}  // namespace realfusion::cpu

#undef RF_LANES
#undef RF_LANES_TARGET

#endif
