// Sixteen float lanes in AVX-512. Every function carries the target attribute: see
// simd.h. The AVX2 file has the same names, so that one kernel text serves both.
#pragma once

#include "cpu/simd.h"

#if RF_HAS_X86_SIMD

// GCC 12 takes the intrinsics' own "undefined" vectors for a mistake, and says so where
// they are inlined: these files go without the warning.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <cstdint>

#define RF_LANES_INLINE inline __attribute__((always_inline)) RF_TARGET_AVX512

namespace realfusion::avx512 {

constexpr int kLanes = 16;

using Float = __m512;
using Int = __m512i;
using Mask = __mmask16;

RF_LANES_INLINE Float set(float value) { return _mm512_set1_ps(value); }
RF_LANES_INLINE Int set(int32_t value) { return _mm512_set1_epi32(value); }
RF_LANES_INLINE Float load(const float* from) { return _mm512_loadu_ps(from); }
RF_LANES_INLINE Int load(const int32_t* from) { return _mm512_loadu_si512(from); }
RF_LANES_INLINE void store(float* to, Float value) { _mm512_storeu_ps(to, value); }
RF_LANES_INLINE void store(int32_t* to, Int value) { _mm512_storeu_si512(to, value); }
RF_LANES_INLINE void store(uint32_t* to, Int value) { _mm512_storeu_si512(to, value); }
RF_LANES_INLINE Int lane_numbers() {
  return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

RF_LANES_INLINE Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
RF_LANES_INLINE Float subtract(Float a, Float b) { return _mm512_sub_ps(a, b); }
RF_LANES_INLINE Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
RF_LANES_INLINE Float maximum(Float a, Float b) { return _mm512_max_ps(a, b); }
// a * b + c, c - a * b: one rounding each.
RF_LANES_INLINE Float multiply_add(Float a, Float b, Float c) {
  return _mm512_fmadd_ps(a, b, c);
}
RF_LANES_INLINE Float negated_multiply_add(Float a, Float b, Float c) {
  return _mm512_fnmadd_ps(a, b, c);
}

RF_LANES_INLINE Int add(Int a, Int b) { return _mm512_add_epi32(a, b); }
RF_LANES_INLINE Int multiply(Int a, Int b) { return _mm512_mullo_epi32(a, b); }
RF_LANES_INLINE Int minimum(Int a, Int b) { return _mm512_min_epi32(a, b); }
RF_LANES_INLINE Int maximum(Int a, Int b) { return _mm512_max_epi32(a, b); }
RF_LANES_INLINE Int bit_and(Int a, Int b) { return _mm512_and_si512(a, b); }
RF_LANES_INLINE Int bit_or(Int a, Int b) { return _mm512_or_si512(a, b); }
RF_LANES_INLINE Int bit_xor(Int a, Int b) { return _mm512_xor_si512(a, b); }
template <int count>
RF_LANES_INLINE Int shift_left(Int a) {
  return _mm512_slli_epi32(a, count);
}
template <int count>
RF_LANES_INLINE Int shift_right(Int a) {
  return _mm512_srli_epi32(a, count);
}
RF_LANES_INLINE Int shift_right(Int a, Int counts) {
  return _mm512_srlv_epi32(a, counts);
}
RF_LANES_INLINE Int truncate(Float a) { return _mm512_cvttps_epi32(a); }
RF_LANES_INLINE Float to_float(Int a) { return _mm512_cvtepi32_ps(a); }

// a >= b and a < b; false for NaN.
RF_LANES_INLINE Mask is_not_below(Float a, Float b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}
RF_LANES_INLINE Mask is_below(Float a, Float b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
RF_LANES_INLINE Mask both(Mask a, Mask b) { return a & b; }
RF_LANES_INLINE uint32_t to_bits(Mask mask) { return mask; }
// Lanes whose lowest bit is set.
RF_LANES_INLINE Mask is_odd(Int a) { return _mm512_test_epi32_mask(a, set(1)); }
// a where the mask is set, else 0.
RF_LANES_INLINE Float keep(Mask mask, Float a) { return _mm512_maskz_mov_ps(mask, a); }
RF_LANES_INLINE Int keep(Mask mask, Int a) { return _mm512_maskz_mov_epi32(mask, a); }

RF_LANES_INLINE Float gather(const float* from, Int indices) {
  return _mm512_i32gather_ps(indices, from, 4);
}
RF_LANES_INLINE Int gather(const int32_t* from, Int indices) {
  return _mm512_i32gather_epi32(indices, from, 4);
}

// Two neighbouring floats at from[2 * indices], one result an element of the pair.
struct FloatPair {
  Float first;
  Float second;
};
RF_LANES_INLINE FloatPair gather_pair(const float* from, Int indices) {
  const auto* pairs = reinterpret_cast<const double*>(from);
  const Float low =
      _mm512_castpd_ps(_mm512_i32gather_pd(_mm512_castsi512_si256(indices), pairs, 8));
  const Float high = _mm512_castpd_ps(
      _mm512_i32gather_pd(_mm512_extracti64x4_epi64(indices, 1), pairs, 8));
  const Int evens =
      _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const Int odds = add(evens, set(1));
  return {_mm512_permutex2var_ps(low, evens, high),
          _mm512_permutex2var_ps(low, odds, high)};
}

// Rows of three neighbours (x y z x y z ...), one result a coordinate.
RF_LANES_INLINE void load_triplets(const float* from, Float coordinates[3]) {
  const Float a = load(from);
  const Float b = load(from + 16);
  const Float c = load(from + 32);
  // Lanes 0-10 of x come from a and b, the rest from c; alike for y and z.
  const Int x_ab =
      _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0, 0, 0, 0, 0);
  const Int x_c =
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29);
  const Int y_ab = add(x_ab, set(1));
  const Int y_c =
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30);
  const Int z_ab =
      _mm512_setr_epi32(2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 0, 0, 0, 0, 0, 0);
  const Int z_c =
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31);
  coordinates[0] = _mm512_permutex2var_ps(_mm512_permutex2var_ps(a, x_ab, b), x_c, c);
  coordinates[1] = _mm512_permutex2var_ps(_mm512_permutex2var_ps(a, y_ab, b), y_c, c);
  coordinates[2] = _mm512_permutex2var_ps(_mm512_permutex2var_ps(a, z_ab, b), z_c, c);
}

// Interleaves two rows: a0 b0 a1 b1 ...; the lower and the upper half of the pairs.
RF_LANES_INLINE FloatPair interleave(Float a, Float b) {
  const Int low =
      _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const Int high = add(low, set(8));
  return {_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b)};
}

}  // namespace realfusion::avx512

#undef RF_LANES_INLINE

#endif  // RF_HAS_X86_SIMD
