// Z-buffered triangle rasteriser for the procedural object generator.
//
// Torch-free with a C interface, so that realfusion.procedural works from numpy alone.

#include "../core/rasterize.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace realfusion {
namespace {

struct PixelRange {
  int begin;
  int end;
};

// Pixels whose centres may lie between the smallest and the largest coordinate.
PixelRange pixel_range(float a, float b, float c, int size) {
  const float low = std::floor(std::min(a, std::min(b, c)) - 0.5f);
  const float high = std::ceil(std::max(a, std::max(b, c)) - 0.5f);
  const float limit = static_cast<float>(size);
  const int begin = static_cast<int>(std::max(0.0f, std::min(low, limit)));
  const int end = static_cast<int>(std::max(-1.0f, std::min(high, limit - 1.0f))) + 1;
  return {begin, end};
}

}  // namespace
}  // namespace realfusion

// Rasterises the same triangles in several views.
//
// vertices     [num_views, num_vertices, 3] pixel x, pixel y, depth (world units), in
// faces        [num_faces, 3] vertex indices, in
// face_index   [num_views, height, width] nearest face or -1, out
// weights      [num_views, height, width, 2] weights of its vertices 1 and 2, out;
//              untouched where no face is hit
// depth        [num_views, height, width] its depth, +inf where none is hit, out
extern "C" __attribute__((visibility("default"))) void realfusion_rasterize_triangles(
    const float* vertices, const std::int32_t* faces, std::int64_t num_views,
    std::int64_t num_vertices, std::int64_t num_faces, std::int32_t height,
    std::int32_t width, std::int32_t* face_index, float* weights, float* depth) {
  using realfusion::Fragment;
  using realfusion::ScreenVertex;
  const std::int64_t num_pixels = static_cast<std::int64_t>(height) * width;
  std::fill_n(face_index, num_views * num_pixels, -1);
  std::fill_n(depth, num_views * num_pixels, std::numeric_limits<float>::infinity());
  for (std::int64_t view = 0; view < num_views; ++view) {
    const float* points = vertices + view * num_vertices * 3;
    const std::int64_t view_offset = view * num_pixels;
    const auto vertex = [points](std::int32_t index) {
      const float* p = points + 3 * static_cast<std::int64_t>(index);
      return ScreenVertex{p[0], p[1], p[2]};
    };
    for (std::int64_t face = 0; face < num_faces; ++face) {
      const ScreenVertex v0 = vertex(faces[3 * face]);
      const ScreenVertex v1 = vertex(faces[3 * face + 1]);
      const ScreenVertex v2 = vertex(faces[3 * face + 2]);
      const realfusion::TriangleSetup triangle(v0, v1, v2);
      if (!triangle.is_valid()) continue;
      const auto columns = realfusion::pixel_range(v0.x, v1.x, v2.x, width);
      const auto rows = realfusion::pixel_range(v0.y, v1.y, v2.y, height);
      for (int row = rows.begin; row < rows.end; ++row) {
        for (int column = columns.begin; column < columns.end; ++column) {
          Fragment fragment;
          if (!triangle.cover(static_cast<float>(column) + 0.5f,
                              static_cast<float>(row) + 0.5f, &fragment)) {
            continue;
          }
          const std::int64_t pixel =
              view_offset + static_cast<std::int64_t>(row) * width + column;
          if (fragment.depth >= depth[pixel]) continue;
          depth[pixel] = fragment.depth;
          face_index[pixel] = static_cast<std::int32_t>(face);
          weights[2 * pixel] = fragment.weight1;
          weights[2 * pixel + 1] = fragment.weight2;
        }
      }
    }
  }
}
