// Ranks as threads of a test: the same results as processes, without a network.
#pragma once

#include <thread>
#include <vector>

#include "core/dist/local_group.h"

namespace rollmill::testing {

// Runs body(group) on so many ranks at once.
template <class Body>
void on_ranks(int ranks, Body&& body) {
  LocalWorld world(ranks);
  std::vector<std::jthread> threads;
  for (int r = 0; r < ranks; ++r) {
    threads.emplace_back([&, r] {
      LocalGroup group(world, r);
      body(group);
    });
  }
}

}  // namespace rollmill::testing
