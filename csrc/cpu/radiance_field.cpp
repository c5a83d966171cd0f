// The radiance field's operators on the CPU: allocation, threads, and the order of
// sums, which is the same for any number of threads.
#include "cpu/radiance_field.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "bindings/huge_pages.h"
#include "cpu/radiance_field_call.h"

namespace realfusion {
namespace {

using torch::stable::new_empty;

// Samples that one task takes, and whose network gradients are summed in one go: as
// many as the kernels allow, but at least 16 tasks where there is work for them. It
// depends on nothing but the number of samples; the sums of the groups are added up in
// order.
int64_t group_size(int64_t num_samples) {
  constexpr int64_t kStep = 256;
  const int64_t size = (num_samples / 16 + kStep - 1) / kStep * kStep;
  return std::clamp(size, kStep, cpu::kMaxFieldGroup);
}

// Samples between two scatters into the table, for each eight threads: few enough that
// their gradients stay in the shared cache.
constexpr int64_t kBlock = 4 * cpu::kMaxFieldGroup;

template <class T>
void run_forward(const cpu::FieldKernels<T>& kernels,
                 const cpu::FieldProblem<T>& problem,
                 const cpu::FieldOutputs<T>& outputs) {
  const int64_t size = group_size(problem.num_samples);
  const int64_t num_groups = (problem.num_samples + size - 1) / size;
  parallel_for_queue(num_groups, [&](int64_t group) {
    kernels.forward(problem, outputs, group * size,
                    std::min((group + 1) * size, problem.num_samples));
  });
}

// Memory of one block of samples, reused from block to block.
template <class T>
struct Workspace {
  std::unique_ptr<T[]> scatter;    // not zeroed: written before it is read
  std::vector<T> group_gradients;  // [groups, size of the network]
  std::vector<T> gradients;        // [size of the network], their sum
};

template <class T>
cpu::FieldScatter<T> lay_out_scatter(const cpu::FieldProblem<T>& problem,
                                     int64_t stride, std::unique_ptr<T[]>& memory) {
  const int64_t num_active = problem.grid.num_active_levels * problem.grid.num_features;
  const int64_t rows = problem.with_normals ? 6 + 2 * num_active : 3 + num_active;
  memory = std::make_unique_for_overwrite<T[]>(rows * stride);
  cpu::FieldScatter<T> scatter{};
  scatter.stride = stride;
  scatter.unit = memory.get();
  scatter.features = scatter.unit + 3 * stride;
  if (problem.with_normals) {
    scatter.reverse = scatter.features + num_active * stride;
    scatter.directions = scatter.reverse + num_active * stride;
  }
  return scatter;
}

// One thread owns a level, or a range of its entries where there are more threads than
// levels; the finest levels, which miss the cache, come first.
template <class T>
void run_scatter(const cpu::FieldKernels<T>& kernels,
                 const cpu::FieldProblem<T>& problem,
                 const cpu::FieldScatter<T>& scatter, T* grad_table,
                 int64_t num_samples) {
  const int num_levels = problem.grid.num_active_levels;
  if (num_levels == 0) return;
  const int64_t num_threads = torch::stable::get_num_threads();
  const int64_t num_parts = (num_threads + num_levels - 1) / num_levels;
  parallel_for_queue(num_levels * num_parts, [&](int64_t item) {
    const int level = num_levels - 1 - static_cast<int>(item / num_parts);
    const int64_t part = item % num_parts;
    const int64_t size = problem.grid.levels[level].size;
    kernels.scatter(
        problem, scatter, level, static_cast<uint32_t>(size * part / num_parts),
        static_cast<uint32_t>(size * (part + 1) / num_parts), grad_table, num_samples);
  });
}

// Returns the gradients of the network, one buffer; adds to grad_table.
template <class T>
std::vector<T> run_backward(const cpu::FieldKernels<T>& kernels,
                            const cpu::FieldProblem<T>& problem,
                            const cpu::FieldOutputs<T>& saved,
                            const cpu::FieldUpstreams<T>& upstreams, T* grad_table) {
  const int64_t num_inputs = problem.grid.num_levels * problem.grid.num_features;
  const int64_t size = cpu::field_network_size(num_inputs, problem.hidden_width);
  const int64_t num_threads = torch::stable::get_num_threads();
  const int64_t group_samples = group_size(problem.num_samples);
  const int64_t num_groups =
      std::min(kBlock * ((num_threads + 7) / 8) / group_samples,
               (problem.num_samples + group_samples - 1) / group_samples);
  const int64_t block = num_groups * group_samples;
  Workspace<T> work;
  work.gradients.assign(size, T(0));
  work.group_gradients.resize(num_groups * size);
  cpu::FieldScatter<T> scatter = lay_out_scatter(problem, block, work.scatter);
  for (int64_t first = 0; first < problem.num_samples; first += block) {
    const int64_t last = std::min(first + block, problem.num_samples);
    const int64_t groups = (last - first + group_samples - 1) / group_samples;
    scatter.first_sample = first;
    parallel_for_queue(groups, [&](int64_t group) {
      T* gradients = work.group_gradients.data() + group * size;
      std::fill_n(gradients, size, T(0));
      const int64_t begin = first + group * group_samples;
      kernels.backward(problem, saved, upstreams, scatter, gradients, begin,
                       std::min(begin + group_samples, last));
    });
    for (int64_t group = 0; group < groups; ++group) {
      const T* gradients = work.group_gradients.data() + group * size;
      for (int64_t i = 0; i < size; ++i) work.gradients[i] += gradients[i];
    }
    run_scatter(kernels, problem, scatter, grad_table, last - first);
  }
  return work.gradients;
}

template <class T>
FieldForwardResult forward(const FieldArguments& field, const FieldNetwork<T>& network,
                           const Tensor& positions, const Tensor& table,
                           bool with_normals) {
  FieldForwardResult result = allocate_field_outputs(positions, with_normals);
  run_forward<T>(choose_kernels<T>(field),
                 make_problem<T>(field, network, positions, table, with_normals),
                 field_outputs<T>(result, with_normals));
  return result;
}

template <class T>
const T* pointer_or_null(const std::optional<Tensor>& tensor) {
  return tensor.has_value() ? tensor->const_data_ptr<T>() : nullptr;
}

template <class T>
FieldNetworkResult backward(const FieldArguments& field, const FieldNetwork<T>& network,
                            const Tensor& positions, const Tensor& table,
                            const cpu::FieldOutputs<T>& saved,
                            const cpu::FieldUpstreams<T>& upstreams,
                            Tensor& grad_table) {
  const bool with_normals = upstreams.normals != nullptr;
  const cpu::FieldProblem<T> problem =
      make_problem<T>(field, network, positions, table, with_normals);
  const std::vector<T> buffer =
      run_backward<T>(choose_kernels<T>(field), problem, saved, upstreams,
                      grad_table.mutable_data_ptr<T>());
  const T* next = buffer.data();
  const auto take = [&](std::initializer_list<int64_t> shape) {
    Tensor tensor = new_empty(table, std::vector<int64_t>(shape));
    std::copy_n(next, tensor.numel(), tensor.mutable_data_ptr<T>());
    next += tensor.numel();
    return tensor;
  };
  const int64_t width = field.hidden_width;
  Tensor w1 = take({width, field.num_inputs});
  Tensor b1 = take({width});
  Tensor w2 = take({width, width});
  Tensor b2 = take({width});
  Tensor w3 = take({kFieldOutputs, width});
  Tensor b3 = take({kFieldOutputs});
  return {w1, b1, w2, b2, w3, b3};
}

template <class T>
Tensor zeros_like(const Tensor& table) {
  Tensor zeros = on_huge_pages(new_empty(table, table.sizes()));
  T* entries = zeros.mutable_data_ptr<T>();
  torch::stable::parallel_for(0, zeros.numel(), int64_t{1} << 16,
                              [&](int64_t begin, int64_t end) {
                                std::fill(entries + begin, entries + end, T(0));
                              });
  return zeros;
}

void check_cpu_dtype(const char* op, const char* name, const Tensor& tensor) {
  const ScalarType dtype = tensor.scalar_type();
  REALFUSION_CHECK(dtype == ScalarType::Float || dtype == ScalarType::Double, op, ": `",
                   name, "` must be float32 or float64, got ",
                   detail::describe_dtype(dtype));
}

FieldForwardResult radiance_field(REALFUSION_FIELD_PARAMETERS, bool with_normals) {
  const char* op = "radiance_field";
  const FieldArguments field = check_field(op, REALFUSION_FIELD_ARGUMENTS);
  check_cpu_dtype(op, "positions", positions);
  if (positions.scalar_type() == ScalarType::Double) {
    return forward<double>(field, field_network<double>(w1, b1, w2, b2, w3, b3),
                           positions, table, with_normals);
  }
  return forward<float>(field, field_network<float>(w1, b1, w2, b2, w3, b3), positions,
                        table, with_normals);
}

template <class T>
FieldNetworkResult backward_of_type(const FieldArguments& field,
                                    const FieldNetwork<T>& network,
                                    const Tensor& positions, const Tensor& table,
                                    const std::optional<Tensor>& grad_densities,
                                    const std::optional<Tensor>& grad_albedo,
                                    const std::optional<Tensor>& grad_normals,
                                    const Tensor& densities, const Tensor& albedo,
                                    const Tensor& gradients, const Tensor& masks,
                                    Tensor& grad_table) {
  // The kernels take the forward's outputs as they were written, and only read them.
  cpu::FieldOutputs<T> saved{};
  saved.densities = const_cast<T*>(densities.const_data_ptr<T>());
  saved.albedo = const_cast<T*>(albedo.const_data_ptr<T>());
  saved.gradients = const_cast<T*>(gradients.const_data_ptr<T>());
  saved.masks = reinterpret_cast<uint64_t*>(
      const_cast<int64_t*>(masks.const_data_ptr<int64_t>()));
  const cpu::FieldUpstreams<T> upstreams{pointer_or_null<T>(grad_densities),
                                         pointer_or_null<T>(grad_albedo),
                                         pointer_or_null<T>(grad_normals)};
  return backward<T>(field, network, positions, table, saved, upstreams, grad_table);
}

// Always deterministic on the CPU: the last argument is for the device's atomics.
FieldNetworkResult radiance_field_backward_(
    Tensor grad_table, std::optional<Tensor> grad_densities,
    std::optional<Tensor> grad_albedo, std::optional<Tensor> grad_normals,
    const Tensor& densities, const Tensor& albedo, const Tensor& gradients,
    const Tensor& masks, REALFUSION_FIELD_PARAMETERS, bool /*is_deterministic*/) {
  const char* op = "radiance_field_backward_";
  const FieldArguments field = check_field(op, REALFUSION_FIELD_ARGUMENTS);
  check_cpu_dtype(op, "positions", positions);
  check_field_backward(op, positions, grad_densities, grad_albedo, grad_normals,
                       densities, albedo, gradients, masks);
  check_grad_table(op, grad_table, table);
  if (positions.scalar_type() == ScalarType::Double) {
    return backward_of_type<double>(
        field, field_network<double>(w1, b1, w2, b2, w3, b3), positions, table,
        grad_densities, grad_albedo, grad_normals, densities, albedo, gradients, masks,
        grad_table);
  }
  return backward_of_type<float>(field, field_network<float>(w1, b1, w2, b2, w3, b3),
                                 positions, table, grad_densities, grad_albedo,
                                 grad_normals, densities, albedo, gradients, masks,
                                 grad_table);
}

FieldBackwardResult radiance_field_backward(
    std::optional<Tensor> grad_densities, std::optional<Tensor> grad_albedo,
    std::optional<Tensor> grad_normals, const Tensor& densities, const Tensor& albedo,
    const Tensor& gradients, const Tensor& masks, REALFUSION_FIELD_PARAMETERS,
    bool is_deterministic) {
  check_cpu_dtype("radiance_field_backward", "table", table);
  const Tensor grad_table = table.scalar_type() == ScalarType::Double
                                ? zeros_like<double>(table)
                                : zeros_like<float>(table);
  return std::tuple_cat(
      std::make_tuple(grad_table),
      radiance_field_backward_(grad_table, grad_densities, grad_albedo, grad_normals,
                               densities, albedo, gradients, masks,
                               REALFUSION_FIELD_ARGUMENTS, is_deterministic));
}

}  // namespace
}  // namespace realfusion

STABLE_TORCH_LIBRARY_IMPL(realfusion, CPU, m) {
  m.impl("radiance_field", TORCH_BOX(&realfusion::radiance_field));
  m.impl("radiance_field_backward", TORCH_BOX(&realfusion::radiance_field_backward));
  m.impl("radiance_field_backward_", TORCH_BOX(&realfusion::radiance_field_backward_));
}
