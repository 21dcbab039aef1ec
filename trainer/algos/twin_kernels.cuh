// SAC and TD3 on a GPU, with the CPU's bits (trainer/algos/sac.cc, td3.cc, twin_critic.cc): the same minibatches, tiles of rows and
// orders of sums, and the same text for everything that is done to one row (trainer/algos/twin_rows.h).
//
//   twin_act_kernel      at random at first, then the policy's sample (SAC) or its action with noise (TD3)
//   (the environments' step, store_kernel, advance_kernel: trainer/replay/replay_kernels.cuh)
//   twin_draw_kernel     one block: the minibatch
//   transpose_kernel     the weights that backward passes read, of both critics and the actor
//   critic_tile_kernel   a block has one tile of the minibatch: targets, both critics' losses, a gradient of both
//   add_tiles_kernel, critic_plan_kernel, critic_step_kernel
//   actor_tile_kernel    ... through the new critics' inputs to the actor's gradient
//   add_tiles_kernel, actor_plan_kernel (SAC: and the temperature), actor_step_kernel (and the targets)
//
// TD3's actor waits for every policy_every-th update: in others its tile, plan and step kernels return at once, and what is added
// up is read by nobody.
#pragma once

#include <cstddef>

#include "rollout/mlp/policy_tile.cuh"
#include "trainer/algos/sac_options.h"
#include "trainer/algos/td3_options.h"
#include "trainer/algos/twin_rows.h"
#include "trainer/fused/adam.h"
#include "trainer/fused/layer_kernels.cuh"
#include "trainer/optimizer_state.h"
#include "trainer/replay/minibatch_kernels.cuh"
#include "trainer/replay/replay_kernels.cuh"

namespace rollmill {

enum TwinPart { kCritics = 0, kActor = 1, kTemperature = 2, kTwinParts = 3 };
inline constexpr int kTwinTerms =
    4;  // of a tile: critics' loss, value; actor's loss or value, log-probability

struct TwinState {
  std::int64_t step[kTwinParts], skipped[kTwinParts];  // of the optimisers, as OptimizerState
  float log_temperature, temperature_first, temperature_second;
  // Of a report. longest: steps skipped in a row, at most.
  double critic_loss, value, actor_loss, logp;
  std::int64_t updates, policy_updates, all_skipped, longest[kTwinParts];
  // Of the latest update.
  AdamStep adam[2];
  bool goes[2], due;  // due: the actor learns
};

struct TwinTask {
  OffPolicyOptions options;
  bool soft;  // SAC
  bool automatic_temperature;
  float target_entropy;
  int policy_every;
  float exploration_noise, target_noise, target_noise_clip;
  std::int64_t total_steps;
  std::uint64_t seed;
  LearnNet actor, critic;
  UnpackRule unpack;
  Activation activation;
  int actions, max_width, tile_rows, tiles;
  std::int64_t actor_size, critic_size, critic_transposed;  // of one critic
  DeviceReplay replay;
  const float *actor_params, *actor_target;    // the target: TD3's
  const float *critic_params, *critic_target;  // [2][critic_size]
  const float* transposed;                     // of critic 0, critic 1, the actor
  const float *middle, *half_range;            // [actions]
  ReplayDraw* drawn;                           // [batch]
  double* scratch;                             // [batch]
  float* parts;                                // [tiles][a gradient]
  double* terms;                               // [tiles][kTwinTerms]
  float* gradient;
  TwinState* state;
};
static_assert(sizeof(TwinTask) <= 3072, "kernel arguments take 4 KB at most");

RM_KERNEL void twin_act_kernel(RM_GRID_CONSTANT DevicePolicy p, ActRequest q, DeviceReplay replay,
                               std::int64_t learning_starts, float noise) {
  const BlockTile tile(p, q.begin, q.end);
  const auto r = static_cast<int>(threadIdx.x);
  const std::int64_t i = tile.begin + r;
  const bool learnt = replay.env_steps() >= learning_starts;  // the same for all threads
  if (learnt) act_tile<false>(p, q, tile.begin, tile.rows, shared_memory());
  if (r >= tile.rows) return;
  // (The action's numbers were written by this thread.)
  auto* actions = static_cast<float*>(q.actions);
  Rng rng = action_rng(p.seed, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]);
  for (int a = 0; a < p.reals; ++a) {
    float& action = actions[a * q.stride + i];
    if (!learnt) {
      action = rng.uniform(p.low[a], p.high[a]);
    } else if (p.greedy) {
      action = noisy_action(action, rng, a, noise, p.half_range[a], p.low[a], p.high[a]);
    }
  }
}

