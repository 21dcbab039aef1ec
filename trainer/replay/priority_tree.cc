#include "trainer/replay/priority_tree.h"

#include <bit>

#include "core/base/assert.h"
#include "trainer/replay/replay_rows.h"

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

std::int64_t PriorityTree::find(double u) const { return find_leaf(nodes_.data(), base_, u); }

}  // namespace rollmill
