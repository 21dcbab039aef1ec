// Work that may crash, in a process of its own: what it does to itself stays there.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace rollmill {

struct ApartResult {
  std::string text;  // what `body` returned
  // "" where it returned; else how the process ended: "crashed with signal 11 (Segmentation fault)".
  std::string death;
  bool late = false;  // it did not end in time and was killed; death says so, too
};

// Calls body in a forked child and waits for it, at most so long. The child ends with the caller. The caller has no other threads.
// Throws Error(kIo) where no process can be started. body must not throw.
ApartResult run_apart(const std::function<std::string()>& body, std::chrono::milliseconds limit);

}  // namespace rollmill
