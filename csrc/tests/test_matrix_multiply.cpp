// The matrix products of a warp against a plain product, and the rounding of their
// operands, by the scalar bodies that stand for the instructions.
#include <random>
#include <vector>

#include "tests/check.h"
#include "tests/cuda_shim.h"

#include "cuda/matrix_multiply.cuh"

namespace {

using namespace realfusion;
using namespace realfusion::cuda;

constexpr int kRows = 16;
constexpr int kColumns = 8;

// sums [16, 8] = left [16, depth] right [depth, 8]; index k stands in a slot as in the
// kernels' layers (neighbours a lane) or as over samples (a lane's indices 4 apart).
template <FieldPrecision P>
__global__ void multiply_kernel(const float* left, const float* right, bool neighbours,
                                float* sums) {
  constexpr int kInner = kDepth<P>;
  const FragmentLane lane = FragmentLane::own();
  const auto index = [&](int block, int slot) {
    return 8 * block + (neighbours ? 2 * lane.member + slot : lane.member + 4 * slot);
  };
  float own_left[kInner / 8][4];
  float own_right[kInner / 8][2];
  for (int b = 0; b < kInner / 8; ++b) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane.group + 8 * (i % 2);
      own_left[b][i] = round_operand<P>(left[row * kInner + index(b, i / 2)]);
    }
    for (int i = 0; i < 2; ++i) {
      own_right[b][i] = round_operand<P>(right[index(b, i) * kColumns + lane.group]);
    }
  }
  float own[4] = {1.0f, 2.0f, 3.0f, 4.0f};  // the product is added
  multiply_add<P>(own, make_left<P>(own_left), make_right<P>(own_right));
  for (int i = 0; i < 4; ++i) {
    const int row = lane.group + 8 * (i / 2);
    sums[row * kColumns + 2 * lane.member + i % 2] = own[i] - float(i + 1);
  }
}

// Small integers, which every precision holds, must come out exactly.
template <FieldPrecision P>
void test_product() {
  constexpr int kInner = kDepth<P>;
  std::mt19937 random(5);
  std::uniform_int_distribution<int> digit(-9, 9);
  std::vector<float> left(kRows * kInner), right(kInner * kColumns);
  for (float& value : left) value = float(digit(random));
  for (float& value : right) value = float(digit(random));
  for (const bool neighbours : {true, false}) {
    std::vector<float> sums(kRows * kColumns, -1.0f);
    shim::launch(dim3(1), 32, 7, [&] {
      multiply_kernel<P>(left.data(), right.data(), neighbours, sums.data());
    });
    for (int row = 0; row < kRows; ++row) {
      for (int column = 0; column < kColumns; ++column) {
        float expected = 0.0f;
        for (int k = 0; k < kInner; ++k) {
          expected += left[row * kInner + k] * right[k * kColumns + column];
        }
        RF_CHECK(sums[row * kColumns + column] == expected);
      }
    }
  }
}

void test_rounding() {
  const auto tf32 = [](float value) {
    return round_operand<FieldPrecision::tf32>(value);
  };
  const float step = std::ldexp(1.0f, -10);
  RF_CHECK(tf32(1.0f + step) == 1.0f + step);
  RF_CHECK(tf32(1.0f + 0.5f * step) == 1.0f + step);  // a tie goes away from zero
  RF_CHECK(tf32(-1.0f - 0.5f * step) == -1.0f - step);
  RF_CHECK(tf32(1.0f + 0.49f * step) == 1.0f);
  RF_CHECK(tf32(INFINITY) == INFINITY);
  RF_CHECK(std::isnan(tf32(NAN)));

  const float wide = std::ldexp(1.0f, -7);
  const uint32_t pair = pack_bfloat16(1.0f + 0.5f * wide, -1.0f - 1.5f * wide);
  RF_CHECK(float_from_bits(pair << 16) == 1.0f);  // ties go to the even neighbour
  RF_CHECK(float_from_bits(pair & 0xffff0000u) == -1.0f - 2.0f * wide);
}

}  // namespace

int main() {
  test_product<FieldPrecision::float32>();
  test_product<FieldPrecision::tf32>();
  test_product<FieldPrecision::bfloat16>();
  test_rounding();
  return 0;
}
