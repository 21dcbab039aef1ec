// What worlds the next episodes are drawn from, by what the last ones showed. A curriculum changes the batch's World between
// two rollouts, from the finished episodes of all ranks in their fixed order, so its path does not depend on the number of
// ranks where the policy's does not either: PPO with trainer.reduction = "exact", DQN, SAC, TD3. Its state is part of every
// checkpoint.
//
//   schedule  difficulty goes from 0 to 1 over a number of environment steps
//   success   difficulty moves so that the rate of success stays in a band
//   replay    levels are drawn by how much is left to learn on them: prioritised level replay (Jiang et al. 2021), scored
//             by learnability p (1 - p) (Rutherford et al. 2024) or by the mean absolute advantage
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "envs/env_spec.h"
#include "envs/world.h"
#include "rollout/collector.h"

namespace rollmill {

class Config;
struct EnvOptions;

enum class CurriculumKind { kNone, kSchedule, kSuccess, kReplay };
enum class LevelScore { kLearnability, kValueError };

// A parameter that grows from `easy` to `hard` (which may be smaller) with the difficulty.
struct CurriculumParam {
  int param = 0;
  double easy = 0, hard = 1;
};

struct CurriculumOptions {
  CurriculumKind kind = CurriculumKind::kNone;
  std::vector<CurriculumParam> params;  // schedule, success
  std::vector<std::string> fixed_too;   // keys of [env.params] that give one of those a number, too
  bool spread = true;  // episodes are drawn between easy and the present difficulty, not only at it
  std::int64_t over_steps = 0;                          // schedule
  double band_low = 0.2, band_high = 0.8, step = 0.05;  // success
  int window = 200;                                     // success: episodes between two moves
  LevelScore score = LevelScore::kLearnability;         // replay
  double temperature = 0.3, staleness = 0.1;            // replay; the paper's beta and rho
};

// [curriculum] and [curriculum.params]. Checks names, ranges and what the kind needs.
CurriculumOptions read_curriculum(Config& config, const EnvOptions& env);

class Curriculum {
 public:
  Curriculum(const CurriculumOptions& options, const EnvSpec& spec, World base);

  bool active() const { return options_.kind != CurriculumKind::kNone; }
  // Takes finished episodes into account; env_steps is the run's total after them.
  void observe(const std::vector<EpisodeRecord>& episodes, std::int64_t env_steps);
  // What episodes are to be drawn from now.
  World world() const;

  double difficulty() const { return difficulty_; }
  // Of the last whole window, or of all finished episodes so far; NaN before the first.
  double success_rate() const { return success_rate_; }

  // Whole state as numbers. load returns false for numbers that are no state of this curriculum.
  std::vector<double> save() const;
  bool load(const std::vector<double>& state);

 private:
  struct Level {
    double plays = 0, successes = 0, value_error = 0;  // decayed sums; last_play counts episodes
    double last_play = 0;
  };
  bool succeeded(const EpisodeRecord& e) const;
  void observe_success(bool success);
  void observe_level(const EpisodeRecord& e);
  double score(const Level& level) const;
  std::vector<float> level_weights() const;

  CurriculumOptions options_;
  EnvSpec spec_;
  World base_;
  double difficulty_ = 0, success_rate_;
  double window_episodes_ = 0, window_successes_ = 0, episodes_ = 0;
  std::vector<Level> levels_;
};

}  // namespace rollmill
