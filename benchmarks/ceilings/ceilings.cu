// What a GPU does at best in the four things that the kernels wait for: copies, gathers
// and reductions scattered over tables, and matrix products by mma.sync. Prints one
// JSON object with a list of measurements.
//
//     nvcc -O3 -std=c++17 -arch=native ceilings.cu -o ceilings && ./ceilings [--quick]
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#define CHECK(call)                                           \
  do {                                                        \
    const cudaError_t status_ = (call);                       \
    if (status_ != cudaSuccess) {                             \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, \
                   cudaGetErrorString(status_));              \
      std::exit(1);                                           \
    }                                                         \
  } while (0)

namespace {

constexpr int kBlock = 256;
constexpr int kAccessesPerThread = 64;

// Entry i of a pseudo-random sequence: a multiplicative hash, cheap beside the access.
__device__ __forceinline__ uint32_t scatter(uint32_t i) {
  i *= 2654435761u;
  i ^= i >> 15;
  return i * 2246822519u;
}

__global__ void copy_kernel(const float4* __restrict__ from, float4* __restrict__ to,
                            int64_t count) {
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
       i += stride)
    to[i] = from[i];
}

// A pair of floats from a random entry, eight loads in flight: a corner of a grid cell.
__global__ void gather_kernel(const float2* __restrict__ table, uint32_t mask,
                              float* __restrict__ sink) {
  const uint32_t thread = blockIdx.x * blockDim.x + threadIdx.x;
  float sum = 0.0f;
#pragma unroll 8
  for (uint32_t k = 0; k < kAccessesPerThread; ++k) {
    const float2 entry = table[scatter(thread * kAccessesPerThread + k) & mask];
    sum += entry.x + entry.y;
  }
  if (sum == 1.5f) sink[0] = sum;  // never: the table holds zeros
}

// One float added to a random entry.
__global__ void scalar_reduction_kernel(float* table, uint32_t mask) {
  const uint32_t thread = blockIdx.x * blockDim.x + threadIdx.x;
#pragma unroll 8
  for (uint32_t k = 0; k < kAccessesPerThread; ++k)
    atomicAdd(table + (scatter(thread * kAccessesPerThread + k) & mask), 1.0f);
}

// Both floats of a random entry added to by one instruction; sm_90 and newer.
__global__ void pair_reduction_kernel(float2* table, uint32_t mask) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const uint32_t thread = blockIdx.x * blockDim.x + threadIdx.x;
#pragma unroll 8
  for (uint32_t k = 0; k < kAccessesPerThread; ++k) {
    float2* entry = table + (scatter(thread * kAccessesPerThread + k) & mask);
    asm volatile("red.global.add.v2.f32 [%0], {%1, %1};" ::"l"(entry), "f"(1.0f)
                 : "memory");
  }
#endif
}

constexpr int kMathSteps = 256;
constexpr int kChains = 8;

// Independent chains of fused multiply-adds in registers.
__global__ void fma_kernel(float* sink, float factor) {
  float sums[kChains];
#pragma unroll
  for (int c = 0; c < kChains; ++c) sums[c] = static_cast<float>(threadIdx.x + c);
  for (int k = 0; k < kMathSteps; ++k) {
#pragma unroll
    for (int c = 0; c < kChains; ++c) sums[c] = fmaf(sums[c], factor, 1.0f);
  }
  float total = 0.0f;
#pragma unroll
  for (int c = 0; c < kChains; ++c) total += sums[c];
  if (total == 0.5f) sink[0] = total;
}

enum class Product { tf32, bf16 };

// Independent chains of products of register tiles; the tiles' values do not matter.
template <Product P>
__global__ void mma_kernel(float* sink, uint32_t seed) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  const uint32_t a = seed + threadIdx.x, b = seed ^ threadIdx.x;
  float d[kChains][4];
