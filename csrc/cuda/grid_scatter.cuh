// Scatter of gradients into the hash grid's table: from warps whose lanes are
// neighbouring samples, into float32 or into fixed-point sums. No torch: the CPU launch
// shim of csrc/tests runs these very bodies.
//
//   auto sums = table.open();                         // of one of the tables below
//   const CellRuns runs(cell.corner, is_active);      // a level, by the whole warp
//   for (c...) runs.add<N>(sums, element, values);    // a corner, by the whole warp
//   sums.close();                                     // by the whole warp
//
// N is the number of an entry's features that a lane adds at once, all F or an aligned
// part of them, and `element` the place of the first one in the table.
#pragma once

#include "core/hash_grid.h"
#include "cuda/scan.cuh"
#include "cuda/vector_access.cuh"

namespace realfusion::cuda {

// Float32 sums by atomics: the fastest. The order of the addends, and with it the last
// bits of the sums, differ from run to run.
struct FloatTable {
  float* sums;  // [entries, F], zeroed, added to

  __device__ FloatTable open() const { return *this; }
  __device__ void close() const {}

  template <int N>
  __device__ void add(int64_t element, const float values[N]) const {
    add_vector<N>(sums + element, values);
  }
};

// The deterministic mode takes two passes over the same addends. The first finds a
// bound of their magnitude: a maximum does not depend on the order. Magnitudes order
// like the integers of their bits, with infinity and NaN above all numbers.
struct AddendBound {
  unsigned* bound;  // [1] bits of the largest magnitude, zeroed, raised
  unsigned largest = 0;

  template <int N>
  __device__ void add(int64_t, const float values[N]) {
    RF_UNROLL
    for (int k = 0; k < N; ++k) {
      const unsigned magnitude = __float_as_uint(values[k]) & 0x7fffffffu;
      largest = magnitude > largest ? magnitude : largest;
    }
  }

  __device__ void close() const {
    unsigned of_warp = largest;
    for (int bits = 16; bits > 0; bits /= 2) {
      const unsigned other = __shfl_xor_sync(kAllLanes, of_warp, bits);
      of_warp = other > of_warp ? other : of_warp;
    }
    // The glance spares nearly all warps the queue for this one address.
    if (threadIdx.x % 32 == 0 && of_warp > *static_cast<volatile unsigned*>(bound)) {
      atomicMax(bound, of_warp);
    }
  }
};

struct AddendBoundTable {
  unsigned* bound;

  __device__ AddendBound open() const { return {bound}; }
};

// The exponent k of the fixed-point unit 2^-k. With m addends below 2^e, and m at most
// 2^log2_addends, a sum stays below 2^61 units, and the rounding of each addend to half
// a unit adds less than as much again: 64 bits cannot overflow. The rounding of a sum
// of n addends is at most n / 2 units, that is n * 2^(e + log2_addends - 62). Where all
// addends are tiny, k stops at what float32 can scale by.
RF_HOST_DEVICE int fixed_point_exponent(unsigned bound_bits, int log2_addends) {
  const int e = static_cast<int>(bound_bits >> 23) - 126;
  const int exponent = 61 - log2_addends - e;
  return exponent < 126 ? exponent : 126;
}

RF_HOST_DEVICE bool is_finite_bound(unsigned bound_bits) {
  return bound_bits < 0x7f800000u;
}

// 2^exponent for exponents of normal numbers, -126 to 127.
__device__ __forceinline__ float power_of_two(int exponent) {
  return __uint_as_float(static_cast<unsigned>(exponent + 127) << 23);
}

// Second pass: sums in 64-bit fixed point, which do not depend on the order either.
struct FixedPointSums {
  unsigned long long* sums;
  float scale;
  bool is_finite;  // otherwise the result is NaN everywhere

  __device__ void close() const {}

  template <int N>
  __device__ void add(int64_t element, const float values[N]) const {
    if (!is_finite) return;
    RF_UNROLL
    for (int k = 0; k < N; ++k) {
      const long long units = ::llrintf(values[k] * scale);
      atomicAdd(sums + element + k, static_cast<unsigned long long>(units));
    }
  }
};

struct FixedPointTable {
  unsigned long long* sums;  // [entries, F], zeroed, added to
  const unsigned* bound;     // [1], of the first pass, in
  int log2_addends;          // at least that of the addends of one entry