RM_KERNEL void RM_ONE_BLOCK(kOneBlockThreads) twin_draw_kernel(TwinTask task) {
  const TwinState& s = *task.state;
  const TwinPart by = task.soft ? kActor : kCritics;
  draw_rows(task.replay, replay_rng(task.seed, attempt_key(s.step[by], s.skipped[by])), 0.0f,
            task.options.batch_size, task.drawn, task.scratch);
}

// Shared memory: rows are those of a part of the tile, [tile_rows] each, but of the terms, which are the whole tile's.
struct TwinTile {
  const float** rows;  // where the observations are
  float *input, *critic_input, *dx0, *dx1, *dhead, *actor_layers, *critic_layers;
  float* terms;                 // [4][kLearnRows]
  float *raw, *noise, *dvalue;  // [tile_rows][actions]
};
RM_HD int critic_row(const TwinTask& task) { return tile_row(task.unpack.elements + task.actions); }

__device__ inline TwinTile twin_tile(const TwinTask& task) {
  TwinTile t;
  float* next = shared_memory();
  const auto take = [&](int row) {
    float* const here = next;
    next += row * task.tile_rows;
    return here;
  };
  t.rows = reinterpret_cast<const float**>(take(2));
  t.input = take(tile_row(task.unpack.elements));
  t.critic_input = take(critic_row(task));
  t.dx0 = take(task.max_width);
  t.dx1 = take(task.max_width);
  t.dhead = take(task.max_width);
  t.actor_layers = take(layers_room(task.actor));
  t.critic_layers = take(layers_room(task.critic));
  t.raw = take(task.actions);
  t.noise = take(task.actions);
  t.dvalue = take(task.actions);
  t.terms = next;
  return t;
}
inline std::size_t twin_shared_floats(const TwinTask& task, int tile_rows) {
  const int row = 2 + tile_row(task.unpack.elements) + critic_row(task) + 3 * task.max_width +
                  layers_room(task.actor) + layers_room(task.critic) + 3 * task.actions;
  return static_cast<std::size_t>(row) * static_cast<std::size_t>(tile_rows) + 4 * kLearnRows;
}

// The actor over the observations in the tile's input. Ends with a barrier.
__device__ inline void actor_forward(const TwinTask& task, const float* params,
                                     const TwinTile& tile) {
  forward_layers(task.actor, params, task.activation, tile.input, tile_row(task.unpack.elements),
                 tile.actor_layers, task.tile_rows);
}
// The observations in the tile's input to that of the critics. Ends without a barrier.
__device__ inline void copy_observations(const TwinTask& task, const TwinTile& tile) {
  const int elements = task.unpack.elements;
  for (int item = threadIdx.x; item < elements * task.tile_rows; item += blockDim.x) {
    const int r = item / elements, k = item % elements;
    tile.critic_input[r * critic_row(task) + k] = tile.input[r * tile_row(elements) + k];
  }
}

// Thread r: what critic c says of row r. Ends with a barrier.
__device__ inline float critic_value(const TwinTask& task, const float* params, int c,
                                     const TwinTile& tile) {
  forward_layers(task.critic, params + c * task.critic_size, task.activation, tile.critic_input,
                 critic_row(task), tile.critic_layers, task.tile_rows);
  const float* head =
      layer_output(task.critic, task.critic.count - 1, tile.critic_layers, task.tile_rows);
  const int r = static_cast<int>(threadIdx.x);
  const float q = r < task.tile_rows ? head[r * head_width(task.critic)] : 0.0f;
  __syncthreads();
  return q;
}

