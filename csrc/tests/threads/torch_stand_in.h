// What the operators of csrc take from torch's stable ABI, with std::thread in place of
// torch's thread pool: ThreadSanitizer then sees every thread, and how the operators
// share their work out among threads runs unmodified. CMake lays this header where
// torch's would be.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace torch::headeronly {
enum class ScalarType { Byte, Int, Long, Half, Float, Double, Bool, BFloat16 };
}  // namespace torch::headeronly

namespace torch::stable {

using headeronly::ScalarType;

// A contiguous array on the CPU. Copies share their memory, as torch's do.
class Tensor {
 public:
  Tensor(std::vector<int64_t> sizes, ScalarType dtype)
      : sizes_(std::move(sizes)), dtype_(dtype), numel_(1) {
    for (const int64_t length : sizes_) numel_ *= length;
    const auto bytes = static_cast<size_t>(num_bytes());
    memory_ = std::shared_ptr<std::byte[]>(new std::byte[bytes + 1]);
    // NaN: a row that no thread writes differs from nothing, and shows in the values.
    std::memset(memory_.get(), 0xff, bytes);
  }

  const std::vector<int64_t>& sizes() const { return sizes_; }
  int64_t size(int64_t axis) const { return sizes_[static_cast<size_t>(axis)]; }
  std::vector<int64_t> strides() const { return sizes_; }  // for messages alone
  int64_t numel() const { return numel_; }
  int64_t num_bytes() const { return numel_ * element_size(); }
  int64_t element_size() const {
    switch (dtype_) {
      case ScalarType::Byte:
      case ScalarType::Bool:
        return 1;
      case ScalarType::Half:
      case ScalarType::BFloat16:
        return 2;
      case ScalarType::Int:
      case ScalarType::Float:
        return 4;
      default:
        return 8;
    }
  }
  ScalarType scalar_type() const { return dtype_; }
  bool is_contiguous() const { return true; }
  bool is_cpu() const { return true; }
  bool is_cuda() const { return false; }
  int32_t get_device_index() const { return -1; }

  void* mutable_data_ptr() const { return memory_.get(); }
  template <class T>
  T* mutable_data_ptr() const {
    return reinterpret_cast<T*>(memory_.get());
  }
  template <class T>
  const T* const_data_ptr() const {
    return reinterpret_cast<const T*>(memory_.get());
  }

 private:
  std::vector<int64_t> sizes_;
  ScalarType dtype_;
  int64_t numel_;
  std::shared_ptr<std::byte[]> memory_;
};

inline Tensor new_empty(const Tensor& like, std::vector<int64_t> sizes,
                        std::optional<ScalarType> dtype = std::nullopt) {
  return Tensor(std::move(sizes), dtype.value_or(like.scalar_type()));
}
inline Tensor empty_like(const Tensor& like) { return new_empty(like, like.sizes()); }

inline int64_t& num_threads() {
  static int64_t count = 1;
  return count;
}
inline int64_t get_num_threads() { return num_threads(); }

// As torch's: ranges of equal length, not shorter than `grain`, a thread each.
template <class Body>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const Body& body) {
  if (begin >= end) return;
  const int64_t count = end - begin;
  const int64_t num_ranges = std::min(get_num_threads(), (count + grain - 1) / grain);
  const int64_t length = (count + num_ranges - 1) / num_ranges;
  std::vector<std::thread> threads;
  for (int64_t first = begin + length; first < end; first += length) {
    threads.emplace_back(
        [&body, first, last = std::min(first + length, end)] { body(first, last); });
  }
  body(begin, std::min(begin + length, end));
  for (std::thread& thread : threads) thread.join();
}

// Takes registrations and does nothing.
struct Library {
  void def(const char*) {}
  template <class Function>
  void impl(const char*, Function) {}
};

}  // namespace torch::stable

#define RF_JOIN_NAMES(a, b) a##b
#define RF_NAME_OF_LINE(name, line) RF_JOIN_NAMES(name, line)
#define STABLE_TORCH_LIBRARY_FRAGMENT(library, m) \
  [[maybe_unused]] static void RF_NAME_OF_LINE(   \
      fragment_, __LINE__)([[maybe_unused]] torch::stable::Library m)
#define STABLE_TORCH_LIBRARY_IMPL(library, key, m)    \
  [[maybe_unused]] static void RF_NAME_OF_LINE(impl_, \
                                               __LINE__)(torch::stable::Library m)
#define TORCH_BOX(function) function
