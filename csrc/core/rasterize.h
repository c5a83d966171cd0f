// Triangle rasterisation, the maths of one triangle: torch-free, no allocation.
#pragma once

#include <cmath>
#include <cstdint>

namespace realfusion {

// One vertex after projection: pixel coordinates (pixel centres at half-integers,
// row 0 at the top) and its depth in front of the camera (world units, > 0).
struct ScreenVertex {
  float x;
  float y;
  float depth;
};

// Perspective-correct interpolation weights of the vertices 1 and 2 (vertex 0 has the
// rest) and the depth where the pixel's ray meets the triangle.
struct Fragment {
  float weight1;
  float weight2;
  float depth;
};

// Edge functions of one screen triangle, divided by twice its area.
class TriangleSetup {
 public:
  TriangleSetup(const ScreenVertex& v0, const ScreenVertex& v1, const ScreenVertex& v2)
      : v0_(v0),
        edge1_x_(v1.x - v0.x),
        edge1_y_(v1.y - v0.y),
        edge2_x_(v2.x - v0.x),
        edge2_y_(v2.y - v0.y) {
    const float area = edge1_x_ * edge2_y_ - edge2_x_ * edge1_y_;
    is_valid_ = std::fabs(area) > 1e-9f && v0.depth > kNearDepth &&
                v1.depth > kNearDepth && v2.depth > kNearDepth;
    if (!is_valid_) return;
    inverse_area_ = 1.0f / area;
    inverse_depth0_ = 1.0f / v0.depth;
    inverse_depth1_ = 1.0f / v1.depth;
    inverse_depth2_ = 1.0f / v2.depth;
  }

  // False for a triangle that is degenerate or not wholly in front of the camera.
  bool is_valid() const { return is_valid_; }

  // Whether the point (x, y) in pixels is inside; fills `fragment` if so.
  bool cover(float x, float y, Fragment* fragment) const {
    const float dx = x - v0_.x;
    const float dy = y - v0_.y;
    const float w1 = (dx * edge2_y_ - edge2_x_ * dy) * inverse_area_;
    const float w2 = (edge1_x_ * dy - dx * edge1_y_) * inverse_area_;
    const float w0 = 1.0f - w1 - w2;
    if (w0 < 0.0f || w1 < 0.0f || w2 < 0.0f) return false;
    const float inverse_depth =
        w0 * inverse_depth0_ + w1 * inverse_depth1_ + w2 * inverse_depth2_;
    fragment->depth = 1.0f / inverse_depth;
    fragment->weight1 = w1 * inverse_depth1_ * fragment->depth;
    fragment->weight2 = w2 * inverse_depth2_ * fragment->depth;
    return true;
  }

 private:
  static constexpr float kNearDepth = 0.05f;
  ScreenVertex v0_;
  float edge1_x_, edge1_y_, edge2_x_, edge2_y_;
  float inverse_area_ = 0.0f;
  float inverse_depth0_ = 0.0f, inverse_depth1_ = 0.0f, inverse_depth2_ = 0.0f;
  bool is_valid_ = false;
};

}  // namespace realfusion
