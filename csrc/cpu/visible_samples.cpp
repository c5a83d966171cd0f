// visible_samples and visible_field on the CPU: each ray asks the field for its next
// few samples until nothing of its light is left. Of the samples in an opaque object
// most lie behind that point; those are never evaluated. What the field has said of the
// others on the way, visible_field keeps.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "bindings/compositing_checks.h"
#include "bindings/packed_samples.h"
#include "bindings/visible_samples_checks.h"
#include "core/volume_rendering.h"
#include "cpu/radiance_field_call.h"

namespace realfusion {
namespace {

// Rays of a task, and the samples that each of them asks for at a time: together at
// most what one call of the kernels takes. Few samples at a time waste little behind
// the surface, many fill the kernels' vectors.
constexpr int64_t kRaysPerTask = 256;
constexpr int64_t kSamplesPerRound = 4;
constexpr int64_t kRoundSamples = kRaysPerTask * kSamplesPerRound;
static_assert(kRoundSamples <= cpu::kMaxFieldGroup);

struct VisibilityProblem {
  cpu::FieldProblem<float> field;  // its positions are those of the samples
  cpu::FieldKernels<float> kernels;
  const float* deltas;         // [S]
  const int64_t* ray_offsets;  // [N + 1]
  float min_transmittance;
};

// What the field says of some samples.
template <int64_t kCount>
struct FieldRows {
  float densities[kCount];
  float albedo[3 * kCount];
  float normals[3 * kCount];
  float gradients[3 * kCount];
  uint64_t masks[2 * kCount];
};

// The samples of one round.
struct Round {
  float positions[3 * kRoundSamples];
  FieldRows<kRoundSamples> field;
};

// Those that one ray keeps of one round, from its sample `first` on.
struct KeptRun {
  KeptRun(int64_t ray, int64_t first, int64_t last)
      : ray(ray), first(first), count(last - first) {}
  int64_t ray;
  int64_t first;
  int64_t count;
  FieldRows<kSamplesPerRound> field;
};

// A ray on its way.
struct Walk {
  int64_t ray;
  int64_t next;  // sample
  int64_t end;
  float transmittance;
};

template <int64_t kCount>
cpu::FieldOutputs<float> pointers(FieldRows<kCount>& rows, bool with_normals) {
  return {rows.densities, rows.albedo, with_normals ? rows.normals : nullptr,
          with_normals ? rows.gradients : nullptr, rows.masks};
}

// Copies rows of the field's outputs.
void copy_rows(const cpu::FieldOutputs<float>& from, int64_t source,
               const cpu::FieldOutputs<float>& to, int64_t target, int64_t count) {
  std::copy_n(from.densities + source, count, to.densities + target);
  std::copy_n(from.albedo + 3 * source, 3 * count, to.albedo + 3 * target);
  std::copy_n(from.masks + 2 * source, 2 * count, to.masks + 2 * target);
  if (to.normals == nullptr) return;
  std::copy_n(from.normals + 3 * source, 3 * count, to.normals + 3 * target);
  std::copy_n(from.gradients + 3 * source, 3 * count, to.gradients + 3 * target);
}

int64_t round_length(const Walk& walk) {
  return std::min(kSamplesPerRound, walk.end - walk.next);
}

// Asks the field for the next samples of all walks.
void evaluate_round(const VisibilityProblem& problem, const std::vector<Walk>& walks,
                    Round& round) {
  int64_t num_samples = 0;
  for (const Walk& walk : walks) {
    const int64_t length = round_length(walk);
    std::copy_n(problem.field.positions + 3 * walk.next, 3 * length,
                round.positions + 3 * num_samples);
    num_samples += length;
  }
  cpu::FieldProblem<float> field = problem.field;
  field.positions = round.positions;
  field.num_samples = num_samples;
  problem.kernels.forward(field, pointers(round.field, field.with_normals), 0,
                          num_samples);
}

// Moves a walk through its samples of the round; false once it has ended.
bool advance(const VisibilityProblem& problem, const float* densities, Walk& walk) {
  const int64_t last = walk.next + round_length(walk);
  for (; walk.next < last; ++walk.next) {
    if (walk.transmittance < problem.min_transmittance) return false;
    const float alpha =
        alpha_from_optical_depth(*densities++ * problem.deltas[walk.next]);
    walk.transmittance = attenuate(walk.transmittance, alpha).transmittance;
  }
  return walk.next < walk.end && walk.transmittance >= problem.min_transmittance;
}

// Copies the run's rows from the round's, where they begin at `row`.
void keep_run(const VisibilityProblem& problem, Round& round, int64_t row,
              KeptRun& run) {
  const bool with_normals = problem.field.with_normals;
  copy_rows(pointers(round.field, with_normals), row, pointers(run.field, with_normals),
            0, run.count);
}

// counts [N], out: the leading samples that the rays begin..end see. `kept`, if given,
// receives what the field says of them.
void count_visible(const VisibilityProblem& problem, int64_t begin, int64_t end,
                   int32_t* counts, std::vector<KeptRun>* kept) {
  // Kept from call to call: fresh memory would fault in page by page.
  static thread_local const auto round = std::make_unique<Round>();
  std::vector<Walk> walks;
  for (int64_t ray = begin; ray < end; ++ray) {
    counts[ray] = 0;
    const int64_t first = problem.ray_offsets[ray];
    const int64_t last = problem.ray_offsets[ray + 1];
    if (first < last) walks.push_back({ray, first, last, 1.0f});
  }
  while (!walks.empty()) {
    evaluate_round(problem, walks, *round);
    int64_t row = 0;
    size_t num_left = 0;
    for (Walk walk : walks) {
      const int64_t length = round_length(walk);
      const int64_t before = counts[walk.ray];
      const bool goes_on = advance(problem, round->field.densities + row, walk);
      const int64_t after = walk.next - problem.ray_offsets[walk.ray];
      counts[walk.ray] = static_cast<int32_t>(after);
      if (kept != nullptr && after > before) {
        keep_run(problem, *round, row, kept->emplace_back(walk.ray, before, after));
      }
      row += length;
      if (goes_on) walks[num_left++] = walk;
    }
    walks.resize(num_left);
  }
}

// Copies each ray's leading samples to its new offset.
void keep_leading(const cpu::MarchSamples& from, const int64_t* from_offsets,
                  const cpu::MarchSamples& to, const int64_t* to_offsets, int64_t begin,
                  int64_t end) {
  for (int64_t ray = begin; ray < end; ++ray) {
    const int64_t source = from_offsets[ray];
    const int64_t target = to_offsets[ray];
    const int64_t count = to_offsets[ray + 1] - target;
    std::copy_n(from.positions + 3 * source, 3 * count, to.positions + 3 * target);
    std::copy_n(from.t + source, count, to.t + target);
    std::copy_n(from.deltas + source, count, to.deltas + target);
    std::copy_n(from.ray_indices + source, count, to.ray_indices + target);
  }
}

// The samples of the rays, as they come in.
struct MarchedRays {
  const Tensor& positions;
  const Tensor& t;
  const Tensor& deltas;
  const Tensor& ray_indices;
  const Tensor& ray_offsets;
};

VisibilityProblem make_visibility_problem(const char* op, const FieldArguments& field,
                                          const FieldNetwork<float>& network,
                                          const Tensor& table, const MarchedRays& rays,
                                          double min_transmittance,
                                          std::optional<int64_t> capacity,
                                          bool pad_to_capacity, bool with_normals) {
  const Tensor& positions = rays.positions;
  check_visible_samples(op, positions, rays.t, rays.deltas, rays.ray_indices,
                        rays.ray_offsets, capacity, pad_to_capacity);
  const int64_t* offsets = rays.ray_offsets.const_data_ptr<int64_t>();
  check_ray_offsets(op, offsets, rays.ray_offsets.size(0) - 1, positions.size(0));
  return {make_problem<float>(field, network, positions, table, with_normals),
          choose_kernels<float>(field), rays.deltas.const_data_ptr<float>(), offsets,
          static_cast<float>(min_transmittance)};
}

int64_t count_tasks(const MarchedRays& rays) {
  return (rays.ray_offsets.size(0) - 1 + kRaysPerTask - 1) / kRaysPerTask;
}

// The samples that the rays see. `kept`, if given, has a place for each task.
PackedSamples keep_visible(const VisibilityProblem& problem, const MarchedRays& rays,
                           std::optional<int64_t> capacity, bool pad_to_capacity,
                           std::vector<KeptRun>* kept) {
  const Tensor& positions = rays.positions;
  const int64_t num_rays = rays.ray_offsets.size(0) - 1;
  Tensor counts = torch::stable::new_empty(positions, {num_rays},
                                           std::make_optional(ScalarType::Int));
  int32_t* count_data = counts.mutable_data_ptr<int32_t>();
  parallel_for_queue(count_tasks(rays), [&](int64_t task) {
    count_visible(problem, task * kRaysPerTask,
                  std::min((task + 1) * kRaysPerTask, num_rays), count_data,
                  kept == nullptr ? nullptr : kept + task);
  });

  PackedSamples packed = allocate_packed_samples(positions, count_data, num_rays,
                                                 capacity, pad_to_capacity);
  // The kernels' type serves for reading too.
  const cpu::MarchSamples from{
      const_cast<float*>(positions.const_data_ptr<float>()),
      const_cast<float*>(rays.t.const_data_ptr<float>()),
      const_cast<float*>(rays.deltas.const_data_ptr<float>()),
      const_cast<int32_t*>(rays.ray_indices.const_data_ptr<int32_t>())};
  const cpu::MarchSamples to = sample_rows(packed);
  const int64_t* new_offsets = std::get<4>(packed).const_data_ptr<int64_t>();
  torch::stable::parallel_for(
      0, num_rays, kRaysPerTask, [&](int64_t begin, int64_t end) {
        keep_leading(from, problem.ray_offsets, to, new_offsets, begin, end);
      });
  return packed;
}

PackedSamples visible_samples(REALFUSION_FIELD_PARAMETERS, const Tensor& t,
                              const Tensor& deltas, const Tensor& ray_indices,
                              const Tensor& ray_offsets, double min_transmittance,
                              std::optional<int64_t> capacity, bool pad_to_capacity) {
  const char* op = "visible_samples";
  const FieldArguments field = check_field(op, REALFUSION_FIELD_ARGUMENTS);
  check_dtype(op, "positions", positions, ScalarType::Float);
  const MarchedRays rays{positions, t, deltas, ray_indices, ray_offsets};
  const VisibilityProblem problem = make_visibility_problem(
      op, field, field_network<float>(w1, b1, w2, b2, w3, b3), table, rays,
      min_transmittance, capacity, pad_to_capacity, false);
  return keep_visible(problem, rays, capacity, pad_to_capacity, nullptr);
}

VisibleFieldResult visible_field(REALFUSION_FIELD_PARAMETERS, const Tensor& t,
                                 const Tensor& deltas, const Tensor& ray_indices,
                                 const Tensor& ray_offsets, double min_transmittance,
                                 bool with_normals) {
  const char* op = "visible_field";
  const FieldArguments field = check_field(op, REALFUSION_FIELD_ARGUMENTS);
  check_dtype(op, "positions", positions, ScalarType::Float);
  const MarchedRays rays{positions, t, deltas, ray_indices, ray_offsets};
  const VisibilityProblem problem = make_visibility_problem(
      op, field, field_network<float>(w1, b1, w2, b2, w3, b3), table, rays,
      min_transmittance, std::nullopt, false, with_normals);
  std::vector<std::vector<KeptRun>> kept(count_tasks(rays));
  const PackedSamples packed =
      keep_visible(problem, rays, std::nullopt, false, kept.data());

  const FieldForwardResult said =
      allocate_field_outputs(std::get<0>(packed), with_normals);
  const cpu::FieldOutputs<float> to = field_outputs<float>(said, with_normals);
  const int64_t* new_offsets = std::get<4>(packed).const_data_ptr<int64_t>();
  parallel_for_queue(static_cast<int64_t>(kept.size()), [&](int64_t task) {
    // Given up as the results fill, so that fog does not take twice the memory.
    std::vector<KeptRun> runs = std::move(kept[task]);
    for (KeptRun& run : runs) {
      copy_rows(pointers(run.field, with_normals), 0, to,
                new_offsets[run.ray] + run.first, run.count);
    }
  });
  return std::tuple_cat(packed, said);
}

}  // namespace
}  // namespace realfusion

STABLE_TORCH_LIBRARY_IMPL(realfusion, CPU, m) {
  m.impl("visible_samples", TORCH_BOX(&realfusion::visible_samples));
  m.impl("visible_field", TORCH_BOX(&realfusion::visible_field));
}
