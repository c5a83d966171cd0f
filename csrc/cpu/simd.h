// Which instruction set the CPU kernels use, chosen at run time.
#pragma once

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace realfusion {

enum class SimdLevel { scalar = 0, avx2 = 1, avx512 = 2 };

// Put on every function of a variant, also on its helpers: without the attribute, an
// inline function compiled here could be linked into code for a lesser machine.
#if defined(__x86_64__)
#define RF_HAS_X86_SIMD 1
#define RF_TARGET_AVX2 __attribute__((target("avx2,fma,bmi,bmi2,popcnt,lzcnt")))
#define RF_TARGET_AVX512 \
  __attribute__((target( \
      "avx2,fma,bmi,bmi2,popcnt,lzcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd")))
#else
#define RF_HAS_X86_SIMD 0
#endif

// The best level that this processor and operating system support.
inline SimdLevel supported_simd_level() {
#if RF_HAS_X86_SIMD
  const bool has_avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
      __builtin_cpu_supports("popcnt");
  const bool has_avx512 =
      has_avx2 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
  if (has_avx512) return SimdLevel::avx512;
  if (has_avx2) return SimdLevel::avx2;
#endif
  return SimdLevel::scalar;
}

// The level in use: the environment's REALFUSION_SIMD (scalar, avx2, avx512), else the
// best one. Read at every call, so that one process can compare the variants. Throws
// where the variable is misspelt or asks for more than the machine has.
inline SimdLevel simd_level() {
  static const SimdLevel supported = supported_simd_level();
  const char* wanted = std::getenv("REALFUSION_SIMD");
  if (wanted == nullptr || *wanted == '\0') return supported;
  SimdLevel level = SimdLevel::scalar;
  if (std::strcmp(wanted, "avx512") == 0) {
    level = SimdLevel::avx512;
  } else if (std::strcmp(wanted, "avx2") == 0) {
    level = SimdLevel::avx2;
  } else if (std::strcmp(wanted, "scalar") != 0) {
    throw std::runtime_error(
        std::string("`REALFUSION_SIMD` must be scalar, avx2 or avx512, got ") + wanted);
  }
  if (level > supported) {
    throw std::runtime_error(
        std::string("`REALFUSION_SIMD` must be supported by this processor, got ") +
        wanted);
  }
  return level;
}

}  // namespace realfusion
