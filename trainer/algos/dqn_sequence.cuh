// The kernels of a turn of deep Q-learning in their order, once for the GPU (trainer/algos/dqn_cuda.cu) and for host threads
// (tests/cuda/dqn_emulation_test.cc): launch(name, kernel, blocks, threads, shared floats, arguments...).
#pragma once

#include "core/base/assert.h"
#include "rollout/mlp/mlp_policy.h"
#include "trainer/algos/dqn_kernels.cuh"

namespace rollmill {

// Arrays beside those of the task.
struct DqnArrays {
  float *params, *target, *first, *second, *transposed;
};

// What follows from layout and options; returns how many floats the transposed weights take. The caller fills in pointers and what
// is read.
inline std::int64_t set_dqn_task(const MlpLayout& layout, const DqnOptions& o, DqnTask& task) {
  RM_ASSERT(layout.actor.conv.empty() && layout.shape.memory == MemoryKind::kNone);
  std::int64_t transposed = 0;
  task.options = o;
  task.actor = dense_net(layout.actor, false, transposed);
  task.critic = dense_net(layout.critic, false, transposed);
  RM_ASSERT(task.critic.count == 0 || o.duelling);
  task.activation = layout.shape.activation;
  task.shared = layout.shape.trunk == Trunk::kShared;
  task.actions = layout.shape.choices[0];
  task.max_width = layout.max_width;
  task.parameters = layout.size;
  task.tiles = (o.replay.batch_size + kLearnRows - 1) / kLearnRows;
  return transposed;
}

// The actions of all environments.
template <class Launch>
void launch_act(Launch&& launch, const DevicePolicy& policy, const DqnTask& task,
                const ActRequest& request) {
  launch("dqn_act_kernel", dqn_act_kernel, (request.end + policy.tile_rows - 1) / policy.tile_rows,
         kActThreads, static_cast<std::size_t>(tile_floats(policy)), policy, request, task.options,
         task.replay);
}

// One update.
template <class Launch>
void launch_update(Launch&& launch, const DqnTask& task, const DqnArrays& a) {
  launch("draw_kernel", draw_kernel, 1, kOneBlockThreads, 0, task);
  for (const LearnNet* net : {&task.actor, &task.critic})
    launch_transposes(launch, *net, 1, a.params, a.transposed);
  launch("dqn_tile_kernel", dqn_tile_kernel, task.tiles, kLearnThreads,
         dqn_shared_floats(task, task.tile_rows), task);
  launch("add_tiles_kernel", add_tiles_kernel, element_blocks(task.parameters), kElementThreads, 0,
         task.parts, task.tiles, task.parameters, task.gradient);
  launch("dqn_plan_kernel", dqn_plan_kernel, 1, kOneBlockThreads, kPlanFloats, task);
  if (task.replay.nodes != nullptr)
    launch("priorities_kernel", priorities_kernel, 1, kOneBlockThreads, 0, task);
  launch("dqn_step_kernel", dqn_step_kernel, element_blocks(task.parameters), kElementThreads, 0,
         task, a.params, a.first, a.second, a.target);
}

// Launches of a turn.
inline std::int64_t turn_launches(const DqnTask& task) {
  const OffPolicyOptions& o = task.options.replay;
  return std::int64_t{o.train_every} * 4 +
         std::int64_t{o.updates_per_step} * (6 + task.actor.count + task.critic.count);
}

}  // namespace rollmill
