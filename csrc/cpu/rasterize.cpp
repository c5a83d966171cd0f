// Z-buffered triangle rasteriser for the procedural object generator.
//
// Torch-free with a C interface, so that realfusion.procedural works from numpy alone.

#include "../core/rasterize.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

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

// Calls `visit(face, pixel, fragment)` for every pixel that a face in [begin, end)
// covers, face by face.
template <typename Visit>
void visit_fragments(const float* points, const std::int32_t* faces, std::int64_t begin,
                     std::int64_t end, std::int32_t height, std::int32_t width,
                     const Visit& visit) {
  const auto vertex = [points](std::int32_t index) {
    const float* p = points + 3 * static_cast<std::int64_t>(index);
    return ScreenVertex{p[0], p[1], p[2]};
  };
  for (std::int64_t face = begin; face < end; ++face) {
    const ScreenVertex v0 = vertex(faces[3 * face]);
    const ScreenVertex v1 = vertex(faces[3 * face + 1]);
    const ScreenVertex v2 = vertex(faces[3 * face + 2]);
    const TriangleSetup triangle(v0, v1, v2);
    if (!triangle.is_valid()) continue;
    const auto columns = pixel_range(v0.x, v1.x, v2.x, width);
    const auto rows = pixel_range(v0.y, v1.y, v2.y, height);
    for (int row = rows.begin; row < rows.end; ++row) {
      for (int column = columns.begin; column < columns.end; ++column) {
        Fragment fragment;
        if (triangle.cover(static_cast<float>(column) + 0.5f,
                           static_cast<float>(row) + 0.5f, &fragment)) {
          visit(face, static_cast<std::int64_t>(row) * width + column, fragment);
        }
      }
    }
  }
}

constexpr int kNumPlanes = 64;  // one bit each

// The planes behind a depth. Plane k lies at first_depth + k * spacing.
std::uint64_t planes_behind(float depth, float first_depth, float spacing) {
  const float place = std::floor((depth - first_depth) / spacing) + 1.0f;
  if (place >= static_cast<float>(kNumPlanes)) return 0;
  return ~std::uint64_t{0} << static_cast<int>(std::max(place, 0.0f));
}

}  // namespace
}  // namespace realfusion

// Rasterises the same triangles in several views: the nearest surface or the farthest.
//
// vertices     [num_views, num_vertices, 3] pixel x, pixel y, depth (world units), in
// faces        [num_faces, 3] vertex indices, in
// keep_farthest keep the farthest face instead of the nearest, in
// face_index   [num_views, height, width] the face kept or -1, out
// weights      [num_views, height, width, 2] weights of its vertices 1 and 2, out;
//              untouched where no face is hit
// depth        [num_views, height, width] its depth, +inf where none is hit, out
extern "C" __attribute__((visibility("default"))) void realfusion_rasterize_triangles(
    const float* vertices, const std::int32_t* faces, std::int64_t num_views,
    std::int64_t num_vertices, std::int64_t num_faces, std::int32_t height,
    std::int32_t width, std::int32_t keep_farthest, std::int32_t* face_index,
    float* weights, float* depth) {
  const std::int64_t num_pixels = static_cast<std::int64_t>(height) * width;
  std::fill_n(face_index, num_views * num_pixels, -1);
  std::fill_n(depth, num_views * num_pixels, std::numeric_limits<float>::infinity());
  for (std::int64_t view = 0; view < num_views; ++view) {
    const std::int64_t offset = view * num_pixels;
    const auto keep = [=](std::int64_t face, std::int64_t place,
                          const realfusion::Fragment& fragment) {
      const std::int64_t pixel = offset + place;
      const bool is_better =
          keep_farthest ? fragment.depth > depth[pixel] : fragment.depth < depth[pixel];
      if (face_index[pixel] >= 0 && !is_better) return;
      depth[pixel] = fragment.depth;
      face_index[pixel] = static_cast<std::int32_t>(face);
      weights[2 * pixel] = fragment.weight1;
      weights[2 * pixel + 1] = fragment.weight2;
    };
    realfusion::visit_fragments(vertices + view * num_vertices * 3, faces, 0, num_faces,
                                height, width, keep);
  }
}

// What the rays through the pixel centres find inside a union of closed parts, at 64
// depths: even-odd within a part, whichever way its faces turn. A part that a ray
// enters and does not leave (it grazes an edge, the part is open) counts as missed.
//
// vertices     [num_views, num_vertices, 3] as above, in
// faces        [num_faces, 3] vertex indices, those of a part in one run, in
// part_begin   [num_parts + 1] first face of each part, then num_faces, in
// first_depth  depth of plane 0, in
// spacing      depth between planes, in
// occupancy    [num_views, height, width] bit k: inside at plane k, out
extern "C" __attribute__((visibility("default"))) void realfusion_rasterize_occupancy(
    const float* vertices, const std::int32_t* faces, const std::int64_t* part_begin,
    std::int64_t num_views, std::int64_t num_vertices, std::int64_t num_parts,
    std::int32_t height, std::int32_t width, float first_depth, float spacing,
    std::uint64_t* occupancy) {
  const std::int64_t num_pixels = static_cast<std::int64_t>(height) * width;
  std::fill_n(occupancy, num_views * num_pixels, std::uint64_t{0});
  std::vector<std::uint64_t> inside(static_cast<std::size_t>(num_pixels), 0);
  std::vector<char> is_open(static_cast<std::size_t>(num_pixels), 0);
  std::vector<std::int64_t> touched;
  for (std::int64_t view = 0; view < num_views; ++view) {
    for (std::int64_t part = 0; part < num_parts; ++part) {
      const auto cross = [&](std::int64_t, std::int64_t pixel,
                             const realfusion::Fragment& fragment) {
        inside[pixel] ^=
            realfusion::planes_behind(fragment.depth, first_depth, spacing);
        is_open[pixel] ^= 1;
        touched.push_back(pixel);
      };
      realfusion::visit_fragments(vertices + view * num_vertices * 3, faces,
                                  part_begin[part], part_begin[part + 1], height, width,
                                  cross);
      for (const std::int64_t pixel : touched) {
        if (!is_open[pixel]) occupancy[view * num_pixels + pixel] |= inside[pixel];
      }
      for (const std::int64_t pixel : touched) inside[pixel] = 0, is_open[pixel] = 0;
      touched.clear();
    }
  }
}
