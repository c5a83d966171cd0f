// CUDA side of the radiance field's forward: checks, allocation, launches.
#include "cuda/radiance_field_forward.cuh"
#include "cuda/radiance_field_launch.cuh"

namespace realfusion::cuda {

FieldForwardResult radiance_field(REALFUSION_FIELD_PARAMETERS, bool with_normals) {
  const char* op = "radiance_field";
  const FieldArguments field = check_field(op, REALFUSION_FIELD_ARGUMENTS);
  check_dtype(op, "positions", positions, ScalarType::Float);
  const DeviceGuard guard(positions.get_device_index());
  const Tensor aligned_table = aligned(table);
  FieldForwardResult result = allocate_field_outputs(positions, with_normals);
  const int64_t num_samples = positions.size(0);
  if (num_samples == 0) return result;
  auto& [densities, albedo, normals, gradients, masks] = result;
  FieldArrays arrays{};
  arrays.densities = densities.mutable_data_ptr<float>();
  arrays.albedo = albedo.mutable_data_ptr<float>();
  arrays.masks =
      reinterpret_cast<unsigned long long*>(masks.mutable_data_ptr<int64_t>());
  if (with_normals) {
    arrays.normals = normals.mutable_data_ptr<float>();
    arrays.gradients = gradients.mutable_data_ptr<float>();
  }
  FieldCall call = make_call(field, field_network<float>(w1, b1, w2, b2, w3, b3),
                             positions, aligned_table);
  const int64_t tile_floats = forward_shared_floats(
      static_cast<int>(field.hidden_width), padded_inputs(field.grid));
  const FieldPrecision chosen =
      choose_precision(field, tile_floats, positions.get_device_index());
  dispatch_precision(chosen, [&](auto precision) {
    dispatch_width(field, with_normals, [&](auto width, auto normal) {
      const auto kernel = field_forward_kernel<precision(), width(), normal()>;
      const FieldLaunch launch = plan_launch<width()>(op, field, call, kernel, table,
                                                      kForwardTile, tile_floats);
      kernel<<<launch.blocks, kFieldBlock<kForwardTile>, launch.shared_bytes,
               current_stream(positions)>>>(call, arrays);
      REALFUSION_CUDA_LAUNCH_CHECK();
    });
  });
  return result;
}

}  // namespace realfusion::cuda

STABLE_TORCH_LIBRARY_IMPL(realfusion, CUDA, m) {
  m.impl("radiance_field", TORCH_BOX(&realfusion::cuda::radiance_field));
}
