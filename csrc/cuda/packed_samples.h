// Packed samples of many rays on the device: allocated, with their offsets.
#pragma once

#include "bindings/ray_marching_checks.h"
#include "cuda/sample_rows.cuh"

namespace realfusion::cuda {

// Room for the samples that the rays have counted (counts [N], int32), with their
// offsets, on the current stream. From the first ray that does not fit the capacity on,
// all rays are left without samples. The rows are still to be written, except for the
// padding. Without padding the host waits for the number of samples.
PackedSamples allocate_packed_samples(const Tensor& like, const Tensor& counts,
                                      std::optional<int64_t> capacity,
                                      bool pad_to_capacity);

SampleRows sample_rows(const PackedSamples& samples);

}  // namespace realfusion::cuda
