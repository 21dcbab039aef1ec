#include "core/rng/rng.h"
#include "trainer/learner.h"

namespace rollmill {

void minibatch_order(std::uint64_t seed, int group, std::int64_t update, int epoch,
                     std::uint32_t samples, std::uint32_t* order) {
  permute(Rng(seed, Purpose::kPermutation, static_cast<std::uint32_t>(group),
              static_cast<std::uint32_t>(update), static_cast<std::uint32_t>(epoch)),
          samples, order);
}

}  // namespace rollmill
