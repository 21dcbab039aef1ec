#include "trainer/replay/priority_tree.h"

#include <bit>

#include "core/base/assert.h"

namespace rollmill {

PriorityTree::PriorityTree(std::int64_t leaves)
    : leaves_(leaves),
      base_(static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(leaves)))) {
  nodes_.resize(static_cast<std::size_t>(2 * base_));
}

void PriorityTree::set(std::int64_t leaf, double priority) {
  RM_ASSERT(leaf >= 0 && leaf < leaves_ && priority >= 0);
  std::size_t node = index(leaf);
  nodes_[node] = priority;
  for (node /= 2; node >= 1; node /= 2) nodes_[node] = nodes_[2 * node] + nodes_[2 * node + 1];
}

std::int64_t PriorityTree::find(double u) const {
  std::size_t node = 1;
  while (node < static_cast<std::size_t>(base_)) {
    const double left = nodes_[2 * node], right = nodes_[2 * node + 1];
    // Rounding may leave a u beyond what is there: it goes where there is something.
    if (right == 0 || (u < left && left > 0)) {
      node = 2 * node;
    } else {
      u -= left;
      node = 2 * node + 1;
    }
  }
  return static_cast<std::int64_t>(node) - base_;
}

}  // namespace rollmill
