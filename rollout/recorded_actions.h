// The actions of a dataset's shard, for whoever takes them again: replay and imitation.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "datasets/shard.h"
#include "envs/env_spec.h"
#include "rollout/dataset_columns.h"

namespace rollmill {

// The actions of a shard as the words that environments take, whatever their columns are.
class RecordedActions {
 public:
  RecordedActions(const EnvSpec& spec, const ShardData& shard)
      : choices_(static_cast<int>(spec.choices.size())), reals_(spec.real_actions()) {
    if (choices_ == 0) {
      real_ = shard.values<float>("actions");
    } else if (small_action(spec)) {
      small_ = shard.values<std::int8_t>("actions");
    } else {
      wide_ = shard.values<std::int32_t>("actions");
    }
    if (choices_ > 0 && reals_ > 0) real_ = shard.values<float>("real_actions");
  }
  int columns() const { return choices_ + reals_; }
  std::int32_t choice(std::int64_t row, int k) const {
    const auto at = static_cast<std::size_t>(row * choices_ + k);
    return wide_.empty() ? std::int32_t{small_[at]} : wide_[at];
  }
  float real(std::int64_t row, int k) const {
    return real_[static_cast<std::size_t>(row * reals_ + k)];
  }
  std::uint32_t word(std::int64_t row, int k) const {
    return k < choices_ ? static_cast<std::uint32_t>(choice(row, k))
                        : __builtin_bit_cast(std::uint32_t, real(row, k - choices_));
  }

 private:
  int choices_, reals_;
  std::span<const std::int8_t> small_;
  std::span<const std::int32_t> wide_;
  std::span<const float> real_;
};

// Throws Error(kBadData) naming `where` and the row:
// recorded actions must be actions: anything else was not written by a policy, and an environment may index with it.
void check_actions(const EnvSpec& spec, const ShardData& shard, const std::string& where);

}  // namespace rollmill
