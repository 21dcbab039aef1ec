// Two rollouts of one batch by turns: while one is learned from, the other is made, by a policy that is a copy of the weights.
#pragma once

#include <vector>

#include "core/device/memory.h"
#include "rollout/collector.h"

namespace rollmill {

// k: 0 or 1.
class RolloutPair {
 public:
  virtual ~RolloutPair() = default;
  virtual EnvBatch& batch() = 0;
  virtual Memory& memory() = 0;  // where the buffers lie
  virtual const RolloutBuffer& buffer(int k) const = 0;
  // Copies weights and normaliser for the policy that acts and corrects. Not between begin() and finish().
  virtual void set_weights(const PolicyWeights& weights) = 0;
  // Starts all environments; their first observations go into slot 0 of rollout k.
  virtual void reset(int k) = 0;
  // Fills rollout k from its slot 0, and waits for it.
  virtual void make(int k, const AdvantageOptions& options) = 0;
  // Begins to fill rollout k from where the other one ended; finish() waits. Comes after make() or correct() of the other one, which
  // may be read and learned from meanwhile. Nobody may touch rollout k and the batch until finish().
  virtual void begin(int k, const AdvantageOptions& options) = 0;
  virtual void finish() = 0;
  // Makes rollout k, of older weights, one of those set last, as HostCollector::correct. On a GPU it returns when that is queued on the
  // default stream.
  virtual void correct(int k, const AdvantageOptions& options) = 0;
  virtual Staleness staleness() const = 0;            // found by the last correct()
  virtual double seconds(int k) const = 0;            // that rollout k took
  virtual double environment_share(int k) const = 0;  // of that; NaN on a GPU
  virtual std::vector<EpisodeRecord> finished_episodes(int k, int groups) const = 0;
  virtual std::vector<Moments> observation_moments(int k, int groups) = 0;
  virtual std::size_t bytes() const = 0;  // of both buffers
};

}  // namespace rollmill
