// What turns rollouts into better weights. Two implementations, chosen by trainer.kernels:
//   fused      trainer/fused: own kernels for CPU and CUDA, forward and backward in one pass, no torch in the process
//   reference  trainer/torch: plain libtorch autograd on CPU or CUDA, loaded from the torch module
// Both follow trainer/ppo_options.h to the letter and use the same minibatch permutations; tests hold them together.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/dist/process_group.h"
#include "rollout/buffer.h"
#include "rollout/mlp/mlp_policy.h"
#include "trainer/ignored_inputs.h"
#include "trainer/optimizer_state.h"
#include "trainer/ppo_options.h"

namespace rollmill {

class ThreadPool;

// Of `groups` over all ranks, those of one rank; 0 groups: one a rank.
inline int groups_of_rank(int groups, const ProcessGroup& group) {
  return groups > 0 ? groups / group.world_size() : 1;
}

class Learner {
 public:
  virtual ~Learner() = default;
  // One PPO update from a filled buffer (advantages and returns included). `update` numbers the update in the run: it
  // keys the minibatch permutations. Reads and writes the weights and optimiser state it was made with.
  virtual UpdateStats update(const RolloutBuffer& buffer, std::int64_t update,
                             double learning_rate) = 0;
};

struct LearnerContext {
  const PpoOptions* options;
  PolicyWeights* weights;     // host
  OptimizerState* optimizer;  // host
  ProcessGroup* group;
  ThreadPool* pool;
  std::uint64_t seed;
  bool cuda = false;  // the buffer lies in device memory
  int device = 0;
  // Logical groups of environments over all ranks whose sums are added in a fixed order, so that results do not depend on
  // the number of ranks (trainer.reduction = "exact"); 0: one group a rank. Fused learner only.
  int groups = 0;
  std::vector<ParamRange> frozen = {};  // parameters that no update may change
  // Matrix products of bfloat16 numbers, summed in float32; weights, moments and everything else stay float32. Fused: those of
  // rollout/mlp/bf16.h, on a GPU with groups its bits, without them tensor cores (rollout/mlp/bf16_kernels.cuh). Reference: all.
  bool bf16 = false;
};

std::unique_ptr<Learner> make_fused_learner(const LearnerContext& context);

// Row order of one epoch: a permutation of the horizon * num_envs samples of this group; sample s is environment
// s % num_envs at time s / num_envs. Minibatch m takes entries [m * size, (m + 1) * size).
void minibatch_order(std::uint64_t seed, int group, std::int64_t update, int epoch,
                     std::uint32_t samples, std::uint32_t* order);

}  // namespace rollmill
