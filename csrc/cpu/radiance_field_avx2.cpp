// The radiance field's kernels for AVX2 with FMA and BMI.
#include "cpu/radiance_field.h"

#if RF_HAS_X86_SIMD

// All headers come before the target is switched: what they define stays for any
// machine. What follows is compiled for AVX2 and reached only through the table of
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
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,bmi,bmi2,popcnt,lzcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi,bmi2,popcnt,lzcnt")
#endif

namespace realfusion::cpu::field_avx2 {
namespace {

struct V {
  using Float = __m256;
  using Int = __m256i;
  using Mask = __m256;  // all bits of an active lane
  static constexpr int kLanes = 8;
  // Of 16 registers, the sums of a dense product take 8, its operands up to 5.
  static constexpr int kBlockVectors = 4;
  static constexpr int kBlockSums = 8;

  static Float load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Float a) { _mm256_storeu_ps(p, a); }
  static Float set(float a) { return _mm256_set1_ps(a); }
  static Float zero() { return _mm256_setzero_ps(); }
  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float negate(Float a) { return _mm256_sub_ps(_mm256_setzero_ps(), a); }
  static Float floor(Float a) { return _mm256_floor_ps(a); }

  // True for NaN too, so that it is not taken for an inactive unit.
  static Mask not_less_equal_zero(Float a) {
    return _mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_NLE_UQ);
  }
  static uint64_t bits(Mask mask) {
    return static_cast<uint64_t>(_mm256_movemask_ps(mask));
  }
  static Mask mask_of(uint64_t bits) {
    const Int lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const Int all = _mm256_set1_epi32(static_cast<int>(bits & 0xff));
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(all, lane), lane));
  }
  static Float keep(Mask mask, Float a) { return _mm256_and_ps(mask, a); }
  static Float add_where(Mask mask, Float a, Float b) {
    return _mm256_add_ps(a, _mm256_and_ps(mask, b));
  }

  static Int set_int(uint32_t a) { return _mm256_set1_epi32(static_cast<int>(a)); }
  static Int to_int(Float a) { return _mm256_cvttps_epi32(a); }
  static Int add_int(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int mul_int(Int a, Int b) { return _mm256_mullo_epi32(a, b); }
  static Int bit_and(Int a, Int b) { return _mm256_and_si256(a, b); }
  static Int bit_xor(Int a, Int b) { return _mm256_xor_si256(a, b); }
  static void store_int(uint32_t* p, Int a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a);
  }
  template <int kFactor>
  static Int times(Int a) {
    static_assert(kFactor == 1 || kFactor == 2 || kFactor == 4);
    return _mm256_slli_epi32(a, kFactor / 2);
  }

  static Float gather(const float* base, Int index) {
    return _mm256_i32gather_ps(base, index, 4);
  }
  // Pairs of floats, 8 bytes at base + 8 index, into their first and second halves.
  static void gather_pairs(const float* base, Int index, Float& first, Float& second) {
    const double* pairs = reinterpret_cast<const double*>(base);
    const Float low =
        _mm256_castpd_ps(_mm256_i32gather_pd(pairs, _mm256_castsi256_si128(index), 8));
    const Float high = _mm256_castpd_ps(
        _mm256_i32gather_pd(pairs, _mm256_extracti128_si256(index, 1), 8));
    first = in_order(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0)));
    second = in_order(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1)));
  }

  // [lane][F] from F vectors.
  template <int F>
  static void store_interleaved(float* p, const Float* a) {
    if constexpr (F == 1) {
      store(p, a[0]);
    } else if constexpr (F == 2) {
      const Float low = _mm256_unpacklo_ps(a[0], a[1]);
      const Float high = _mm256_unpackhi_ps(a[0], a[1]);
      store(p, _mm256_permute2f128_ps(low, high, 0x20));
      store(p + 8, _mm256_permute2f128_ps(low, high, 0x31));
    } else {
      alignas(32) float lanes[F][kLanes];
      for (int f = 0; f < F; ++f) store(lanes[f], a[f]);
      for (int lane = 0; lane < kLanes; ++lane) {
        for (int f = 0; f < F; ++f) p[lane * F + f] = lanes[f][lane];
      }
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
      store(entry, add(load(entry), load(value)));
    }
  }

  // out[i] = start[i] + the sum of the lanes of a[i], for four vectors.
  static void store_sums(float* out, const Float a[4], const float start[4]) {
    const Float abcd =
        _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3]));
    const __m128 sums =
        _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1));
    _mm_storeu_ps(out, _mm_add_ps(sums, _mm_loadu_ps(start)));
  }

  // The first `num_columns` columns of a [kLanes][kColumns] matrix, as rows of
  // `stride`.
  template <int kColumns>
  static void transpose(const float* matrix, float* out, int64_t stride,
                        int num_columns) {
    const Int index = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                         _mm256_set1_epi32(kColumns));
    for (int column = 0; column < num_columns; ++column) {
      store(out + column * stride, _mm256_i32gather_ps(matrix + column, index, 4));
    }
  }

 private:
  // Undoes the halves' interleaving by a shuffle of two gathers.
  static Float in_order(Float a) {
    return _mm256_castpd_ps(
        _mm256_permute4x64_pd(_mm256_castps_pd(a), _MM_SHUFFLE(3, 1, 2, 0)));
  }
};

}  // namespace
}  // namespace realfusion::cpu::field_avx2

#define RF_FIELD_NAMESPACE realfusion::cpu::field_avx2
#include "cpu/radiance_field_simd.h"
#undef RF_FIELD_NAMESPACE

namespace realfusion::cpu {

FieldKernels<float> field_kernels_avx2(int hidden_width) {
  return field_avx2::simd_kernels(hidden_width);
}

}  // namespace realfusion::cpu

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // RF_HAS_X86_SIMD
