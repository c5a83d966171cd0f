// Runs unmodified __global__ functions on the CPU, for tests on machines without a GPU.
//
// Include it before a .cuh of csrc/cuda, then
//   shim::launch(grid, block, seed, [&] { some_kernel(arguments...); });
// Every CUDA thread is a fiber. The fibers of a block run in an order shuffled by the
// seed and change places only at barriers and warp collectives, so that a missing
// barrier shows as a wrong result for some seed, and a barrier that not all threads
// reach as a reported deadlock. Blocks run one after the other.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#pragma GCC diagnostic ignored "-Wunknown-pragmas"  // nvcc's #pragma unroll

#define __global__ [[maybe_unused]] static
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
// All fibers of a block run in one thread, and only one block at a time.
#define __shared__ static

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1)
      : x(x_), y(y_), z(z_) {}
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

constexpr size_t kStackBytes = size_t{128} << 10;
constexpr unsigned kWarpSize = 32;

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "cuda_shim: %s (block %u, %u; thread %u)\n", what, blockIdx.x,
               blockIdx.y, threadIdx.x);
  std::abort();
}

// A barrier of a fixed number of fibers, which may be passed again and again.
struct Barrier {
  unsigned expected = 0;
  unsigned arrived = 0;
  uint64_t generation = 0;
};

struct Warp {
  Barrier barrier;
  uint64_t slots[kWarpSize] = {};
  std::array<uint32_t, 8> words[kWarpSize] = {};  // of gather_lanes
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  unsigned thread = 0;
  bool is_done = false;
};

struct Block {
  ucontext_t scheduler;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  Barrier barrier;
  int vote = 0;  // of __syncthreads_or
  Fiber* current = nullptr;
  const std::function<void()>* body = nullptr;
  uint64_t num_events = 0;  // arrivals and ends: none in a round means deadlock
};

inline Block* block = nullptr;

inline void yield() {
  Fiber* self = block->current;
  swapcontext(&self->context, &block->scheduler);
}

inline void wait(Barrier& barrier) {
  const uint64_t generation = barrier.generation;
  ++block->num_events;
  if (++barrier.arrived == barrier.expected) {
    barrier.arrived = 0;
    ++barrier.generation;
  }
  while (barrier.generation == generation) yield();
}

inline unsigned lane() { return threadIdx.x % kWarpSize; }

// Every lane of the warp leaves a value; `read` sees all of them.
template <class Read>
auto exchange(unsigned mask, uint64_t value, const Read& read) {
  if (mask != 0xffffffffu) fail("only full warps are supported");
  Warp& warp = block->warps[threadIdx.x / kWarpSize];
  warp.slots[lane()] = value;
  wait(warp.barrier);
  const auto result = read(warp.slots);
  wait(warp.barrier);
  return result;
}

// The values of every lane of the warp.
template <class T, size_t N>
std::array<std::array<T, N>, kWarpSize> gather_lanes(const T (&own)[N]) {
  static_assert(sizeof(T) == sizeof(uint32_t) && N <= 8);
  Warp& warp = block->warps[threadIdx.x / kWarpSize];
  std::memcpy(warp.words[lane()].data(), own, sizeof(own));
  wait(warp.barrier);
  std::array<std::array<T, N>, kWarpSize> lanes;
  for (unsigned k = 0; k < kWarpSize; ++k) {
    std::memcpy(lanes[k].data(), warp.words[k].data(), sizeof(own));
  }
  wait(warp.barrier);
  return lanes;
}

inline void run_fiber() {
  (*block->body)();
  block->current->is_done = true;
  ++block->num_events;
  swapcontext(&block->current->context, &block->scheduler);
}

inline void start(Fiber& fiber, unsigned thread) {
  fiber.thread = thread;
  fiber.is_done = false;
  if (!fiber.stack) fiber.stack = std::make_unique<char[]>(kStackBytes);
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStackBytes;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, run_fiber, 0);
}

