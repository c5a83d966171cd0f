// AVX2 variant of the ray-marching kernels.
#include "cpu/lanes_avx2.h"

#if RF_HAS_X86_SIMD

#define RF_LANES avx2
#define RF_LANES_TARGET RF_TARGET_AVX2
#include "cpu/ray_marching_lanes.h"

namespace realfusion::cpu {

MarchKernels march_kernels_avx2() { return {avx2::count, avx2::emit}; }

}  // namespace realfusion::cpu

#undef RF_LANES
#undef RF_LANES_TARGET

#endif