  __device__ FixedPointSums open() const {
    return {sums, power_of_two(fixed_point_exponent(*bound, log2_addends)),
            is_finite_bound(*bound)};
  }
};

// Either pass, chosen at run time: for kernels so large that they are not compiled for
// each. The same code then also computes the addends, whose bound thus is exact.
struct TwoPassSums {
  AddendBound bound;
  FixedPointSums fixed_point;
  bool is_first_pass;

  template <int N>
  __device__ void add(int64_t element, const float values[N]) {
    if (is_first_pass) {
      bound.add<N>(element, values);
    } else {
      fixed_point.add<N>(element, values);
    }
  }

  __device__ void close() const {
    if (is_first_pass) bound.close();
  }
};

struct TwoPassTable {
  AddendBoundTable first;
  FixedPointTable second;
  bool is_first_pass;

  __device__ TwoPassSums open() const {
    return {first.open(), is_first_pass ? FixedPointSums{} : second.open(),
            is_first_pass};
  }
};

// The logarithm, rounded up, of the addends that `num_samples` samples can send to one
// entry: all eight corners, where they collide.
inline int log2_of_addends(int64_t num_samples) {
  int log2 = 3;
  while ((int64_t{1} << (log2 - 3)) < num_samples) ++log2;
  return log2;
}

// Runs of neighbouring lanes whose samples lie in one cell of a level. Along a ray the
// samples stay in a coarse cell for many steps, and rays side by side meet in it:
// without care, whole warps queue for the same eight entries. A run's addends are
// summed by shuffles and added once.
//
// A warp on one level issues 8 additions a lane, 256 in all, and 8 a run when the runs
// are joined, for 8 F shuffles and sums a doubling of the run length, at most 40 F.
// L2 takes about one addition a clock and multiprocessor, which passes a warp's shuffle
// in one clock too: F = 2 gains below some 19 runs of 32, at a longer reach sooner. So
// each warp decides by its own runs, coarse levels and fine ones alike.
class CellRuns {
 public:
  // All lanes call it together. Inactive lanes add nothing.
  __device__ CellRuns(const uint32_t cell[3], bool is_active)
      : lane_(static_cast<int>(threadIdx.x % 32)), last_(lane_), is_writer_(is_active) {
    // A resolution has at most 20 bits (make_hash_grid checks it).
    const unsigned long long key =
        is_active ? cell[0] | static_cast<unsigned long long>(cell[1]) << 20 |
                        static_cast<unsigned long long>(cell[2]) << 40
                  : ~0ull;
    const bool is_head = __shfl_up_sync(kAllLanes, key, 1) != key || lane_ == 0;
    const unsigned heads = __ballot_sync(kAllLanes, is_head);
    if (__popc(heads) > kMaxJoinedRuns) return;
    joined_ = ~heads;
    const unsigned later_heads = heads & ~((2u << lane_) - 1u);
    last_ = later_heads == 0 ? 31 : __ffs(static_cast<int>(later_heads)) - 2;
    is_writer_ = is_active && is_head;
  }

  // Adds each active lane's values at its element. All lanes call it together.
  template <int N, class Sums>
  __device__ void add(Sums& sums, int64_t element, const float values[N]) const {
    float totals[N];
    RF_UNROLL
    for (int k = 0; k < N; ++k) totals[k] = values[k];
    // Bit k of `longer`: lanes k - reach to k are of one run.
    unsigned longer = joined_;
    for (int reach = 1; longer != 0; reach *= 2) {
      RF_UNROLL
      for (int k = 0; k < N; ++k) {
        const float ahead = __shfl_down_sync(kAllLanes, totals[k], reach);
        if (lane_ + reach <= last_) totals[k] += ahead;
      }
      longer &= longer << reach;
    }
    if (is_writer_) sums.template add<N>(element, totals);
  }

 private:
  static constexpr int kMaxJoinedRuns = 16;

  int lane_;
  int last_;             // of the lane's run
  unsigned joined_ = 0;  // lanes that continue the run of the lane before
  bool is_writer_;
};

}  // namespace realfusion::cuda
