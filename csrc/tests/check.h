// The checks of the C++ tests: they print what went wrong and end with exit code 1.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>

#define RF_CHECK(condition)                                                        \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                \
    }                                                                              \
  } while (false)

// |got - expected| <= tolerance; false for NaN.
#define RF_CHECK_NEAR(got, expected, tolerance)                                        \
  do {                                                                                 \
    const double got_ = static_cast<double>(got);                                      \
    const double expected_ = static_cast<double>(expected);                            \
    if (!(std::fabs(got_ - expected_) <= (tolerance))) {                               \
      std::fprintf(stderr, "%s:%d: %s: expected %.9g, got %.9g\n", __FILE__, __LINE__, \
                   #got, expected_, got_);                                             \
      std::exit(1);                                                                    \
    }                                                                                  \
  } while (false)