__device__ inline const float* actor_head(const TwinTask& task, const TwinTile& tile, int r) {
  return layer_output(task.actor, task.actor.count - 1, tile.actor_layers, task.tile_rows) +
         r * head_width(task.actor);
}

// Thread r: an action into the critics' input from the actor's head, and its log-probability (SAC). row: of the minibatch.
__device__ inline float sample_row_of(const TwinTask& task, const TwinTile& tile, int r, int row,
                                      std::uint32_t draw) {
  const float* head = actor_head(task, tile, r);
  float *raw = tile.raw + r * task.actions, *noise = tile.noise + r * task.actions;
  float* action = tile.critic_input + r * critic_row(task) + task.unpack.elements;
  Rng rng = update_noise(task.seed, row, task.state->step[kActor], draw);
  float logp = 0.0f;
  for (int a = 0; a < task.actions; ++a) {
    noise[a] = rng.normal();
    raw[a] = squashed_raw(head[a], head[task.actions + a], noise[a]);
    add_squashed_logp<1>(raw + a, head + a, head + task.actions + a, 1, &logp);
    action[a] = math::tanh(raw[a]);
  }
  return logp;
}

// TD3's: the policy's own action, or the target policy's with noise on it.
__device__ inline void act_row_of(const TwinTask& task, const TwinTile& tile, int r) {
  const float* head = actor_head(task, tile, r);
  float* action = tile.critic_input + r * critic_row(task) + task.unpack.elements;
  for (int a = 0; a < task.actions; ++a) action[a] = math::tanh(head[a]);
}
__device__ inline void next_row_of(const TwinTask& task, const TwinTile& tile, int r, int row) {
  act_row_of(task, tile, r);
  float* action = tile.critic_input + r * critic_row(task) + task.unpack.elements;
  Rng rng = update_noise(task.seed, row, task.state->step[kCritics], 0);
  for (int a = 0; a < task.actions; ++a)
    action[a] = near_action(action[a], rng.normal(), task.target_noise, task.target_noise_clip);
}

// Thread r: the target of row r, which is drawn row `row` of the minibatch.
__device__ inline float twin_target(const TwinTask& task, const TwinTile& tile, int n, int row,
                                    std::int64_t drawn) {
  const int r = static_cast<int>(threadIdx.x);
  NStep sum;
  if (r < n) tile.rows[r] = n_step_observation(task.replay, drawn, sum);
  gather_rows(task.unpack, tile.rows, n, task.tile_rows, tile.input);
  actor_forward(task, task.soft ? task.actor_params : task.actor_target, tile);
  copy_observations(task, tile);
  float logp = 0.0f;
  if (r < n && task.soft) logp = sample_row_of(task, tile, r, row, kNextAction);
  if (r < n && !task.soft) next_row_of(task, tile, r, row);
  __syncthreads();
  const float q0 = critic_value(task, task.critic_target, 0, tile);
  const float q1 = critic_value(task, task.critic_target, 1, tile);
  float value = math::min(q0, q1);
  if (task.soft) value = value - math::exp(task.state->log_temperature) * logp;
  return sum.reward + sum.discount * value;
}

// One number of each row's head, the others 0. Ends with a barrier.
__device__ inline void fill_critic_head(const TwinTask& task, const TwinTile& tile, int n,
                                        float dq) {
  const int r = static_cast<int>(threadIdx.x), width = head_width(task.critic);
  for (int j = 0; r < n && j < width; ++j) tile.dhead[r * width + j] = j == 0 ? dq : 0.0f;
  __syncthreads();
}

