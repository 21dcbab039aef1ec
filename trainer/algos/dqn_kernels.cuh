// Deep Q-learning on a GPU, with the CPU's bits (trainer/algos/dqn.cc): the same minibatches, tiles of rows and orders of sums, and the
// same text for everything that is done to one row (trainer/algos/dqn_rows.h, trainer/replay/replay_rows.h).
//
//   dqn_act_kernel       the greedy action, or any allowed one: a block has a tile of environments
//   (the environments' step, store_kernel, advance_kernel: trainer/replay/replay_kernels.cuh)
//   draw_kernel          one block: the minibatch
//   transpose_kernel     the weights that the backward pass reads
//   dqn_tile_kernel      a block has one tile of the minibatch: targets, loss, backward, a gradient of its own
//   add_tiles_kernel     tile 0 + tile 1 + ...
//   dqn_plan_kernel      one block: the gradient's norm, what is reported, and whether and how far Adam goes
//   priorities_kernel    one block: of the rows drawn
//   dqn_step_kernel      Adam's step, and the target network behind it
//
// Nothing of a turn depends on the host: counters, exploration and learning rates follow from DqnState.
#pragma once

#include <cmath>
#include <cstddef>

#include "rollout/mlp/policy_tile.cuh"
#include "trainer/algos/dqn_rows.h"
#include "trainer/fused/adam.h"
#include "trainer/fused/layer_kernels.cuh"
#include "trainer/optimizer_state.h"
#include "trainer/replay/minibatch_kernels.cuh"
#include "trainer/replay/replay_kernels.cuh"

namespace rollmill {

inline constexpr int kDqnTerms = 3;  // of a row: loss, value, error

struct DqnState {
  std::int64_t step, skipped;  // of the optimiser, as OptimizerState
  // Of a report.
  double terms[kDqnTerms], norm;
  std::int64_t updates, all_skipped, longest;  // longest: steps skipped in a row, at most
  // Of the latest update.
  AdamStep adam;
  bool goes, tracks;
};

struct DqnTask {
  DqnOptions options;
  std::int64_t total_steps;
  std::uint64_t seed;
  LearnNet actor, critic;  // the critic: where it is a network of its own that is used
  UnpackRule unpack;
  Activation activation;
  bool shared;  // the value is the last output of the actor
  int actions, max_width;
  int tile_rows;  // of a part of a tile
  DeviceReplay replay;
  const float *params, *target, *transposed;
  ReplayDraw* drawn;  // [batch]
  float* errors;      // [batch]
  double* scratch;    // [batch]
  float* parts;       // [tiles][parameters]
  double* terms;      // [tiles][kDqnTerms]
  float* gradient;    // [parameters]
  int tiles;
  std::int64_t parameters;
  DqnState* state;
};
static_assert(sizeof(DqnTask) <= 3072, "kernel arguments take 4 KB at most");

RM_KERNEL void dqn_act_kernel(RM_GRID_CONSTANT DevicePolicy p, ActRequest q, DqnOptions o,
                              DeviceReplay replay) {
  const BlockTile tile(p, q.begin, q.end);
  act_tile<false>(p, q, tile.begin, tile.rows, shared_memory());
  const auto r = static_cast<int>(threadIdx.x);  // whose thread wrote the row's action
  if (r >= tile.rows) return;
  const std::int64_t i = tile.begin + r;
  const auto epsilon = static_cast<float>(epsilon_at(o, replay.env_steps()));
  explore(q, i, action_rng(p.seed, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]),
          epsilon, p.choices[0]);
}

RM_KERNEL void RM_ONE_BLOCK(kOneBlockThreads) draw_kernel(DqnTask task) {
  const DqnState& s = *task.state;
  draw_rows(task.replay, replay_rng(task.seed, attempt_key(s.step, s.skipped)),
            beta_at(task.options, task.replay.env_steps(), task.total_steps),
            task.options.replay.batch_size, task.drawn, task.scratch);
}

// Shared memory of dqn_tile_kernel: rows are those of a part of the tile, [tile_rows] each, but of the terms, which are the whole
// tile's.
struct DqnTile {
  const float** rows;  // where the observations are
  float *input, *dx0, *dx1, *dhead;
  float* layers;  // of one network after the other
  float* terms;   // [kDqnTerms][kLearnRows]
};
RM_HD int dqn_layers_room(const DqnTask& task) {
  const int actor = layers_room(task.actor), critic = layers_room(task.critic);
  return actor > critic ? actor : critic;
}
inline std::size_t dqn_shared_floats(const DqnTask& task, int tile_rows) {
  const int row = 2 + tile_row(task.unpack.elements) + 2 * task.max_width + head_width(task.actor) +
                  dqn_layers_room(task);
  return static_cast<std::size_t>(row) * static_cast<std::size_t>(tile_rows) +
         kDqnTerms * kLearnRows;
}

