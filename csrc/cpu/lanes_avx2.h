// Eight float lanes in AVX2 with FMA: the same names as in lanes_avx512.h.
#pragma once

#include "cpu/simd.h"

#if RF_HAS_X86_SIMD

// GCC 12 takes the intrinsics' own "undefined" vectors for a mistake, and says so where
// they are inlined: these files go without the warning.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <cstdint>

#define RF_LANES_INLINE inline __attribute__((always_inline)) RF_TARGET_AVX2

namespace realfusion::avx2 {

constexpr int kLanes = 8;

using Float = __m256;
using Int = __m256i;
struct Mask {
  __m256 lanes;  // all ones or all zeros
};

RF_LANES_INLINE Float set(float value) { return _mm256_set1_ps(value); }
RF_LANES_INLINE Int set(int32_t value) { return _mm256_set1_epi32(value); }
RF_LANES_INLINE Float load(const float* from) { return _mm256_loadu_ps(from); }
RF_LANES_INLINE Int load(const int32_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
RF_LANES_INLINE void store(float* to, Float value) { _mm256_storeu_ps(to, value); }
RF_LANES_INLINE void store(int32_t* to, Int value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
}
RF_LANES_INLINE void store(uint32_t* to, Int value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
}
RF_LANES_INLINE Int lane_numbers() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }

RF_LANES_INLINE Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
RF_LANES_INLINE Float subtract(Float a, Float b) { return _mm256_sub_ps(a, b); }
RF_LANES_INLINE Float multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
RF_LANES_INLINE Float maximum(Float a, Float b) { return _mm256_max_ps(a, b); }
RF_LANES_INLINE Float multiply_add(Float a, Float b, Float c) {
  return _mm256_fmadd_ps(a, b, c);
}
RF_LANES_INLINE Float negated_multiply_add(Float a, Float b, Float c) {
  return _mm256_fnmadd_ps(a, b, c);
}

RF_LANES_INLINE Int add(Int a, Int b) { return _mm256_add_epi32(a, b); }
RF_LANES_INLINE Int multiply(Int a, Int b) { return _mm256_mullo_epi32(a, b); }
RF_LANES_INLINE Int minimum(Int a, Int b) { return _mm256_min_epi32(a, b); }
RF_LANES_INLINE Int maximum(Int a, Int b) { return _mm256_max_epi32(a, b); }
RF_LANES_INLINE Int bit_and(Int a, Int b) { return _mm256_and_si256(a, b); }
RF_LANES_INLINE Int bit_or(Int a, Int b) { return _mm256_or_si256(a, b); }
RF_LANES_INLINE Int bit_xor(Int a, Int b) { return _mm256_xor_si256(a, b); }
template <int count>
RF_LANES_INLINE Int shift_left(Int a) {
  return _mm256_slli_epi32(a, count);
}
template <int count>
RF_LANES_INLINE Int shift_right(Int a) {
  return _mm256_srli_epi32(a, count);
}
RF_LANES_INLINE Int shift_right(Int a, Int counts) {
  return _mm256_srlv_epi32(a, counts);
}
RF_LANES_INLINE Int truncate(Float a) { return _mm256_cvttps_epi32(a); }
RF_LANES_INLINE Float to_float(Int a) { return _mm256_cvtepi32_ps(a); }

RF_LANES_INLINE Mask is_not_below(Float a, Float b) {
  return {_mm256_cmp_ps(a, b, _CMP_GE_OQ)};
}
RF_LANES_INLINE Mask is_below(Float a, Float b) {
  return {_mm256_cmp_ps(a, b, _CMP_LT_OQ)};
}
RF_LANES_INLINE Mask both(Mask a, Mask b) { return {_mm256_and_ps(a.lanes, b.lanes)}; }
RF_LANES_INLINE uint32_t to_bits(Mask mask) {
  return static_cast<uint32_t>(_mm256_movemask_ps(mask.lanes));
}
RF_LANES_INLINE Mask is_odd(Int a) {
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(bit_and(a, set(1)), set(1)))};
}
RF_LANES_INLINE Float keep(Mask mask, Float a) { return _mm256_and_ps(mask.lanes, a); }
RF_LANES_INLINE Int keep(Mask mask, Int a) {
  return _mm256_and_si256(_mm256_castps_si256(mask.lanes), a);
}

RF_LANES_INLINE Float gather(const float* from, Int indices) {
  return _mm256_i32gather_ps(from, indices, 4);
}
RF_LANES_INLINE Int gather(const int32_t* from, Int indices) {
  return _mm256_i32gather_epi32(from, indices, 4);
}

struct FloatPair {
  Float first;
  Float second;
};
RF_LANES_INLINE FloatPair gather_pair(const float* from, Int indices) {
  const auto* pairs = reinterpret_cast<const double*>(from);
  const Float low =
      _mm256_castpd_ps(_mm256_i32gather_pd(pairs, _mm256_castsi256_si128(indices), 8));
  const Float high = _mm256_castpd_ps(
      _mm256_i32gather_pd(pairs, _mm256_extracti128_si256(indices, 1), 8));
  // Within 128-bit halves: 0 1 4 5 | 2 3 6 7; then the middle quarters change places.
  const __m256d firsts = _mm256_castps_pd(_mm256_shuffle_ps(low, high, 0x88));
  const __m256d seconds = _mm256_castps_pd(_mm256_shuffle_ps(low, high, 0xdd));
  return {_mm256_castpd_ps(_mm256_permute4x64_pd(firsts, 0xd8)),
          _mm256_castpd_ps(_mm256_permute4x64_pd(seconds, 0xd8))};
}

RF_LANES_INLINE void load_triplets(const float* from, Float coordinates[3]) {
  const Int rows = _mm256_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21);
  for (int k = 0; k < 3; ++k) coordinates[k] = gather(from + k, rows);
}

RF_LANES_INLINE FloatPair interleave(Float a, Float b) {
  const Float low = _mm256_unpacklo_ps(a, b);
  const Float high = _mm256_unpackhi_ps(a, b);
  return {_mm256_permute2f128_ps(low, high, 0x20),
          _mm256_permute2f128_ps(low, high, 0x31)};
}

}  // namespace realfusion::avx2

#undef RF_LANES_INLINE

#endif  // RF_HAS_X86_SIMD