#pragma unroll
  for (int c = 0; c < kChains; ++c) {
#pragma unroll
    for (int i = 0; i < 4; ++i) d[c][i] = static_cast<float>(seed + 4 * c + i);
  }
  for (int k = 0; k < kMathSteps; ++k) {
#pragma unroll
    for (int c = 0; c < kChains; ++c) {
      if constexpr (P == Product::tf32) {
        asm volatile(
            "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
            "{%0, %1, %2, %3}, {%4, %4, %4, %4}, {%5, %5}, {%0, %1, %2, %3};"
            : "+f"(d[c][0]), "+f"(d[c][1]), "+f"(d[c][2]), "+f"(d[c][3])
            : "r"(a), "r"(b));
      } else {
        asm volatile(
            "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
            "{%0, %1, %2, %3}, {%4, %4, %4, %4}, {%5, %5}, {%0, %1, %2, %3};"
            : "+f"(d[c][0]), "+f"(d[c][1]), "+f"(d[c][2]), "+f"(d[c][3])
            : "r"(a), "r"(b));
      }
    }
  }
  float total = 0.0f;
#pragma unroll
  for (int c = 0; c < kChains; ++c) total += d[c][0] + d[c][1] + d[c][2] + d[c][3];
  if (total == 0.5f) sink[0] = total;
#endif
}

__global__ void empty_kernel() {}

// Keeps the device busy for some clocks.
__global__ void wait_kernel(long long num_clocks) {
  const long long begin = clock64();
  while (clock64() - begin < num_clocks) {
  }
}

struct Measurement {
  std::string name;   // copy, gather, reduction_1, reduction_2, fma, mma_tf32, ...
  int64_t num_bytes;  // of the table or the copied array; 0 where there is none
  double value;       // per second; seconds for launches
};