RM_KERNEL void RM_ONE_BLOCK(kLearnThreads) critic_tile_kernel(TwinTask task) {
  const TwinTile tile = twin_tile(task);
  const BatchTile mine(task.options.batch_size, task.tiles);
  const int thread = static_cast<int>(threadIdx.x), r = thread;
  const std::int64_t t = blockIdx.x, size = 2 * task.critic_size;
  const float inv_n = 1.0f / static_cast<float>(task.options.batch_size);
  float* gradient = task.parts + t * size;
  for (std::int64_t i = thread; i < size; i += blockDim.x) gradient[i] = 0.0f;
  for (int part = 0; part < mine.rows; part += task.tile_rows) {
    const int left = mine.rows - part, n = left < task.tile_rows ? left : task.tile_rows;
    const int row = mine.first + part + r;
    const std::int64_t drawn = r < n ? task.drawn[row].row : 0;
    const float target = twin_target(task, tile, n, row, drawn);
    if (r < n) tile.rows[r] = task.replay.observations + drawn * task.replay.row_words;
    gather_rows(task.unpack, tile.rows, n, task.tile_rows, tile.input);
    copy_observations(task, tile);
    for (int a = 0; r < n && a < task.actions; ++a) {
      tile.critic_input[r * critic_row(task) + task.unpack.elements + a] = unit_action(
          task.replay.actions[drawn * task.actions + a], task.middle[a], task.half_range[a]);
    }
    __syncthreads();
    for (int c = 0; c < 2; ++c) {
      const float q = critic_value(task, task.critic_params, c, tile), error = q - target;
      if (r < n) {
        tile.terms[c * kLearnRows + part + r] = 0.5f * error * error;
        tile.terms[(2 + c) * kLearnRows + part + r] = 0.5f * q;
      }
      fill_critic_head(task, tile, n, inv_n * error);
      backward_layers(task.critic, task.transposed + c * task.critic_transposed, task.activation,
                      tile.critic_input, critic_row(task), tile.critic_layers, tile.dhead, tile.dx0,
                      tile.dx1, n, gradient + c * task.critic_size, task.tile_rows);
    }
  }
  // Losses, then values: critic 0's rows, then critic 1's. (The last pass ended with a barrier.)
  if (thread >= 2) return;
  double sum = 0;
  for (int c = 0; c < 2; ++c) {
    for (int k = 0; k < mine.rows; ++k)
      sum += static_cast<double>(tile.terms[(2 * thread + c) * kLearnRows + k]);
  }
  task.terms[t * kTwinTerms + thread] = sum;
}

// From d loss / d Q of critic c, whose layers hold its way forward, to what it adds to d loss / d action. Begins after and ends with
// a barrier.
__device__ inline void add_action_gradient(const TwinTask& task, const TwinTile& tile, int c, int n,
                                           float dq) {
  fill_critic_head(task, tile, n, dq);
  const float* transposed = task.transposed + c * task.critic_transposed;
  const float* dy = tile.dhead;
  int width = 0;
  for (int l = task.critic.count - 1; l >= 0; --l) {
    const LearnLayer& layer = task.critic.layers[l];
    width = pad16(layer.inputs);
    float* dx = l % 2 != 0 ? tile.dx1 : tile.dx0;
    dense_tile<kLearnBlockRows>(dy, layer.width, layer.outputs, transposed + layer.transposed,
                                nullptr, width, task.tile_rows, dx, LeaveAsIs{});
    __syncthreads();
    dy = dx;
    if (l == 0) break;
    activate_backward_tile(task.activation,
                           layer_output(task.critic, l - 1, tile.critic_layers, task.tile_rows), dx,
                           task.tile_rows * width);
    __syncthreads();
  }
  const int r = static_cast<int>(threadIdx.x);
  for (int a = 0; r < n && a < task.actions; ++a)
    tile.dvalue[r * task.actions + a] += dy[r * width + task.unpack.elements + a];
  __syncthreads();
}

// Thread r: d loss / d what the actor says of row r, from d Q / d action (SAC) or d loss / d action (TD3).
__device__ inline void actor_head_row(const TwinTask& task, const TwinTile& tile, int r,
                                      float alpha, float inv_n) {
  const int width = head_width(task.actor), actions = task.actions;
  const float* head = actor_head(task, tile, r);
  float* dhead = tile.dhead + r * width;
  for (int j = 0; j < width; ++j) dhead[j] = 0.0f;
  for (int a = 0; a < actions; ++a) {
    const float dvalue = tile.dvalue[r * actions + a];
    if (task.soft) {
      const SquashedGradient d =
          squashed_gradient(tile.raw[r * actions + a], head[actions + a],
                            tile.noise[r * actions + a], dvalue, alpha, inv_n);
      dhead[a] = d.mean;
      dhead[actions + a] = d.log_std;
    } else {
      const float unit = tile.critic_input[r * critic_row(task) + task.unpack.elements + a];
      dhead[a] = dvalue * (1.0f - unit * unit);
    }
  }
}

