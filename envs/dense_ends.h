// Ends of a block in which many episodes end at once (blackjack: seven of ten steps of a random player). Every lane gets a next
// episode, and a select keeps it where one has ended: neighbouring lanes all the way, where a list would be gathered and
// scattered word by word. The same bits as by the list.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "envs/batch_layout.h"
#include "envs/step_kernel.h"

namespace rollmill {

// From half of the block on: no reset is made for nothing more often than for something.
inline bool many_ended(int ended, int count) { return ended * 2 >= count; }

// column[j] = from[j] where codes[j] is not zero. (Of words, not a template: that would drop the attribute by which a Word may
// alias the floats that observations are written as.)
inline void select_ended(const std::uint32_t* RM_RESTRICT codes, const Word* RM_RESTRICT from,
                         Word* RM_RESTRICT column, int count) {
  for (int j = 0; j < count; ++j) column[j] = codes[j] != 0 ? from[j] : column[j];
}

// record_episode for every ended one of [begin, begin + count); none of them is broken.
inline void record_ended(const BatchColumns& columns, const StepBuffers& out, int observation_words,
                         int mask_words, const std::uint32_t* RM_RESTRICT codes, std::int64_t begin,
                         int count) {
  const auto select = [&](const Word* from, Word* to, int words) {
    for (int w = 0; w < words; ++w)
      select_ended(codes, from + w * columns.stride, to + w * columns.stride, count);
  };
  if (out.final_observations != nullptr) {
    select(reinterpret_cast<const Word*>(out.observations) + begin,
           reinterpret_cast<Word*>(out.final_observations) + begin, observation_words);
  }
  if (out.final_masks != nullptr) select(out.masks + begin, out.final_masks + begin, mask_words);
  if (out.outcomes != nullptr) {
    std::uint8_t* RM_RESTRICT outcomes = out.outcomes + begin;
    for (int j = 0; j < count; ++j)
      outcomes[j] = codes[j] != 0 ? static_cast<std::uint8_t>(codes[j] >> 8) : outcomes[j];
  }
  if (out.episode_returns != nullptr)
    select_ended(codes, reinterpret_cast<const Word*>(columns.episode_return) + begin,
                 reinterpret_cast<Word*>(out.episode_returns) + begin, count);
  if (out.episode_lengths != nullptr)
    select_ended(codes, columns.step + begin, reinterpret_cast<Word*>(out.episode_lengths) + begin,
                 count);
  if (out.episode_levels != nullptr) {
    for (int j = 0; j < count; ++j) {
      const std::uint32_t level = columns.level != nullptr ? columns.level[begin + j] : 0u;
      out.episode_levels[begin + j] = codes[j] != 0 ? level : out.episode_levels[begin + j];
    }
  }
}

// Keys of the next episodes, into the batch's columns and into `lanes` (where none has ended: of some episode, to no effect).
inline void next_keys(const BatchColumns& columns, const BatchColumns& lanes,
                      std::uint32_t episode_stride, const std::uint32_t* RM_RESTRICT codes,
                      std::int64_t begin, int count) {
  std::uint32_t* RM_RESTRICT episodes = columns.episode + begin;
  std::uint32_t* RM_RESTRICT steps = columns.step + begin;
  float* RM_RESTRICT returns = columns.episode_return + begin;
  const std::uint32_t* RM_RESTRICT environments = columns.environment + begin;
  std::uint32_t* RM_RESTRICT lane_episodes = lanes.episode;
  std::uint32_t* RM_RESTRICT lane_environments = lanes.environment;
  for (int j = 0; j < count; ++j) {
    const std::uint32_t ended = codes[j] != 0 ? ~0u : 0u;
    const std::uint32_t episode = episodes[j] + (episode_stride & ended);
    episodes[j] = episode;
    steps[j] &= ~ended;
    returns[j] = ended != 0 ? 0.0f : returns[j];
    lane_episodes[j] = episode;
    lane_environments[j] = environments[j];
  }
}

}  // namespace rollmill
