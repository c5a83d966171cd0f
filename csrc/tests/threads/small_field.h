// A small radiance field with random parameters, for the tests in this folder.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "tests/threads/check_threads.h"

namespace realfusion::test {

struct SmallField {
  std::vector<double> scales;
  std::vector<int64_t> resolutions;
  std::vector<int64_t> offsets;
  Tensor table, w1, b1, w2, b2, w3, b3;
};

// Two features a level; `draw` makes each parameter.
template <class Draw>
SmallField make_small_field(int64_t num_levels, int64_t width, const Draw& draw) {
  std::vector<double> scales;
  std::vector<int64_t> resolutions;
  std::vector<int64_t> offsets{0};
  for (int64_t l = 0; l < num_levels; ++l) {
    const int64_t resolution = (3 << l) + 1;
    scales.push_back(static_cast<double>((3 << l) - 1));
    resolutions.push_back(resolution);
    const int64_t num_vertices = (resolution * resolution * resolution + 7) / 8 * 8;
    offsets.push_back(offsets.back() + std::min<int64_t>(num_vertices, 512));
  }
  return {scales,
          resolutions,
          offsets,
          make_floats({offsets.back(), 2}, draw),
          make_floats({width, 2 * num_levels}, draw),
          make_floats({width}, draw),
          make_floats({width, width}, draw),
          make_floats({width}, draw),
          make_floats({4, width}, draw),
          make_floats({4}, draw)};
}

}  // namespace realfusion::test
