// Volume rendering: the device kernels against the formulas in float64.
#include <random>
#include <vector>

#include "tests/check.h"
#include "tests/cuda_shim.h"

#include "cuda/compositing.cuh"

namespace {

using namespace realfusion;

struct Scene {
  std::vector<float> densities, channels, t, deltas, directions;
  std::vector<int64_t> offsets;
  int64_t num_channels;

  int64_t num_rays() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t num_samples() const { return static_cast<int64_t>(t.size()); }
  bool has_normals() const { return num_channels > 5; }
  cuda::CompositeSamples samples() const {
    return {channels.data(),
            t.data(),
            deltas.data(),
            offsets.data(),
            has_normals() ? directions.data() : nullptr,
            num_rays(),
            num_samples(),
            num_channels};
  }
};

Scene make_scene(int64_t num_channels) {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  Scene scene;
  scene.num_channels = num_channels;
  scene.offsets.push_back(0);
  for (const int64_t count : {5, 0, 1, 31, 32, 33, 0, 64, 100, 7}) {
    scene.offsets.push_back(scene.offsets.back() + count);
    for (int k = 0; k < 3; ++k) {
      scene.directions.push_back(2.0f * uniform(random) - 1.0f);
    }
  }
  const int64_t num_unowned = 3;  // samples behind the last ray
  for (int64_t i = 0; i < scene.offsets.back() + num_unowned; ++i) {
    scene.densities.push_back(12.0f * uniform(random));
    scene.t.push_back(1.0f + uniform(random));
    scene.deltas.push_back(0.02f + 0.02f * uniform(random));
    for (int64_t c = 0; c < num_channels; ++c) {
      scene.channels.push_back(2.0f * uniform(random) - 1.0f);
    }
  }
  return scene;
}

// The definition, in float64: weights, transmittance, values, depth of every ray, and
// its normals that face away (of 0 where there are none).
struct Expected {
  std::vector<double> weights, transmittance, values, depth, back_facing;
};

// With `fixed` weights normals that face away are seen by those.
Expected render(const Scene& scene, double early_stop,
                const std::vector<float>* fixed = nullptr) {
  Expected out;
  out.weights.resize(scene.t.size());
  for (int64_t ray = 0; ray < scene.num_rays(); ++ray) {
    double transmittance = 1.0;
    double depth = 0.0;
    double back_facing = 0.0;
    std::vector<double> values(scene.num_channels);
    for (int64_t i = scene.offsets[ray]; i < scene.offsets[ray + 1]; ++i) {
      if (transmittance < early_stop) break;
      const double alpha =
          1.0 - std::exp(-double(scene.densities[i]) * scene.deltas[i]);
      out.weights[i] = transmittance * alpha;
      depth += out.weights[i] * scene.t[i];
      for (int64_t c = 0; c < scene.num_channels; ++c) {
        values[c] += out.weights[i] * scene.channels[i * scene.num_channels + c];
      }
      if (scene.has_normals()) {
        const float* normal = &scene.channels[(i + 1) * scene.num_channels - 3];
        double cosine = 0.0;
        for (int k = 0; k < 3; ++k) {
          cosine += double(normal[k]) * scene.directions[3 * ray + k];
        }
        if (cosine > 0.0) {
          back_facing += (fixed ? (*fixed)[i] : out.weights[i]) * cosine * cosine;
        }
      }
      transmittance *= 1.0 - alpha;
    }
    out.transmittance.push_back(transmittance);
    out.depth.push_back(depth);
    out.back_facing.push_back(back_facing);
    out.values.insert(out.values.end(), values.begin(), values.end());
  }
  return out;
}

// The loss whose gradients the backward test takes: fixed weights on every output.
struct Loss {
  std::vector<float> values, transmittance, depth, back_facing;

  double operator()(const Expected& rendered) const {
    double sum = 0.0;
    for (size_t k = 0; k < values.size(); ++k) sum += values[k] * rendered.values[k];
    for (size_t k = 0; k < depth.size(); ++k) {
      sum += depth[k] * rendered.depth[k] +
             transmittance[k] * rendered.transmittance[k] +
             back_facing[k] * rendered.back_facing[k];
    }
    return sum;
  }
};

Loss make_loss(const Scene& scene) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  Loss loss;
  for (int64_t ray = 0; ray < scene.num_rays(); ++ray) {
    loss.transmittance.push_back(normal(random));
    loss.depth.push_back(normal(random));
    loss.back_facing.push_back(normal(random));
    for (int64_t c = 0; c < scene.num_channels; ++c)
      loss.values.push_back(normal(random));
  }
  return loss;
}

struct Rendered {
  std::vector<float> values, transmittance, depth, back_facing, weights;
};

Rendered run_forward(const Scene& scene, float early_stop, unsigned seed) {
  Rendered out;
  out.values.resize(scene.num_rays() * scene.num_channels);
  out.transmittance.resize(scene.num_rays());
  out.depth.resize(scene.num_rays());
  out.back_facing.resize(scene.num_rays());
  out.weights.resize(scene.num_samples());
  const unsigned blocks =
      shim::num_blocks(32 * scene.num_rays(), cuda::kCompositeBlock);
  shim::launch(dim3(blocks), cuda::kCompositeBlock, seed, [&] {
    cuda::composite_kernel(scene.samples(), scene.densities.data(), early_stop,
                           out.values.data(), out.transmittance.data(),
                           out.depth.data(), out.back_facing.data(),
                           out.weights.data());
  });
  return out;
}

