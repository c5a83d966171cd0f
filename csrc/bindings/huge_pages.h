// Results on huge pages. Fresh memory costs a page fault for every page that a kernel
// writes first: with pages of 4 KiB, that took longer than the kernel itself for some
// of them.
#pragma once

#include "bindings/stable.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace realfusion {

// `fresh`, on the CPU and not yet touched, its memory marked for huge pages (as torch
// does itself under THP_MEM_ALLOC_ENABLE). Where the system has none, nothing changes.
inline Tensor on_huge_pages(Tensor fresh) {
#if defined(__linux__)
  constexpr uintptr_t kHugePage = uintptr_t{2} << 20;
  const auto begin = reinterpret_cast<uintptr_t>(fresh.mutable_data_ptr());
  const uintptr_t end = begin + static_cast<uintptr_t>(fresh.numel()) *
                                    static_cast<uintptr_t>(fresh.element_size());
  const uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = end / kHugePage * kHugePage;
  if (first < last) {
    madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
  }
#endif
  return fresh;
}

}  // namespace realfusion
