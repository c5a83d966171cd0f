// The radiance field's kernels for AVX-512 (F, BW, DQ, VL, CD) with FMA.
#include "cpu/radiance_field.h"

#if RF_HAS_X86_SIMD

// All headers come before the target is switched: what they define stays for any
// machine. What follows is compiled for AVX-512 and reached only through the table of
// kernels.
#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>

#if defined(__GNUC__) && !defined(__clang__)
// False, of GCC's own header.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#if defined(__clang__)
#pragma clang attribute push(                                                \
    __attribute__((target("avx2,fma,bmi,bmi2,popcnt,lzcnt,avx512f,avx512bw," \
                          "avx512dq,avx512vl,avx512cd"))),                   \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target( \
    "avx2,fma,bmi,bmi2,popcnt,lzcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd")
#endif

namespace realfusion::cpu::field_avx512 {
namespace {

struct V {
  using Float = __m512;
  using Int = __m512i;
  using Mask = __mmask16;
  static constexpr int kLanes = 16;
  // Of 32 registers, the sums of a dense product take 16, its operands up to 5.
  static constexpr int kBlockVectors = 4;
  static constexpr int kBlockSums = 16;

  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Float a) { _mm512_storeu_ps(p, a); }
  static Float set(float a) { return _mm512_set1_ps(a); }
  static Float zero() { return _mm512_setzero_ps(); }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float negate(Float a) { return _mm512_sub_ps(_mm512_setzero_ps(), a); }
  static Float floor(Float a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  }

  // True for NaN too, so that it is not taken for an inactive unit.
  static Mask not_less_equal_zero(Float a) {
    return _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_NLE_UQ);
  }
  static uint64_t bits(Mask mask) { return mask; }
  static Mask mask_of(uint64_t bits) { return static_cast<Mask>(bits); }
  static Float keep(Mask mask, Float a) { return _mm512_maskz_mov_ps(mask, a); }
  static Float add_where(Mask mask, Float a, Float b) {
    return _mm512_mask_add_ps(a, mask, a, b);
  }

  static Int set_int(uint32_t a) { return _mm512_set1_epi32(static_cast<int>(a)); }
  static Int to_int(Float a) { return _mm512_cvttps_epi32(a); }
  static Int add_int(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int mul_int(Int a, Int b) { return _mm512_mullo_epi32(a, b); }
  static Int bit_and(Int a, Int b) { return _mm512_and_si512(a, b); }
  static Int bit_xor(Int a, Int b) { return _mm512_xor_si512(a, b); }
  static void store_int(uint32_t* p, Int a) { _mm512_storeu_si512(p, a); }
  template <int kFactor>
  static Int times(Int a) {
    static_assert(kFactor == 1 || kFactor == 2 || kFactor == 4);
    return _mm512_slli_epi32(a, kFactor / 2);
  }

  static Float gather(const float* base, Int index) {
    return _mm512_i32gather_ps(index, base, 4);
  }
  // Pairs of floats, 8 bytes at base + 8 index, into their first and second halves.
  static void gather_pairs(const float* base, Int index, Float& first, Float& second) {
    const Float low =
        _mm512_castpd_ps(_mm512_i32gather_pd(_mm512_castsi512_si256(index), base, 8));
    const Float high = _mm512_castpd_ps(
        _mm512_i32gather_pd(_mm512_extracti64x4_epi64(index, 1), base, 8));
    const Int even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const Int odd =
        _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    first = _mm512_permutex2var_ps(low, even, high);
    second = _mm512_permutex2var_ps(low, odd, high);
  }

  // [lane][F] from F vectors.
  template <int F>
  static void store_interleaved(float* p, const Float* a) {
    if constexpr (F == 1) {
      store(p, a[0]);
    } else if constexpr (F == 2) {
      const Int low =
          _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const Int high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                         14, 30, 15, 31);
      store(p, _mm512_permutex2var_ps(a[0], low, a[1]));
      store(p + 16, _mm512_permutex2var_ps(a[0], high, a[1]));
    } else {
      const Int step = _mm512_mullo_epi32(
          _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
          _mm512_set1_epi32(F));
      for (int f = 0; f < F; ++f) _mm512_i32scatter_ps(p + f, step, a[f], 4);
    }
  }

  // entry [F] += value [F].
  template <int F>
  static void add_entry(float* entry, const float* value) {
    if constexpr (F == 1) {
      *entry += *value;
    } else if constexpr (F == 2) {
      const __m128 a = _mm_castpd_ps(_mm_load_sd(reinterpret_cast<double*>(entry)));
      const __m128 b =
          _mm_castpd_ps(_mm_load_sd(reinterpret_cast<const double*>(value)));
      _mm_store_sd(reinterpret_cast<double*>(entry), _mm_castps_pd(_mm_add_ps(a, b)));
    } else if constexpr (F == 4) {
      _mm_storeu_ps(entry, _mm_add_ps(_mm_loadu_ps(entry), _mm_loadu_ps(value)));
    } else {
      _mm256_storeu_ps(entry,
                       _mm256_add_ps(_mm256_loadu_ps(entry), _mm256_loadu_ps(value)));
    }
  }

  // out[i] = start[i] + the sum of the lanes of a[i], for four vectors.
  static void store_sums(float* out, const Float a[4], const float start[4]) {
    const Float ab =
        add(_mm512_unpacklo_ps(a[0], a[1]), _mm512_unpackhi_ps(a[0], a[1]));
    const Float cd =
        add(_mm512_unpacklo_ps(a[2], a[3]), _mm512_unpackhi_ps(a[2], a[3]));
    const __m512d low = _mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    const __m512d high = _mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    const Float abcd = add(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
    const __m256 half =
        _mm256_add_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
    const __m128 quarter =
        _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    _mm_storeu_ps(out, _mm_add_ps(quarter, _mm_loadu_ps(start)));
  }

  // The first `num_columns` columns of a [kLanes][kColumns] matrix, as rows of
  // `stride`.
  template <int kColumns>
  static void transpose(const float* matrix, float* out, int64_t stride,
                        int num_columns) {
    for (int column = 0; column < num_columns; ++column) {
      const Int index = _mm512_mullo_epi32(
          _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
          _mm512_set1_epi32(kColumns));
      store(out + column * stride, _mm512_i32gather_ps(index, matrix + column, 4));
    }
  }
};

}  // namespace
}  // namespace realfusion::cpu::field_avx512

#define RF_FIELD_NAMESPACE realfusion::cpu::field_avx512
#include "cpu/radiance_field_simd.h"
#undef RF_FIELD_NAMESPACE

namespace realfusion::cpu {

FieldKernels<float> field_kernels_avx512(int hidden_width) {
  return field_avx512::simd_kernels(hidden_width);
}

}  // namespace realfusion::cpu

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // RF_HAS_X86_SIMD
