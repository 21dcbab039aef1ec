// A dataset as something to imitate: its episodes, laid out as rollouts that a learner takes as if they were its own.
//
// A pass goes through all episodes in a random order, one after another in streams of `horizon` steps. For a policy with
// memory a stream holds whole episodes as far as they fit, so that each is learnt from its beginning; what is left of a stream
// weighs nothing. Episodes that are longer than a stream go on in the next one (without their memory).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datasets/manifest.h"
#include "envs/env_spec.h"
#include "rollout/buffer.h"
#include "rollout/mlp/layout.h"
#include "rollout/normalizer.h"

namespace rollmill {

// Of an environment's real actions: what a policy scales its samples by.
struct ActionRange {
  explicit ActionRange(const EnvSpec& spec);
  std::vector<float> middle, half;  // [real actions]
};

// Whether the dataset in `dir` can be imitated in this environment, by its manifest. Errors: kBadData.
void check_demonstrations(const std::string& dir, const Manifest& manifest, const EnvSpec& spec);

class Demonstrations {
 public:
  // Loads the whole dataset into memory; gamma and reward_scale: of the returns that the value function learns. Errors: no
  // dataset, one of another environment, damaged or of too many steps for the memory (bad data, I/O).
  Demonstrations(const std::string& dir, const EnvSpec& spec, const PolicyShape& shape, float gamma,
                 float reward_scale);

  std::int64_t steps() const { return steps_; }
  const std::string& content_hash() const { return content_hash_; }  // of the dataset
  std::int64_t episodes() const { return static_cast<std::int64_t>(lengths_.size()); }
  // Of each real element of the observations, over all steps.
  std::vector<Moments> observation_moments() const;

  // Lays out a pass: its streams are a function of (seed, pass, horizon).
  void begin_pass(std::uint64_t seed, std::int64_t pass, int horizon);
  std::int64_t streams() const { return static_cast<std::int64_t>(stream_begin_.size()) - 1; }
  // Steps of the dataset in streams first .. first + count - 1: without what only fills a stream up.
  std::int64_t steps_in(std::int64_t first, std::int64_t count) const;
  // Fills the buffer's environments 0 .. n - 1 with streams first .. first + n - 1 (after the last comes the first again).
  // advantages: the weight of a step; the window's [first - before, first - before + all) mean 1. returns: discounted
  // rewards to the episode's end (a time limit counts as one).
  void fill(const RolloutBuffer& buffer, std::int64_t first, std::int64_t window_first,
            std::int64_t window_streams) const;

 private:
  struct Piece {
    std::int64_t row;   // first step
    std::int32_t from;  // steps of its episode before that
    std::int32_t length;
    bool last;        // ends its episode
    bool terminated;  // how that ended
  };
  void load(const std::string& dir, const EnvSpec& spec);
  void add_returns(float gamma, float reward_scale);
  void fill_stream(const RolloutBuffer& b, int i, std::int64_t stream, float weight) const;

  PolicyShape shape_;
  std::string content_hash_;
  int words_, action_words_, mask_words_, horizon_ = 0;
  ActionRange range_;
  std::int64_t steps_ = 0;
  std::vector<std::uint32_t> observations_, masks_, actions_;  // [steps][words of one]
  std::vector<float> rewards_, returns_;                       // [steps]
  std::vector<std::uint8_t> terminated_;                       // [episodes]
  std::vector<std::int64_t> starts_;                           // [episodes]
  std::vector<std::int32_t> lengths_;
  std::vector<Piece> pieces_;
  std::vector<std::int64_t> stream_begin_;  // pieces of stream s: [s], [s + 1)
};

// The unbounded number that a distribution's sample was before it became this action (rollout/mlp/elementwise.h).
float raw_action(RealDistribution distribution, float action, float middle, float half_range);

}  // namespace rollmill
