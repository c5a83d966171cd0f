// Intersection of a ray with the scene's box. Torch-free, host and device.
#pragma once

#include "core/host_device.h"

namespace realfusion {

// Distances along a ray between which it is inside the box; empty if far <= near.
struct RayInterval {
  float near;
  float far;
};

// Slab test against the cube [-bound, bound]^3, the part behind `near_limit` cut off.
// A ray parallel to a slab divides by zero: the infinities compare correctly, and the
// NaN of a ray in the slab's very plane is dropped by fminf and fmaxf.
RF_HOST_DEVICE RayInterval intersect_box(const float origin[3],
                                         const float direction[3], float bound,
                                         float near_limit) {
  RayInterval interval{near_limit, INFINITY};
  RF_UNROLL
  for (int axis = 0; axis < 3; ++axis) {
    const float inverse = 1.0f / direction[axis];
    const float t0 = (-bound - origin[axis]) * inverse;
    const float t1 = (bound - origin[axis]) * inverse;
    interval.near = ::fmaxf(interval.near, ::fminf(t0, t1));
    interval.far = ::fminf(interval.far, ::fmaxf(t0, t1));
  }
  return interval;
}

}  // namespace realfusion
