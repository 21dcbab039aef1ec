// Experience of several ranks: what each rank's environments did, brought to all of them in the order of global environment
// numbers, so that every rank's replay buffer holds the same rows (docs/decisions/0024).
//
// A rank writes its steps of a turn one after the other into a text of bytes, and all texts are exchanged at once. Of a step
// it says, environment by environment:
//   always                its action, reward, end, and the observation it shows now, with its mask
//   where one ended       the episode's return, length, outcome and level
//   where one was cut off its last observation, with its mask
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/base/aligned.h"
#include "core/dist/process_group.h"
#include "rollout/buffer.h"

namespace rollmill {

class StepExchange {
 public:
  // local_envs: of this rank; all have as many. group outlives the exchange.
  StepExchange(const EnvSpec& spec, int local_envs, ProcessGroup& group);

  // Collective: what all environments show before their first step, in slot 0 of the result. local: this rank's, in slot 0.
  const RolloutBuffer& gather_start(const RolloutBuffer& local);
  // Writes down a step of this rank's environments, a rollout of horizon 1.
  void add(const RolloutBuffer& local, const Word* final_masks);
  // Whether what is written down may have grown so far that it should be exchanged before more comes: a turn of many steps need
  // not fit into memory as text. Depends on sizes only, and so is the same on all ranks.
  bool full() const { return steps_ * largest_step_ >= (std::int64_t{1} << 24); }
  // Collective, every rank having added as many steps: calls `store` with each of them, oldest first, and forgets them. A step
  // of all environments is slot 0 of a rollout of horizon 1, its slot 1 being what they show now; what belongs to ends is set
  // where something ended. Ranks of another build or config: Error(kPeer).
  void exchange(const std::function<void(const RolloutBuffer& step)>& store);
  // Masks of the final observations of the step that `store` is shown, [M][stride]; null where there are none.
  const Word* final_masks() const { return final_masks_.empty() ? nullptr : final_masks_.data(); }

 private:
  int local_envs_;
  ProcessGroup& group_;
  HostRollout all_;                           // horizon 1
  AlignedVector<std::uint32_t> final_masks_;  // [M][stride] of `all_`
  std::string mine_;                          // steps added since the last exchange
  int steps_ = 0;
  std::int64_t largest_step_;  // bytes
};

}  // namespace rollmill
