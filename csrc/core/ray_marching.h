// Ray marching through an occupancy grid: where the steps of one ray lie. Torch-free,
// host and device.
#pragma once

#include "core/aabb.h"
#include "core/host_device.h"
#include "core/occupancy.h"

namespace realfusion {

struct MarchSettings {
  OccupancyGrid grid;
  float bound;
  float step_size;
  float cone_angle;  // 0: steps of one length
  float near;
  int32_t max_steps;
};

// The steps of one ray: `first` <= t < `far`.
struct RaySteps {
  float first;
  float far;
};

RF_HOST_DEVICE float step_length(const MarchSettings& settings, float t) {
  return ::fmaxf(settings.step_size, settings.cone_angle * t);
}

// `noise` in [0, 1) shifts all steps of the ray by that part of the first step. A ray
// that is not finite, or has no direction, has no steps.
RF_HOST_DEVICE RaySteps ray_steps(const MarchSettings& settings, const float origin[3],
                                  const float direction[3], float noise) {
  const RayInterval inside =
      intersect_box(origin, direction, settings.bound, settings.near);
  // Zero unless one of the six is infinite or NaN, which makes it NaN.
  const float zero = 0.0f * (origin[0] + origin[1] + origin[2] + direction[0] +
                             direction[1] + direction[2]);
  if (!(zero == 0.0f) || !(inside.far < INFINITY)) return {0.0f, 0.0f};
  const float first =
      fused_multiply_add(noise, step_length(settings, inside.near), inside.near);
  return {first, inside.far};
}

// Distance of the step `i` of equal steps: never accumulated, so that any number of
// lanes finds the same value.
RF_HOST_DEVICE float uniform_step(const MarchSettings& settings, const RaySteps& steps,
                                  int32_t i) {
  return fused_multiply_add(static_cast<float>(i), settings.step_size, steps.first);
}

// The step after t along a cone, whose steps grow with the distance.
RF_HOST_DEVICE float next_cone_step(const MarchSettings& settings, float t) {
  return t + step_length(settings, t);
}

RF_HOST_DEVICE void ray_point(const float origin[3], const float direction[3], float t,
                              float point[3]) {
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    point[axis] = fused_multiply_add(t, direction[axis], origin[axis]);
  }
}

}  // namespace realfusion
