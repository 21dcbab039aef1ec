// Two levels of assertions, both for bugs in this program, never for bad input:
//   RM_ASSERT(condition)    cheap, always on (a branch that is never taken); host code only
//   RM_VALIDATE(condition)  costly invariants; on in debug and sanitizer builds (RM_ENABLE_VALIDATE)
// A failed assertion prints the condition with its place and aborts: the state can no longer be trusted.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace rollmill::internal {

[[noreturn]] inline void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "rollmill: bug: %s does not hold at %s:%d; please report it\n", condition,
               file, line);
  std::abort();
}

}  // namespace rollmill::internal

#define RM_ASSERT(condition)    \
  (static_cast<bool>(condition) \
       ? void(0)                \
       : ::rollmill::internal::assertion_failed(#condition, __FILE__, __LINE__))

#if defined(RM_ENABLE_VALIDATE)
#define RM_VALIDATE(condition) RM_ASSERT(condition)
#else
#define RM_VALIDATE(condition) static_cast<void>(sizeof(!(condition)))
#endif
