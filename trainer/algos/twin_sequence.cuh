// The kernels of an update of SAC or TD3 in their order, once for the GPU (trainer/algos/twin_cuda.cu) and for host threads
// (tests/cuda/twin_emulation_test.cc): launch(name, kernel, blocks, threads, shared floats, arguments...).
#pragma once

#include <algorithm>

#include "core/base/assert.h"
#include "trainer/algos/device_twin.h"
#include "trainer/algos/twin_kernels.cuh"

namespace rollmill {

// Arrays beside those of the task.
struct TwinArrays {
  float *actor, *actor_first, *actor_second, *actor_target;
  float *critics, *critic_first, *critic_second, *critic_target;  // of both
  float* transposed;
};

// What follows from layouts and options; returns how many floats the transposed weights take. The caller fills in pointers and what
// is read.
inline std::int64_t set_twin_task(const DeviceTwinConfig& c, TwinTask& task) {
  const MlpLayout &actor = c.weights->layout, &critic = *c.critic;
  RM_ASSERT(actor.actor.conv.empty() && actor.shape.memory == MemoryKind::kNone);
  task.options = c.options();
  task.soft = c.soft;
  task.automatic_temperature = c.sac.automatic_temperature;
  task.target_entropy = c.sac.target_entropy;
  task.policy_every = c.td3.policy_every;
  task.exploration_noise = c.td3.exploration_noise;
  task.target_noise = c.td3.target_noise;
  task.target_noise_clip = c.td3.target_noise_clip;
  task.total_steps = c.total_steps;
  task.seed = c.seed;
  std::int64_t of_critic = 0, of_actor = 0;
  task.critic = dense_net(critic.actor, true, of_critic);
  task.actor = dense_net(actor.actor, false, of_actor);
  task.activation = actor.shape.activation;
  task.actions = actor.shape.reals;
  task.max_width = std::max(
      {actor.max_width, critic.max_width, pad16(actor.shape.observations() + actor.shape.reals)});
  task.actor_size = actor.size;
  task.critic_size = critic.size;
  task.critic_transposed = of_critic;
  task.tiles = (task.options.batch_size + kLearnRows - 1) / kLearnRows;
  return 2 * of_critic + of_actor;
}

// One update.
template <class Launch>
void launch_update(Launch&& launch, const TwinTask& task, const TwinArrays& a) {
  const std::int64_t critics = 2 * task.critic_size;
  const std::size_t shared = twin_shared_floats(task, task.tile_rows);
  const auto transpose_critics = [&] {
    for (int c = 0; c < 2; ++c) {
      launch_transposes(launch, task.critic, 0, a.critics + c * task.critic_size,
                        a.transposed + c * task.critic_transposed);
    }
  };
  launch("twin_draw_kernel", twin_draw_kernel, 1, kOneBlockThreads, 0, task);
  transpose_critics();
  launch("critic_tile_kernel", critic_tile_kernel, task.tiles, kLearnThreads, shared, task);
  launch("add_tiles_kernel", add_tiles_kernel, element_blocks(critics), kElementThreads, 0,
         task.parts, task.tiles, critics, task.gradient);
  launch("critic_plan_kernel", critic_plan_kernel, 1, kOneBlockThreads, kPlanFloats, task);
  launch("critic_step_kernel", critic_step_kernel, element_blocks(critics), kElementThreads, 0,
         task, a.critics, a.critic_first, a.critic_second);
  transpose_critics();
  launch_transposes(launch, task.actor, 1, a.actor, a.transposed + 2 * task.critic_transposed);
  launch("actor_tile_kernel", actor_tile_kernel, task.tiles, kLearnThreads, shared, task);
  launch("add_tiles_kernel", add_tiles_kernel, element_blocks(task.actor_size), kElementThreads, 0,
         task.parts, task.tiles, task.actor_size, task.gradient);
  launch("actor_plan_kernel", actor_plan_kernel, 1, kOneBlockThreads, kPlanFloats, task);
  launch("actor_step_kernel", actor_step_kernel, element_blocks(std::max(task.actor_size, critics)),
         kElementThreads, 0, task, a.actor, a.actor_first, a.actor_second, a.actor_target,
         a.critic_target);
}

// Launches of a turn.
inline std::int64_t turn_launches(const TwinTask& task) {
  return std::int64_t{task.options.train_every} * 4 +
         std::int64_t{task.options.updates_per_step} *
             (9 + 4 * task.critic.count + task.actor.count);
}

}  // namespace rollmill