RM_KERNEL void RM_ONE_BLOCK(kLearnThreads) actor_tile_kernel(TwinTask task) {
  if (!task.state->due) return;
  const TwinTile tile = twin_tile(task);
  const BatchTile mine(task.options.batch_size, task.tiles);
  const int thread = static_cast<int>(threadIdx.x), r = thread;
  const std::int64_t t = blockIdx.x;
  const float inv_n = 1.0f / static_cast<float>(task.options.batch_size);
  const float alpha = math::exp(task.state->log_temperature);
  float* gradient = task.parts + t * task.actor_size;
  for (std::int64_t i = thread; i < task.actor_size; i += blockDim.x) gradient[i] = 0.0f;
  for (int part = 0; part < mine.rows; part += task.tile_rows) {
    const int left = mine.rows - part, n = left < task.tile_rows ? left : task.tile_rows;
    const int row = mine.first + part + r;
    if (r < n)
      tile.rows[r] = task.replay.observations + task.drawn[row].row * task.replay.row_words;
    gather_rows(task.unpack, tile.rows, n, task.tile_rows, tile.input);
    actor_forward(task, task.actor_params, tile);
    copy_observations(task, tile);
    float logp = 0.0f;
    if (r < n && task.soft) logp = sample_row_of(task, tile, r, row, kPresentAction);
    if (r < n && !task.soft) act_row_of(task, tile, r);
    for (int a = 0; r < n && a < task.actions; ++a) tile.dvalue[r * task.actions + a] = 0.0f;
    __syncthreads();
    float q = critic_value(task, task.critic_params, 0, tile);
    if (task.soft) {
      const float q1 = critic_value(task, task.critic_params, 1, tile);
      const bool second = q1 < q;
      // Of two numbers it is the same sum in either order: the critic that spoke last first.
      add_action_gradient(task, tile, 1, n, second ? 1.0f : 0.0f);
      critic_value(task, task.critic_params, 0, tile);
      add_action_gradient(task, tile, 0, n, second ? 0.0f : 1.0f);
      q = second ? q1 : q;
    } else {
      add_action_gradient(task, tile, 0, n, -inv_n);
    }
    if (r < n) {
      tile.terms[part + r] = task.soft ? alpha * logp - q : q;
      tile.terms[kLearnRows + part + r] = logp;
      actor_head_row(task, tile, r, alpha, inv_n);
    }
    __syncthreads();
    backward_layers(task.actor, task.transposed + 2 * task.critic_transposed, task.activation,
                    tile.input, tile_row(task.unpack.elements), tile.actor_layers, tile.dhead,
                    tile.dx0, tile.dx1, n, gradient, task.tile_rows);
  }
  if (thread >= 2) return;
  double sum = 0;
  for (int k = 0; k < mine.rows; ++k)
    sum += static_cast<double>(tile.terms[thread * kLearnRows + k]);
  task.terms[t * kTwinTerms + 2 + thread] = sum;
}

// Whether an optimiser goes on with a number that must be finite, as may_step says; it counts.
__device__ inline bool goes_on(TwinState& s, TwinPart part, double number) {
  if (number - number == 0.0) {
    s.skipped[part] = 0;
    ++s.step[part];
    return true;
  }
  if (++s.skipped[part] > s.longest[part]) s.longest[part] = s.skipped[part];
  return false;
}
__device__ inline AdamStep twin_adam(const TwinTask& task, TwinPart part, float scale) {
  const OffPolicyOptions& o = task.options;
  return adam_step(o.adam_beta1, o.adam_beta2, o.adam_epsilon,
                   learning_rate_at(o, task.replay.env_steps(), task.total_steps),
                   task.state->step[part], scale);
}
__device__ inline double term_of(const TwinTask& task, int k, double sum) {
  for (int t = 0; t < task.tiles; ++t)
    sum += task.terms[t * kTwinTerms + k] / task.options.batch_size;
  return sum;
}

