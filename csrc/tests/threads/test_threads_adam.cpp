// The optimiser on several threads: one large parameter and some small ones.
#include "tests/threads/check_threads.h"

#include "cpu/adam.cpp"

using namespace realfusion;

int main() {
  test::check_any_number_of_threads([] {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(0.1f, 1.0f);
    const auto draw = [&] { return uniform(random); };
    const auto list = [&] {
      return Tensors{test::make_floats({90'001}, draw), test::make_floats({7}, draw)};
    };
    const Tensors parameters = list(), gradients = list(), first = list(),
                  second = list(), averages = list();
    const auto number = [](float value) {
      return test::make_floats({}, [&] { return value; });
    };
    adam_step_(parameters, gradients, first, second, averages, number(3.0f),
               test::make_floats({2}, draw), {0.0, 0.1}, number(0.0f), number(2.0f),
               number(0.5f), 0.9, 0.99, 1e-8, true);
    return std::vector<Tensor>{parameters[0], parameters[1], first[0],
                               second[0],     averages[0],   averages[1]};
  });
}