inline void run_block(Block& own, std::mt19937& random) {
  const unsigned num_threads = blockDim.x;
  std::vector<unsigned> order(num_threads);
  std::iota(order.begin(), order.end(), 0u);
  for (unsigned thread = 0; thread < num_threads; ++thread) {
    start(own.fibers[thread], thread);
  }
  unsigned num_left = num_threads;
  while (num_left > 0) {
    std::shuffle(order.begin(), order.end(), random);
    const uint64_t events_before = own.num_events;
    for (const unsigned thread : order) {
      Fiber& fiber = own.fibers[thread];
      if (fiber.is_done) continue;
      own.current = &fiber;
      threadIdx = dim3(thread);
      swapcontext(&own.scheduler, &fiber.context);
      if (fiber.is_done) --num_left;
    }
    if (own.num_events == events_before) fail("deadlock: a barrier not all reach");
  }
}

// One-dimensional blocks of whole warps.
inline void launch(dim3 grid, unsigned block_size, unsigned seed,
                   const std::function<void()>& body) {
  if (block_size % kWarpSize != 0) fail("a block must be of whole warps");
  std::mt19937 random(seed);
  gridDim = grid;
  blockDim = dim3(block_size);
  Block own;
  own.fibers.resize(block_size);
  own.warps.resize(block_size / kWarpSize);
  own.barrier.expected = block_size;
  for (Warp& warp : own.warps) warp.barrier.expected = kWarpSize;
  own.body = &body;
  block = &own;
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      blockIdx = dim3(x, y);
      run_block(own, random);
    }
  }
  block = nullptr;
}

// Blocks that cover `count` items.
inline unsigned num_blocks(int64_t count, int64_t block_size) {
  return static_cast<unsigned>((count + block_size - 1) / block_size);
}

}  // namespace shim

inline void __syncthreads() { shim::wait(shim::block->barrier); }
inline int __syncthreads_or(int predicate) {
  __syncthreads();  // all have read the vote before
  shim::block->vote = 0;
  __syncthreads();
  shim::block->vote |= predicate != 0;
  __syncthreads();
  return shim::block->vote;
}
inline void __syncwarp(unsigned = 0xffffffffu) {
  shim::wait(shim::block->warps[threadIdx.x / shim::kWarpSize].barrier);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return shim::exchange(mask, predicate != 0, [](const uint64_t* slots) {
    unsigned bits = 0;
    for (unsigned k = 0; k < shim::kWarpSize; ++k) bits |= unsigned(slots[k]) << k;
    return bits;
  });
}

// The value of the lane `source(lane)`, or one's own where there is no such lane.
template <class T, class Source>
T shim_shuffle(unsigned mask, T value, const Source& source) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t raw = 0;
  std::memcpy(&raw, &value, sizeof(T));
  const int from = source(static_cast<int>(shim::lane()));
  raw = shim::exchange(mask, raw, [&](const uint64_t* slots) {
    return from >= 0 && from < 32 ? slots[from] : raw;
  });
  T result;
  std::memcpy(&result, &raw, sizeof(T));
  return result;
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source) {
  return shim_shuffle(mask, value, [&](int) { return source % 32; });
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance) {
  return shim_shuffle(mask, value, [&](int lane) { return lane - int(distance); });
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance) {
  return shim_shuffle(mask, value, [&](int lane) { return lane + int(distance); });
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits) {
  return shim_shuffle(mask, value, [&](int lane) { return lane ^ bits; });
}

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
inline int __float_as_int(float value) {
  int bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}
template <class T>
T __ldg(const T* from) {
  return *from;
}
[[noreturn]] inline void __trap() { shim::fail("trap"); }

// Fibers change places at barriers only: plain sums and maxima are atomic here.
template <class T>
T atomicAdd(T* to, T value) {
  const T before = *to;
  *to = before + value;
  return before;
}
inline unsigned atomicAnd(unsigned* to, unsigned value) {
  const unsigned before = *to;
  *to = before & value;
  return before;
}
template <class T>
T atomicMax(T* to, T value) {
  const T before = *to;
  *to = std::max(before, value);
  return before;
}
