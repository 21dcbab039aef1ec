// A sum tree over priorities (Schaul et al. 2016): draws a leaf with probability proportional to its priority.
// Every inner node is left + right in float64, recomputed from below, so the tree is a function of its leaves: whatever order
// they were set in, and after a resume, the same bits.
#pragma once

#include <cstdint>
#include <vector>

namespace rollmill {

class PriorityTree {
 public:
  explicit PriorityTree(std::int64_t leaves);

  std::int64_t leaves() const { return leaves_; }
  double priority(std::int64_t leaf) const { return nodes_[index(leaf)]; }
  double total() const { return nodes_[1]; }
  // priority >= 0 and finite.
  void set(std::int64_t leaf, double priority);
  // The leaf under u: the first whose priorities before it, itself included, sum to more than u. 0 <= u < total(); never a
  // leaf of priority 0.
  std::int64_t find(double u) const;

 private:
  std::size_t index(std::int64_t leaf) const { return static_cast<std::size_t>(base_ + leaf); }

  std::int64_t leaves_, base_;
  std::vector<double> nodes_;  // node k has the children 2k and 2k + 1; leaf n is node base_ + n
};

}  // namespace rollmill