void test_forward(int64_t num_channels, float early_stop) {
  const Scene scene = make_scene(num_channels);
  const Expected expected = render(scene, early_stop);
  for (unsigned seed = 0; seed < 3; ++seed) {
    const Rendered out = run_forward(scene, early_stop, seed);
    for (int64_t i = 0; i < scene.num_samples(); ++i) {
      RF_CHECK_NEAR(out.weights[i], expected.weights[i], 1e-6);
    }
    for (int64_t ray = 0; ray < scene.num_rays(); ++ray) {
      RF_CHECK_NEAR(out.transmittance[ray], expected.transmittance[ray], 1e-6);
      RF_CHECK_NEAR(out.depth[ray], expected.depth[ray], 1e-5);
      RF_CHECK_NEAR(out.back_facing[ray], expected.back_facing[ray], 1e-5);
    }
    for (size_t k = 0; k < out.values.size(); ++k) {
      RF_CHECK_NEAR(out.values[k], expected.values[k], 1e-5);
    }
  }
}

// Samples behind an early stop may hold anything: they are not read, and have no
// gradient.
void test_stopped_samples_are_not_read() {
  const float early_stop = 0.05f;
  Scene scene = make_scene(3);
  const Loss loss = make_loss(scene);
  const Rendered expected = run_forward(scene, early_stop, 0);
  const auto run_backward = [&] {
    std::pair<std::vector<float>, std::vector<float>> gradients{
        std::vector<float>(scene.t.size()), std::vector<float>(scene.channels.size())};
    const cuda::CompositeUpstream upstream{loss.values.data(),
                                           loss.transmittance.data(),
                                           loss.depth.data(),
                                           loss.back_facing.data(),
                                           expected.transmittance.data(),
                                           expected.weights.data()};
    shim::launch(shim::num_blocks(32 * scene.num_rays(), cuda::kCompositeBlock),
                 cuda::kCompositeBlock, 1, [&] {
                   cuda::composite_backward_kernel(scene.samples(), upstream,
                                                   early_stop, gradients.first.data(),
                                                   gradients.second.data());
                 });
    return gradients;
  };
  const auto expected_gradients = run_backward();
  int num_poisoned = 0;
  for (int64_t ray = 0; ray < scene.num_rays(); ++ray) {
    if (expected.transmittance[ray] >= early_stop) continue;
    int64_t end = scene.offsets[ray + 1];
    for (; expected.weights[end - 1] == 0.0f; --end) {
      scene.t[end - 1] = NAN;
      for (int c = 0; c < 3; ++c) scene.channels[3 * (end - 1) + c] = NAN;
      ++num_poisoned;
    }
  }
  RF_CHECK(num_poisoned > 0);
  const Rendered out = run_forward(scene, early_stop, 0);
  RF_CHECK(out.values == expected.values && out.depth == expected.depth);
  RF_CHECK(run_backward() == expected_gradients);
}

void test_backward(int64_t num_channels, float early_stop) {
  Scene scene = make_scene(num_channels);
  const Loss loss = make_loss(scene);
  const Rendered rendered = run_forward(scene, early_stop, 0);
  std::vector<float> grad_densities(scene.t.size());
  std::vector<float> grad_channels(scene.channels.size());
  const cuda::CompositeUpstream upstream{
      loss.values.data(),      loss.transmittance.data(),     loss.depth.data(),
      loss.back_facing.data(), rendered.transmittance.data(), rendered.weights.data()};
  const unsigned blocks =
      shim::num_blocks(32 * scene.num_rays(), cuda::kCompositeBlock);
  shim::launch(dim3(blocks), cuda::kCompositeBlock, 1, [&] {
    cuda::composite_backward_kernel(scene.samples(), upstream, early_stop,
                                    grad_densities.data(), grad_channels.data());
  });
  const auto check = [&](float& parameter, float gradient) {
    const float value = parameter;
    const float step = 1e-2f;
    parameter = value + step;
    const double above = loss(render(scene, early_stop, &rendered.weights));
    const double upper = parameter;
    parameter = value - step;
    const double below = loss(render(scene, early_stop, &rendered.weights));
    const double expected = (above - below) / (upper - parameter);
    parameter = value;
    RF_CHECK_NEAR(gradient, expected, 2e-4);
  };
  for (size_t i = 0; i < grad_densities.size(); ++i) {
    check(scene.densities[i], grad_densities[i]);
  }
  for (size_t k = 0; k < grad_channels.size(); k += 7) {
    check(scene.channels[k], grad_channels[k]);
  }
}

}  // namespace

int main() {
  for (const int64_t num_channels : {0, 1, 3, 8, 11}) {
    test_forward(num_channels, 0.0f);
    test_forward(num_channels, 0.05f);
    test_backward(num_channels, 0.0f);
  }
  test_stopped_samples_are_not_read();
  return 0;
}