struct Buffer {
  explicit Buffer(int64_t num_bytes) {
    CHECK(cudaMalloc(&data, num_bytes));
    CHECK(cudaMemset(data, 0, num_bytes));
  }
  ~Buffer() { cudaFree(data); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  void* data = nullptr;
};

constexpr long long kHeadStartClocks = 200000;  // some 0.1 ms

// Median seconds of a launch, events around each. The device waits until all three are
// queued: idle, it would pass the first event at once and then wait for the host.
double time_launch(int rounds, const std::function<void()>& launch) {
  cudaEvent_t begin, end;
  CHECK(cudaEventCreate(&begin));
  CHECK(cudaEventCreate(&end));
  std::vector<float> times;
  for (int round = -2; round < rounds; ++round) {
    wait_kernel<<<1, 1>>>(kHeadStartClocks);
    CHECK(cudaEventRecord(begin));
    launch();
    CHECK(cudaGetLastError());
    CHECK(cudaEventRecord(end));
    CHECK(cudaEventSynchronize(end));
    float milliseconds = 0.0f;
    CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
    if (round >= 0) times.push_back(milliseconds);
  }
  CHECK(cudaEventDestroy(begin));
  CHECK(cudaEventDestroy(end));
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return 1e-3 * times[times.size() / 2];
}

Measurement measure_copy(const cudaDeviceProp& device, int rounds, int64_t num_bytes) {
  const Buffer from(num_bytes), to(num_bytes);
  const int64_t count = num_bytes / sizeof(float4);
  const int blocks = static_cast<int>(std::min<int64_t>(
      (count + kBlock - 1) / kBlock, int64_t{device.multiProcessorCount} * 32));
  const double seconds = time_launch(rounds, [&] {
    copy_kernel<<<blocks, kBlock>>>(from.as<float4>(), to.as<float4>(), count);
  });
  return {"copy", num_bytes, 2.0 * static_cast<double>(num_bytes) / seconds};
}

// Gathers and reductions a second over a table of so many bytes.
std::vector<Measurement> measure_scattered(const cudaDeviceProp& device, int rounds,
                                           int64_t num_bytes) {
  const Buffer table(num_bytes), sink(sizeof(float));
  const int blocks = device.multiProcessorCount * 32;
  const double accesses = double{kBlock} * blocks * kAccessesPerThread;
  const auto pairs = static_cast<uint32_t>(num_bytes / sizeof(float2)) - 1;
  const auto floats = static_cast<uint32_t>(num_bytes / sizeof(float)) - 1;
  std::vector<Measurement> found;
  found.push_back({"gather", num_bytes, accesses / time_launch(rounds, [&] {
                                          gather_kernel<<<blocks, kBlock>>>(
                                              table.as<float2>(), pairs,
                                              sink.as<float>());
                                        })});
  found.push_back(
      {"reduction_1", num_bytes, accesses / time_launch(rounds, [&] {
                                   scalar_reduction_kernel<<<blocks, kBlock>>>(
                                       table.as<float>(), floats);
                                 })});
  if (device.major >= 9) {
    found.push_back(
        {"reduction_2", num_bytes, accesses / time_launch(rounds, [&] {
                                     pair_reduction_kernel<<<blocks, kBlock>>>(
                                         table.as<float2>(), pairs);
                                   })});
  }
  return found;
}

std::vector<Measurement> measure_arithmetic(const cudaDeviceProp& device, int rounds) {
  const Buffer sink(sizeof(float));
  const int blocks = device.multiProcessorCount * 16;
  const double threads = double{kBlock} * blocks;
  const double steps = double{kMathSteps} * kChains;
  std::vector<Measurement> found;
  found.push_back({"fma", 0, threads * steps * 2.0 / time_launch(rounds, [&] {
                               fma_kernel<<<blocks, kBlock>>>(sink.as<float>(), 0.5f);
                             })});
  if (device.major >= 8) {
    const double products = threads / 32.0 * steps;
    found.push_back(
        {"mma_tf32", 0, products * 2.0 * 16 * 8 * 8 / time_launch(rounds, [&] {
                          mma_kernel<Product::tf32>
                              <<<blocks, kBlock>>>(sink.as<float>(), 1u);
                        })});
    found.push_back(
        {"mma_bf16", 0, products * 2.0 * 16 * 8 * 16 / time_launch(rounds, [&] {
                          mma_kernel<Product::bf16>
                              <<<blocks, kBlock>>>(sink.as<float>(), 1u);
                        })});
  }
  return found;
}

// Seconds that an empty kernel takes in a replayed graph: no kernel takes less.
Measurement measure_graph_launch(int rounds) {
  constexpr int kKernels = 200;
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  CHECK(cudaStreamCreate(&stream));
  CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int k = 0; k < kKernels; ++k) empty_kernel<<<1, 32, 0, stream>>>();
  CHECK(cudaStreamEndCapture(stream, &graph));
  CHECK(cudaGraphInstantiate(&executable, graph, 0));
  // The events are on the default stream, which waits for this one.
  const double seconds =
      time_launch(rounds, [&] { CHECK(cudaGraphLaunch(executable, stream)); });
  CHECK(cudaGraphExecDestroy(executable));
  CHECK(cudaGraphDestroy(graph));
  CHECK(cudaStreamDestroy(stream));
  return {"graph_kernel", 0, seconds / kKernels};
}

void print_json(const cudaDeviceProp& device, const std::vector<Measurement>& found) {
  std::printf("{\"device\": \"%s\", \"capability\": [%d, %d], \"l2_bytes\": %d, ",
              device.name, device.major, device.minor, device.l2CacheSize);
  std::printf("\"multiprocessors\": %d, \"measurements\": [",
              device.multiProcessorCount);
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::printf("%s\n {\"name\": \"%s\", \"num_bytes\": %lld, \"value\": %.6g}",
                i == 0 ? "" : ",", found[i].name.c_str(),
                static_cast<long long>(found[i].num_bytes), found[i].value);
  }
  std::printf("]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_quick = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  const int rounds = is_quick ? 10 : 40;
  cudaDeviceProp device;
  CHECK(cudaGetDeviceProperties(&device, 0));
  std::vector<Measurement> found;
  for (const int64_t megabytes : {1, 8, 1024})
    found.push_back(measure_copy(device, rounds, megabytes << 20));
  // From a table in the first-level cache to one far beyond the second-level cache.
  for (const int shift : {15, 18, 20, 22, 24, 26, 28})
    for (const Measurement& each :
         measure_scattered(device, rounds, int64_t{1} << shift))
      found.push_back(each);
  for (const Measurement& each : measure_arithmetic(device, rounds))
    found.push_back(each);
  found.push_back(measure_graph_launch(rounds));
  print_json(device, found);
  return 0;
}
