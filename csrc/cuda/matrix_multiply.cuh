// Products of small matrices by one warp: on tensor cores (mma.sync) in TF32 or
// bfloat16, by fused multiply-adds in float32. No torch: the CPU launch shim of
// csrc/tests runs the scalar bodies, which read the fragments of all lanes by the
// tables of the PTX manual, and so tell a wrong layout from a right one.
//
// A step adds a 16 x kDepth times a kDepth x 8 matrix to a 16 x 8 one. With
// group = lane / 4 and member = lane % 4 a lane holds of the sum the elements
//   (group, 2 member), (group, 2 member + 1), (group + 8, ...), (group + 8, ...),
// of the left operand the rows group and group + 8, of the right the column group, and
// of every eight summed indices two: "slots" member and member + 4. Which index stands
// in which slot is free as long as both operands agree.
#pragma once

#include "core/field_precision.h"
#include "core/host_device.h"

// Unrolls the loop that follows by a factor that may depend on template arguments.
#define RF_PRAGMA(text) _Pragma(#text)
#if defined(__CUDACC__)
#define RF_UNROLL_BY(factor) RF_PRAGMA(unroll(factor))
#else
#define RF_UNROLL_BY(factor)
#endif

namespace realfusion::cuda {

// Indices summed in one step.
template <FieldPrecision P>
constexpr int kDepth = P == FieldPrecision::bfloat16 ? 16 : 8;

// Whether the architecture being compiled for has the instructions. The host chooses
// float32 where it has not.
template <FieldPrecision P>
__device__ constexpr bool has_precision() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  return P == FieldPrecision::float32;
#else
  return true;
#endif
}

struct FragmentLane {
  int group;
  int member;

  __device__ static FragmentLane own() {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    return {lane / 4, lane % 4};
  }
};

// A lane's part of the operands. float32: whole rows and columns, so that a lane can
// add up its four elements alone. Else: registers as the instruction takes them.
template <FieldPrecision P>
struct LeftFragment {
  uint32_t registers[4];
};
template <>
struct LeftFragment<FieldPrecision::float32> {
  float rows[2][8];
};
template <FieldPrecision P>
struct RightFragment {
  uint32_t registers[2];
};
template <>
struct RightFragment<FieldPrecision::float32> {
  float columns[2][8];
};

#if defined(__CUDACC__)

// N values of every lane. A lane's number may vary; all lanes ask in step.
template <int N>
struct WarpValues {
  const float (&own)[N];

  __device__ explicit WarpValues(const float (&values)[N]) : own(values) {}
  __device__ float at(int lane, int k) const {
    return __shfl_sync(0xffffffffu, own[k], lane);
  }
};

__device__ inline uint32_t round_to_tf32(float value) {
  uint32_t bits = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
#endif
  return bits;
}

// Two neighbours, the first in the low half.
__device__ inline uint32_t pack_bfloat16(float first, float second) {
  uint32_t bits = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
#endif
  return bits;
}

