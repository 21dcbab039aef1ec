// What the environments did lately, to learn from again and again: a ring over time of every environment's steps.
//
//   time        t - 2      t - 1        t           the ring's next slot: where time t + slots goes
//   observation   o          o          o           o[t] is what the environment shows now
//   action        a          a          .           row (time % slots) * environments + environment
//   reward, end   r          r          .
//
// Rows, not the columns of a rollout: environments are few (often one, where a padded column would be 15 parts air), and what
// is drawn lies anywhere, so a row in one or two cache lines costs less than its words in as many. Observations stay packed
// (envs/spaces.h); a network reads row r at words + r * row_words with a stride of 1. Where choices are masked, the row's mask
// follows its observation.
//
// An n-step transition of time t is computed when it is drawn, over the steps t, t + 1, ... of its environment: it ends early
// at an episode's end. A terminated episode is worth nothing afterwards; a truncated one is worth what its real last
// observation is worth, and that one is stored apart, for such ends only. Times whose n steps are not all there yet cannot be
// drawn.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/aligned.h"
#include "rollout/buffer.h"
#include "trainer/replay/priority_tree.h"
#include "trainer/replay/replay_rows.h"

namespace rollmill {

class H5Group;

struct ReplayConfig {
  int num_envs = 1;                 // of all ranks
  std::int64_t capacity = 100'000;  // transitions; rounded up to whole steps of all environments
  int n_step = 1;
  float gamma = 0.99f;
  float reward_scale = 1.0f;
  // Prioritised replay: |error| + epsilon to the power of alpha. alpha 0: uniform, no tree.
  float priority_alpha = 0.0f, priority_epsilon = 1e-2f;
  int copies = 1;  // of this buffer on this machine, one a rank: its memory must do for all of them
};

// Slots of the ring: one more than whole steps that hold `capacity`, for the observations after the last of them.
inline ReplayRing ring_of(const ReplayConfig& c) {
  return {c.num_envs, c.n_step, (c.capacity + c.num_envs - 1) / c.num_envs + 1, c.gamma,
          c.reward_scale};
}

class ReplayBuffer {
 public:
  // Everything that changes, all of it in a checkpoint.
  struct Content {
    std::int64_t time = -1;             // of the newest observation; -1 before the first
    AlignedVector<float> observations;  // with their masks
    std::vector<std::int32_t> actions;
    std::vector<float> rewards;
    std::vector<std::uint8_t> ends;
    // Last observations of truncated episodes: time * environments + environment, ascending, and their words.
    std::deque<std::int64_t> final_keys;
    std::deque<float> final_words;
    std::vector<double> priorities;  // of used rows; only while on the way, otherwise in the tree
    double top_priority = 1.0;       // what a new transition starts with: the largest so far
  };

  ReplayBuffer(const EnvSpec& spec, const ReplayConfig& config);

  // What a buffer on a GPU holds (trainer/replay/replay_machine.cuh), and what it is to hold. Arrays have all rows.
  void set_content(Content content);
  Content take_content();

  // Words of a row: an observation and, where the environment has them, its action mask.
  int row_words() const { return row_words_; }
  int action_words() const { return action_words_; }
  int num_envs() const { return config_.num_envs; }
  // Transitions that can be drawn now.
  std::int64_t size() const;

  // Columns [D][stride] that the environments show before their first step, and their masks [M][stride] (null without).
  void start(const float* observations, const Word* masks, std::int64_t stride);
  // One step of all environments: slot 0 of a rollout of horizon 1, its slot 1 being what they show now. final_masks: of the
  // rollout's final observations, [M][stride].
  void push(const RolloutBuffer& step, const Word* final_masks);

  // Draws `count` transitions with replacement, keyed by (seed, update). Uniform, or by priority: one from each of `count`
  // equal parts of the sum, weighted (size * probability)^-beta and scaled so that the largest weight is 1. size() > 0.
  void draw(std::uint64_t seed, std::int64_t update, float beta, int count, ReplayDraw* out) const;
  // Priorities of drawn rows from the size of their errors; in the order given, the last of a row counts.
  void set_errors(const ReplayDraw* drawn, const float* errors, int count);

  // Words, whatever they hold; those of row r at r * row_words().
  const float* observations() const { return c_.observations.data(); }
  // The columns of a row's action: choices, then the bits of real numbers.
  const std::int32_t* action(std::int64_t row) const {
    return c_.actions.data() + row * action_words_;
  }
  // The action mask of a row's words, null where there is none.
  const Word* mask(const float* row) const {
    return mask_words_ == 0 ? nullptr
                            : reinterpret_cast<const Word*>(row) + (row_words_ - mask_words_);
  }
  // The first stored observation that is NaN or infinite, as "observation 'x' of environment 3"; "" where all are finite or no
  // real numbers. Looks at all of them.
  std::string first_not_finite(const EnvSpec& spec) const;
  // Writes the observation to bootstrap from, and its mask, row_words() of them, to `next`.
  NStep n_step(std::int64_t row, float* next) const;

  void save(H5Group& root) const;
  // Checks everything first: throws Error(kBadData) and changes nothing, or returns what puts it in place.
  std::function<void()> read(const H5Group& root, const std::string& path);

 private:
  // Throws Error(kIo) where this machine has no room for one more such buffer, and so many bytes a row beside it; of each
  // rank here.
  void check_room(const char* doing, int more_bytes) const;
  std::int64_t oldest(std::int64_t time) const { return ring_.oldest(time); }
  std::int64_t row_of(std::int64_t time, std::int64_t env) const { return ring_.row_of(time, env); }
  std::int64_t used_rows(std::int64_t time) const { return ring_.used_rows(time); }
  void store_rows(const float* columns, const Word* masks, std::int64_t stride);
  void forget(std::int64_t time);
  void check(const Content& content, const std::string& path) const;
  bool fits(const std::int32_t* action) const;

  ReplayConfig config_;
  std::vector<int> choices_;
  int mask_words_, row_words_, action_words_;
  ReplayRing ring_;
  std::int64_t slots_;
  Content c_;
  std::unique_ptr<PriorityTree> tree_;
};

}  // namespace rollmill
