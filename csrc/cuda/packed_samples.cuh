// The scan that turns the samples of each ray into offsets. No torch: the CPU launch
// shim of csrc/tests runs this very body.
#pragma once

#include "cuda/scan.cuh"

namespace realfusion::cuda {

constexpr int kScanBlock = 1024;
constexpr int kScanItems = 4;  // consecutive counts a thread adds up itself

// Exclusive scan of the counts by one block. From the first ray that does not fit the
// capacity on, all rays are left without samples. counts [num_rays], in;
// ray_offsets [num_rays + 1], out; num_requested [1], out.
__global__ void __launch_bounds__(kScanBlock)
    scan_counts_kernel(const int32_t* __restrict__ counts, int64_t num_rays,
                       int64_t capacity, int64_t* __restrict__ ray_offsets,
                       int64_t* __restrict__ num_requested) {
  __shared__ long long warp_sums[kScanBlock / 32];
  __shared__ unsigned long long num_fitting;  // the largest end of a ray that fits
  const int thread = static_cast<int>(threadIdx.x);
  long long carry = 0;
  if (thread == 0) {
    ray_offsets[0] = 0;
    num_fitting = 0;
  }
  constexpr int64_t kTile = int64_t{kScanBlock} * kScanItems;
  for (int64_t tile = 0; tile < num_rays; tile += kTile) {
    const int64_t first = tile + int64_t{thread} * kScanItems;
    long long ends[kScanItems];
    long long own = 0;
    RF_UNROLL
    for (int k = 0; k < kScanItems; ++k) {
      if (first + k < num_rays) own += counts[first + k];
      ends[k] = own;
    }
    long long total = 0;
    const long long start =
        carry + scan_block<kScanBlock>(own, warp_sums, &total) - own;
    carry += total;
    unsigned long long fitting = 0;
    RF_UNROLL
    for (int k = 0; k < kScanItems; ++k) {
      ends[k] += start;
      if (ends[k] <= capacity) fitting = static_cast<unsigned long long>(ends[k]);
    }
    atomicMax(&num_fitting, fitting);
    __syncthreads();
    const auto limit = static_cast<long long>(num_fitting);
    RF_UNROLL
    for (int k = 0; k < kScanItems; ++k) {
      if (first + k < num_rays) {
        ray_offsets[first + k + 1] = ends[k] <= capacity ? ends[k] : limit;
      }
    }
    __syncthreads();
  }
  if (thread == 0) *num_requested = carry;
}

}  // namespace realfusion::cuda
