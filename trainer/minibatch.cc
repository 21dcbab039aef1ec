#include "trainer/learner.h"
#include "trainer/minibatch_order.h"

namespace rollmill {

void minibatch_order(std::uint64_t seed, int group, std::int64_t update, int epoch,
                     std::uint32_t samples, std::uint32_t* order) {
  const Rng rng = minibatch_rng(seed, group, update, epoch);
  if (samples < kShuffledFrom) return permute(rng, samples, order);
  const ShuffleKey key = shuffle_key(rng, samples);
  // All of them once, which vectorises; then those that fell outside again.
  for (std::uint32_t place = 0; place < samples; ++place) order[place] = shuffled_once(key, place);
  for (std::uint32_t place = 0; place < samples; ++place) {
    while (order[place] >= samples) order[place] = shuffled_once(key, order[place]);
  }
}

}  // namespace rollmill
