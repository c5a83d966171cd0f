// The optimiser: the device kernels against the formulas in float64.
#include <random>
#include <vector>

#include "tests/check.h"
#include "tests/cuda_shim.h"

#include "cuda/adam.cuh"

namespace {

using namespace realfusion;

constexpr AdamSettings kSettings{0.9f, 0.99f, 1e-8f, false};

// One parameter and all that a step changes of it.
struct Parameter {
  std::vector<float> value, gradient, first, second, average;
};

std::vector<Parameter> make_parameters(const std::vector<int64_t>& lengths) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<Parameter> parameters;
  for (const int64_t length : lengths) {
    Parameter each;
    for (int64_t i = 0; i < length; ++i) {
      each.value.push_back(normal(random));
      each.gradient.push_back(normal(random));
      each.first.push_back(0.1f * normal(random));
      each.second.push_back(std::abs(normal(random)));
      each.average.push_back(normal(random));
    }
    parameters.push_back(each);
  }
  return parameters;
}

struct Numbers {
  float count = 4.0f;
  float withheld = 0.0f;
  float loss_scale = 8.0f;
  float average_share = 0.25f;
  std::vector<float> rates, weight_decays;
};

Numbers make_numbers(size_t num_parameters) {
  Numbers numbers;
  for (size_t k = 0; k < num_parameters; ++k) {
    numbers.rates.push_back(1e-2f / static_cast<float>(k + 1));
    numbers.weight_decays.push_back(0.1f * static_cast<float>(k));
  }
  return numbers;
}

void run_step(std::vector<Parameter>& parameters, Numbers& numbers,
              const AdamSettings& settings, unsigned seed) {
  cuda::AdamTensors tensors{};
  unsigned blocks = 0;
  for (size_t k = 0; k < parameters.size(); ++k) {
    Parameter& each = parameters[k];
    tensors.parameters[k] = each.value.data();
    tensors.gradients[k] = each.gradient.data();
    tensors.first_moments[k] = each.first.data();
    tensors.second_moments[k] = each.second.data();
    tensors.averages[k] = each.average.data();
    tensors.lengths[k] = static_cast<int64_t>(each.value.size());
    tensors.weight_decays[k] = numbers.weight_decays[k];
    blocks += shim::num_blocks(tensors.lengths[k], cuda::kAdamPerBlock);
    tensors.ends[k] = blocks;
  }
  shim::launch(1, 32, seed,
               [&] { cuda::count_step_kernel(&numbers.count, &numbers.withheld); });
  const cuda::AdamScalars scalars{&numbers.count, &numbers.withheld,
                                  &numbers.loss_scale, &numbers.average_share};
  shim::launch(dim3(blocks), cuda::kAdamBlock, seed, [&] {
    cuda::adam_step_kernel(tensors, scalars, numbers.rates.data(), settings);
  });
}

void check_step(const Parameter& before, const Parameter& after, double rate,
                double weight_decay, double count, const AdamSettings& settings) {
  for (size_t i = 0; i < before.value.size(); ++i) {
    double value = before.value[i];
    double gradient = before.gradient[i] / 8.0;
    if (settings.is_decoupled) {
      value *= 1.0 - rate * weight_decay;
    } else {
      gradient += weight_decay * value;
    }
    const double first = 0.9 * before.first[i] + 0.1 * gradient;
    const double second = 0.99 * before.second[i] + 0.01 * gradient * gradient;
    const double mean = first / (1.0 - std::pow(0.9, count));
    const double square = second / (1.0 - std::pow(0.99, count));
    value -= rate * mean / (std::sqrt(square) + 1e-8);
    RF_CHECK_NEAR(after.value[i], value, 2e-6);
    RF_CHECK_NEAR(after.first[i], first, 1e-6);
    RF_CHECK_NEAR(after.second[i], second, 1e-6);
    const double average = before.average[i];
    RF_CHECK_NEAR(after.average[i], average + 0.25 * (value - average), 2e-6);
  }
}

void test_step(bool is_decoupled) {
  AdamSettings settings = kSettings;
  settings.is_decoupled = is_decoupled;
  // Empty, smaller than a block, exactly a block, and several with a rest.
  const std::vector<int64_t> lengths{5, 0, cuda::kAdamPerBlock, 3333, 1};
  const std::vector<Parameter> before = make_parameters(lengths);
  for (unsigned seed = 0; seed < 3; ++seed) {
    std::vector<Parameter> after = before;
    Numbers numbers = make_numbers(lengths.size());
    run_step(after, numbers, settings, seed);
    RF_CHECK(numbers.count == 5.0f);
    for (size_t k = 0; k < lengths.size(); ++k) {
      check_step(before[k], after[k], numbers.rates[k], numbers.weight_decays[k], 5.0,
                 settings);
    }
  }
}

void test_withheld_step() {
  const std::vector<Parameter> before = make_parameters({700});
  std::vector<Parameter> after = before;
  Numbers numbers = make_numbers(1);
  numbers.withheld = 1.0f;
  run_step(after, numbers, kSettings, 0);
  RF_CHECK(numbers.count == 4.0f);
  RF_CHECK(after[0].value == before[0].value && after[0].first == before[0].first);
  RF_CHECK(after[0].second == before[0].second);
  RF_CHECK(after[0].average == before[0].average);
}

}  // namespace

int main() {
  test_step(false);
  test_step(true);
  test_withheld_step();
  return 0;
}