__device__ inline void multiply_tf32(float sums[4], const uint32_t a[4],
                                     const uint32_t b[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

__device__ inline void multiply_bfloat16(float sums[4], const uint32_t a[4],
                                         const uint32_t b[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

__device__ inline float float_from_bits(uint32_t bits) { return __uint_as_float(bits); }
__device__ inline uint32_t bits_from_float(float value) {
  return __float_as_uint(value);
}

#else  // the CPU launch shim

inline float float_from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
inline uint32_t bits_from_float(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

template <int N>
struct WarpValues {
  std::array<std::array<float, N>, 32> lanes;

  explicit WarpValues(const float (&values)[N]) : lanes(shim::gather_lanes(values)) {}
  float at(int lane, int k) const { return lanes[lane][k]; }
};

// To nearest, ties away from zero, as cvt.rna. Infinities stay, NaN is canonical.
inline uint32_t round_to_tf32(float value) {
  if (std::isnan(value)) return 0x7fffffffu;
  const uint32_t bits = bits_from_float(value);
  if (std::isinf(value)) return bits;
  return (bits + 0x1000u) & ~0x1fffu;
}

// To nearest, ties to even, as cvt.rn.
inline uint32_t round_to_bfloat16(float value) {
  if (std::isnan(value)) return 0x7fffu;
  const uint32_t bits = bits_from_float(value);
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}
inline uint32_t pack_bfloat16(float first, float second) {
  return round_to_bfloat16(first) | round_to_bfloat16(second) << 16;
}

// sums += A B; `left(row, k)` and `right(k, column)` read the fragments of all lanes.
template <int kInner, class Left, class Right>
void multiply_fragments(float sums[4], const Left& left, const Right& right) {
  const FragmentLane lane = FragmentLane::own();
  for (int i = 0; i < 4; ++i) {
    const int row = lane.group + 8 * (i / 2);
    const int column = 2 * lane.member + i % 2;
    for (int k = 0; k < kInner; ++k) sums[i] += left(row, k) * right(k, column);
  }
}

inline auto gather_operands(const uint32_t a[4], const uint32_t b[2]) {
  const uint32_t own[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  return shim::gather_lanes(own);
}

// What a multiplier does with more than the 19 bits of TF32 is not defined.
inline float read_tf32(uint32_t bits) {
  const float value = float_from_bits(bits);
  if ((bits & 0x1fffu) != 0 && !std::isnan(value)) shim::fail("unrounded operand");
  return value;
}

inline void multiply_tf32(float sums[4], const uint32_t a[4], const uint32_t b[2]) {
  const auto lanes = gather_operands(a, b);
  multiply_fragments<8>(
      sums,
      [&](int row, int k) {
        return read_tf32(lanes[row % 8 * 4 + k % 4][row / 8 + 2 * (k / 4)]);
      },
      [&](int k, int column) {
        return read_tf32(lanes[column * 4 + k % 4][4 + k / 4]);
      });
}

inline void multiply_bfloat16(float sums[4], const uint32_t a[4], const uint32_t b[2]) {
  const auto lanes = gather_operands(a, b);
  const auto value = [](uint32_t pair, int half) {
    return float_from_bits(half == 0 ? pair << 16 : pair & 0xffff0000u);
  };
  multiply_fragments<16>(
      sums,
      [&](int row, int k) {
        return value(lanes[row % 8 * 4 + k % 8 / 2][row / 8 + 2 * (k / 8)], k % 2);
      },
      [&](int k, int column) {
        return value(lanes[column * 4 + k % 8 / 2][4 + k / 8], k % 2);
      });
}

#endif

// What an operand must have gone through before a fragment is made of it. In bfloat16
// the fragment's making rounds.
template <FieldPrecision P>
__device__ inline float round_operand(float value) {
  if constexpr (P == FieldPrecision::tf32) {
    return float_from_bits(round_to_tf32(value));
  } else {
    return value;
  }
}

// From values[b][i], rounded: of the b-th eight indices the rows group and group + 8 in
// the slot member (i = 0, 1) and in the slot member + 4 (i = 2, 3).
template <FieldPrecision P>
__device__ inline LeftFragment<P> make_left(const float (&values)[kDepth<P> / 8][4]) {
  LeftFragment<P> left;
  if constexpr (P == FieldPrecision::float32) {
    const WarpValues<4> warp(values[0]);
    const int first = 4 * FragmentLane::own().group;
    RF_UNROLL
    for (int k = 0; k < 8; ++k) {
      left.rows[0][k] = warp.at(first + k % 4, k < 4 ? 0 : 2);
      left.rows[1][k] = warp.at(first + k % 4, k < 4 ? 1 : 3);
    }
  } else if constexpr (P == FieldPrecision::tf32) {
    RF_UNROLL
    for (int i = 0; i < 4; ++i) left.registers[i] = bits_from_float(values[0][i]);
  } else {
    RF_UNROLL
    for (int i = 0; i < 4; ++i) {
      left.registers[i] = pack_bfloat16(values[i / 2][i % 2], values[i / 2][i % 2 + 2]);
    }
  }
  return left;
}

// From values[b][i], rounded: of the b-th eight indices the column group in the slots
// member (i = 0) and member + 4 (i = 1).
template <FieldPrecision P>
__device__ inline RightFragment<P> make_right(const float (&values)[kDepth<P> / 8][2]) {
  RightFragment<P> right;
  if constexpr (P == FieldPrecision::float32) {
    const WarpValues<2> warp(values[0]);
    RF_UNROLL
    for (int j = 0; j < 2; ++j) {
      const int first = 4 * (2 * FragmentLane::own().member + j);
      RF_UNROLL
      for (int k = 0; k < 8; ++k) {
        right.columns[j][k] = warp.at(first + k % 4, k / 4);
      }
    }
  } else if constexpr (P == FieldPrecision::tf32) {
    RF_UNROLL
    for (int i = 0; i < 2; ++i) right.registers[i] = bits_from_float(values[0][i]);
  } else {
    RF_UNROLL
    for (int i = 0; i < 2; ++i) {
      right.registers[i] = pack_bfloat16(values[i][0], values[i][1]);
    }
  }
  return right;
}

// sums += left right.
template <FieldPrecision P>
__device__ inline void multiply_add(float sums[4], const LeftFragment<P>& left,
                                    const RightFragment<P>& right) {
  if constexpr (P == FieldPrecision::float32) {
    RF_UNROLL
    for (int k = 0; k < 8; ++k) {
      RF_UNROLL
      for (int i = 0; i < 4; ++i) {
        sums[i] += left.rows[i / 2][k] * right.columns[i % 2][k];
      }
    }
  } else if constexpr (P == FieldPrecision::tf32) {
    multiply_tf32(sums, left.registers, right.registers);
  } else {
    multiply_bfloat16(sums, left.registers, right.registers);
  }
}

}  // namespace realfusion::cuda