__device__ inline DqnTile dqn_tile(const DqnTask& task) {
  DqnTile t;
  float* next = shared_memory();
  const auto take = [&](int row) {
    float* const here = next;
    next += row * task.tile_rows;
    return here;
  };
  t.rows = reinterpret_cast<const float**>(take(2));
  t.input = take(tile_row(task.unpack.elements));
  t.dx0 = take(task.max_width);
  t.dx1 = take(task.max_width);
  t.dhead = take(head_width(task.actor));
  t.layers = take(dqn_layers_room(task));
  t.terms = next;
  return t;
}

__device__ inline void forward_tile_of(const DqnTask& task, const LearnNet& net,
                                       const float* params, const DqnTile& tile) {
  forward_layers(net, params, task.activation, tile.input, tile_row(task.unpack.elements),
                 tile.layers, task.tile_rows);
}
__device__ inline float* head_row(const DqnTask& task, const LearnNet& net, const DqnTile& tile,
                                  int r) {
  return layer_output(net, net.count - 1, tile.layers, task.tile_rows) + r * head_width(net);
}

// The values of the tile's actions: thread r gets those of row r, [actions]; they lie where the actor's head does. Between two calls
// there must be a barrier.
__device__ inline float* values_of_tile(const DqnTask& task, const float* params,
                                        const DqnTile& tile, int rows) {
  const int r = static_cast<int>(threadIdx.x);
  const bool separate = task.critic.count > 0;
  float value = 0.0f;
  if (separate) {
    forward_tile_of(task, task.critic, params, tile);
    if (r < rows) value = head_row(task, task.critic, tile, r)[0];
    __syncthreads();  // the actor writes over the critic
  }
  forward_tile_of(task, task.actor, params, tile);
  if (r >= rows) return nullptr;
  float* q = head_row(task, task.actor, tile, r);
  if (task.options.duelling)
    add_state_value<1>(q, task.actions, task.shared ? q[task.actions] : value);
  return q;
}

// The best allowed action by q. row: an observation with its mask.
__device__ inline std::int32_t best_action(const DqnTask& task, float* q, const float* row) {
  const DeviceReplay& replay = task.replay;
  if (replay.mask_words > 0) {
    const Word* mask = reinterpret_cast<const Word*>(row) + replay.row_words - replay.mask_words;
    exclude_masked<1>(q, mask, 0, task.actions, 1);
  }
  std::int32_t action;
  argmax_categorical<1>(q, task.actions, 1, &action);
  return action;
}

// Thread r: the target of row r, n-step reward + discount * the value of the best next action that is allowed.
__device__ inline float target_of_row(const DqnTask& task, const DqnTile& tile, int rows,
                                      std::int64_t row) {
  const int r = static_cast<int>(threadIdx.x);
  NStep sum;
  if (r < rows) tile.rows[r] = n_step_observation(task.replay, row, sum);
  gather_rows(task.unpack, tile.rows, rows, task.tile_rows, tile.input);
  std::int32_t action = 0;
  if (task.options.double_q) {
    float* q = values_of_tile(task, task.params, tile, rows);
    if (r < rows) action = best_action(task, q, tile.rows[r]);
    __syncthreads();
  }
  float* q = values_of_tile(task, task.target, tile, rows);
  float target = sum.reward;
  if (r < rows) {
    if (!task.options.double_q) action = best_action(task, q, tile.rows[r]);
    target += sum.discount * q[action];
  }
  __syncthreads();
  return target;
}

__device__ inline void backward_tile_of(const DqnTask& task, const LearnNet& net,
                                        const DqnTile& tile, int rows, float* gradient) {
  backward_layers(net, task.transposed, task.activation, tile.input, tile_row(task.unpack.elements),
                  tile.layers, tile.dhead, tile.dx0, tile.dx1, rows, gradient, task.tile_rows);
}

