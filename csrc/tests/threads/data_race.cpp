// A sum that two threads make unordered. ThreadSanitizer must report it: then the
// silence of the other tests in this folder means something.
#include "tests/threads/torch_stand_in.h"

int main() {
  torch::stable::num_threads() = 2;
  int64_t sum = 0;
  torch::stable::parallel_for(0, 100, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sum += i;
  });
  return sum < 0 ? 1 : 0;
}