RM_KERNEL void RM_ONE_BLOCK(kOneBlockThreads) critic_plan_kernel(TwinTask task) {
  const double norm = gradient_norm(task.gradient, 2 * task.critic_size);
  if (threadIdx.x != 0) return;
  TwinState& s = *task.state;
  s.goes[kCritics] = goes_on(s, kCritics, norm);
  if (s.goes[kCritics])
    s.adam[kCritics] = twin_adam(task, kCritics, clip_scale(task.options.max_grad_norm, norm));
  s.due = true;
  if (task.soft) return;
  s.due = s.goes[kCritics] && s.step[kCritics] % task.policy_every == 0;
  if (!s.goes[kCritics]) {
    ++s.all_skipped;
    return;
  }
  ++s.updates;
  s.critic_loss = term_of(task, 0, s.critic_loss);
  s.value = term_of(task, 1, s.value);
}

RM_KERNEL void critic_step_kernel(TwinTask task, float* params, float* first, float* second) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const TwinState& s = *task.state;
  if (i >= 2 * task.critic_size || !s.goes[kCritics]) return;
  adam_element(s.adam[kCritics], task.gradient[i], params[i], first[i], second[i]);
}

__device__ inline void learn_temperature(const TwinTask& task, double logp) {
  TwinState& s = *task.state;
  if (!goes_on(s, kTemperature, logp)) return;
  adam_element(twin_adam(task, kTemperature, 1.0f), temperature_gradient(logp, task.target_entropy),
               s.log_temperature, s.temperature_first, s.temperature_second);
}

RM_KERNEL void RM_ONE_BLOCK(kOneBlockThreads) actor_plan_kernel(TwinTask task) {
  TwinState& s = *task.state;
  const bool due = s.due;
  const double norm = due ? gradient_norm(task.gradient, task.actor_size) : 0.0;
  if (threadIdx.x != 0) return;
  s.goes[kActor] = due && goes_on(s, kActor, norm);
  if (due && (!s.goes[kActor] || (task.soft && !s.goes[kCritics]))) ++s.all_skipped;
  if (!s.goes[kActor]) return;
  s.adam[kActor] = twin_adam(task, kActor, clip_scale(task.options.max_grad_norm, norm));
  s.actor_loss = term_of(task, 2, s.actor_loss);
  ++s.policy_updates;
  if (!task.soft) return;
  ++s.updates;
  s.critic_loss = term_of(task, 0, s.critic_loss);
  s.value = term_of(task, 1, s.value);
  const double logp = term_of(task, 3, 0.0);
  s.logp -= logp;
  if (task.automatic_temperature) learn_temperature(task, logp);
}

// Adam's step of the actor; its target (TD3's) and the critics' follow.
RM_KERNEL void actor_step_kernel(TwinTask task, float* params, float* first, float* second,
                                 float* actor_target, float* critic_target) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const TwinState& s = *task.state;
  if (!s.goes[kActor]) return;
  const float tau = task.options.tau;
  if (i < task.actor_size) {
    adam_element(s.adam[kActor], task.gradient[i], params[i], first[i], second[i]);
    if (!task.soft) actor_target[i] = tracked(params[i], tau, actor_target[i]);
  }
  if (i < 2 * task.critic_size)
    critic_target[i] = tracked(task.critic_params[i], tau, critic_target[i]);
}

RM_KERNEL void begin_twin_report_kernel(TwinState* s) {
  s->critic_loss = s->value = s->actor_loss = s->logp = 0;
  s->updates = s->policy_updates = s->all_skipped = 0;
  for (int k = 0; k < kTwinParts; ++k) s->longest[k] = s->skipped[k];
}

}  // namespace rollmill