RM_KERNEL void RM_ONE_BLOCK(kLearnThreads) dqn_tile_kernel(DqnTask task) {
  const DqnTile tile = dqn_tile(task);
  const DqnOptions& o = task.options;
  const BatchTile mine(o.replay.batch_size, task.tiles);
  const std::int64_t t = blockIdx.x;
  const int thread = static_cast<int>(threadIdx.x), r = thread;
  const float inv_n = 1.0f / static_cast<float>(o.replay.batch_size);
  float* gradient = task.parts + t * task.parameters;
  for (std::int64_t i = thread; i < task.parameters; i += blockDim.x) gradient[i] = 0.0f;
  for (int part = 0; part < mine.rows; part += task.tile_rows) {
    const int left = mine.rows - part, rows = left < task.tile_rows ? left : task.tile_rows;
    const int k = mine.first + part + r;  // thread r's row of the minibatch
    ReplayDraw drawn;
    if (r < rows) drawn = task.drawn[k];
    const float target = target_of_row(task, tile, rows, drawn.row);
    if (r < rows) tile.rows[r] = task.replay.observations + drawn.row * task.replay.row_words;
    gather_rows(task.unpack, tile.rows, rows, task.tile_rows, tile.input);
    const float* q = values_of_tile(task, task.params, tile, rows);
    float derivative = 0.0f;
    if (r < rows) {
      const std::int32_t action = task.replay.actions[drawn.row];
      const DqnLoss loss = dqn_loss(q[action], target, drawn.weight, o.huber, inv_n);
      derivative = loss.derivative;
      task.errors[k] = loss.error;
      const float terms[kDqnTerms] = {loss.loss, q[action], loss.error};
      for (int n = 0; n < kDqnTerms; ++n) tile.terms[n * kLearnRows + part + r] = terms[n];
      const int width = head_width(task.actor);
      float* dhead = tile.dhead + r * width;
      for (int j = 0; j < width; ++j) dhead[j] = 0.0f;
      dqn_head_row(derivative, action, task.actions, o.duelling, task.shared, dhead);
    }
    __syncthreads();
    backward_tile_of(task, task.actor, tile, rows, gradient);
    if (task.critic.count == 0) continue;
    // What the critic's layers said was written over by the actor's; it is said again.
    forward_tile_of(task, task.critic, task.params, tile);
    const int width = head_width(task.critic);
    for (int j = 0; r < rows && j < width; ++j)
      tile.dhead[r * width + j] = j == 0 ? derivative : 0.0f;
    __syncthreads();
    backward_tile_of(task, task.critic, tile, rows, gradient);
  }
  if (thread >= kDqnTerms) return;
  double sum = 0;
  for (int k = 0; k < mine.rows; ++k)
    sum += static_cast<double>(tile.terms[thread * kLearnRows + k]);
  task.terms[t * kDqnTerms + thread] = sum;
}

RM_KERNEL void RM_ONE_BLOCK(kOneBlockThreads) dqn_plan_kernel(DqnTask task) {
  const double norm = gradient_norm(task.gradient, task.parameters);
  if (threadIdx.x != 0) return;
  DqnState& s = *task.state;
  const OffPolicyOptions& o = task.options.replay;
  s.goes = norm - norm == 0.0;  // finite
  if (!s.goes) {
    ++s.all_skipped;
    ++s.skipped;
    if (s.skipped > s.longest) s.longest = s.skipped;
    return;
  }
  s.skipped = 0;
  ++s.step;
  ++s.updates;
  s.norm += norm;
  for (int t = 0; t < task.tiles; ++t) {
    for (int k = 0; k < kDqnTerms; ++k) s.terms[k] += task.terms[t * kDqnTerms + k] / o.batch_size;
  }
  s.adam = adam_step(o.adam_beta1, o.adam_beta2, o.adam_epsilon,
                     learning_rate_at(o, task.replay.env_steps(), task.total_steps), s.step,
                     clip_scale(o.max_grad_norm, norm));
  s.tracks = s.step % task.options.target_every == 0;
}

RM_KERNEL void RM_ONE_BLOCK(kOneBlockThreads) priorities_kernel(DqnTask task) {
  if (!task.state->goes) return;  // errors that are not finite must not become priorities
  set_priorities(task.replay, task.drawn, task.errors, task.options.replay.batch_size,
                 task.scratch);
}

RM_KERNEL void dqn_step_kernel(DqnTask task, float* params, float* first, float* second,
                               float* target) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const DqnState& s = *task.state;
  if (i >= task.parameters || !s.goes) return;
  adam_element(s.adam, task.gradient[i], params[i], first[i], second[i]);
  if (s.tracks) target[i] = tracked(params[i], task.options.replay.tau, target[i]);
}

RM_KERNEL void begin_report_kernel(DqnState* state) {
  state->norm = 0;
  for (int k = 0; k < kDqnTerms; ++k) state->terms[k] = 0;
  state->updates = state->all_skipped = 0;
  state->longest = state->skipped;
}

}  // namespace rollmill
