// A replay buffer in a GPU's memory: the rows of trainer/replay/replay_buffer.h in the same places and with the same numbers, and so
// the same draws. What is done to a row is trainer/replay/replay_rows.h's text.
//
//   first_rows_kernel   what the environments show before their first step
//   store_kernel        a step of all environments: a thread has one of them
//   advance_kernel      one block: the priorities of the rows that came and went, then the time
//
// Drawing and new priorities are parts of one block's work (draw_rows, set_priorities). Two things are kept otherwise than on the CPU:
// each row has room for the last observation of an episode that was cut off there, where the CPU searches in a list of those; and
// nodes of the priority tree are recomputed level by level, which gives the same tree, a function of its leaves.
#pragma once

#include <cstdint>

#include "core/device/kernel.cuh"
#include "trainer/replay/replay_rows.h"

namespace rollmill {

inline constexpr int kOneBlockThreads = 512;  // of kernels of one block
inline constexpr int kActThreads = 256;       // of kernels that act

// What changes, in device memory: a captured graph reads it there.
struct ReplayState {
  std::int64_t time;    // of the newest observation
  std::int64_t logged;  // steps in the log of episodes
  double top_priority;  // what a new transition starts with: the largest so far
};

struct DeviceReplay {
  ReplayRing ring;
  int row_words, mask_words, action_words;
  float priority_alpha, priority_epsilon;
  float* observations;    // [rows][row_words] with their masks
  float* finals;          // [rows][row_words] where an episode was cut off
  std::int32_t* actions;  // [rows][action_words] choices, or the bits of real numbers
  float* rewards;         // [rows]
  std::uint8_t* ends;     // [rows]
  double* nodes;          // [2 * base] of the tree, null: uniform replay
  std::int64_t base;
  ReplayState* state;

  // Of the run, which a buffer is as old as.
  RM_HD std::int64_t env_steps() const { return state->time * ring.num_envs; }
};

// What the environments show now and what they did last: columns as in envs/batch.h.
struct StepColumns {
  std::int64_t stride;
  float* observations;
  Word* masks;
  std::int32_t* actions;
  float* rewards;
  std::uint8_t* ends;
  float* final_observations;
  Word* final_masks;
  std::uint8_t* outcomes;
  float* returns;
  std::int32_t* lengths;
  std::uint32_t* levels;
};

// How episodes ended lately, [steps][environments]: until the host asks.
struct EpisodeLog {
  float* returns;
  std::int32_t* lengths;
  std::uint32_t* levels;
  std::uint8_t *ends, *outcomes;
};

__device__ inline void store_row(const DeviceReplay& r, const float* columns, const Word* masks,
                                 std::int64_t stride, std::int64_t i, float* row) {
  const Word* words = reinterpret_cast<const Word*>(columns) + i;
  auto* to = reinterpret_cast<Word*>(row);
  const int observed = r.row_words - r.mask_words;
  for (int k = 0; k < observed; ++k) to[k] = words[k * stride];
  for (int k = 0; k < r.mask_words; ++k) to[observed + k] = masks[k * stride + i];
}

RM_KERNEL void first_rows_kernel(StepColumns step, DeviceReplay r) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= r.ring.num_envs) return;
  store_row(r, step.observations, step.masks, step.stride, i,
            r.observations + r.ring.row_of(0, i) * r.row_words);
}

RM_KERNEL void store_kernel(StepColumns step, DeviceReplay r, EpisodeLog log) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= r.ring.num_envs) return;
  const std::int64_t time = r.state->time, row = r.ring.row_of(time, i);
  const std::uint8_t end = step.ends[i];
  for (int k = 0; k < r.action_words; ++k)
    r.actions[row * r.action_words + k] = step.actions[k * step.stride + i];
  r.rewards[row] = step.rewards[i];
  r.ends[row] = end;
  if (end == kTruncated) {
    store_row(r, step.final_observations, step.final_masks, step.stride, i,
              r.finals + row * r.row_words);
  }
  store_row(r, step.observations, step.masks, step.stride, i,
            r.observations + r.ring.row_of(time + 1, i) * r.row_words);
  const std::int64_t at = r.state->logged * r.ring.num_envs + i;
  log.ends[at] = end;
  if (end == kRunning) return;
  log.returns[at] = step.returns[i];
  log.lengths[at] = step.lengths[i];
  log.levels[at] = step.levels[i];
  log.outcomes[at] = step.outcomes[i];
}

// The observation that a row's n steps end with, and what they add up to.
__device__ inline const float* n_step_observation(const DeviceReplay& r, std::int64_t row,
                                                  NStep& sum) {
  const NStepEnd end = add_n_steps(r.ring, r.rewards, r.ends, r.state->time, row);
  sum = end.sum;
  return (end.from == Bootstrap::kFinal ? r.finals : r.observations) + end.row * r.row_words;
}

// One block: leaves [first, first + count) become `priority`; then the nodes above them, level by level.
__device__ inline void set_leaves(const DeviceReplay& r, std::int64_t first, std::int64_t count,
                                  double priority) {
  std::int64_t low = r.base + first, high = low + count - 1;
  for (std::int64_t node = low + threadIdx.x; node <= high; node += blockDim.x)
    r.nodes[node] = priority;
  __syncthreads();
  while (low > 1) {
    low /= 2;
    high /= 2;
    for (std::int64_t node = low + threadIdx.x; node <= high; node += blockDim.x)
      r.nodes[node] = r.nodes[2 * node] + r.nodes[2 * node + 1];
    __syncthreads();
  }
}

RM_KERNEL void RM_ONE_BLOCK(kOneBlockThreads) advance_kernel(DeviceReplay r) {
  const std::int64_t time = r.state->time + 1, complete = time - r.ring.n_step;
  if (r.nodes != nullptr) {
    const double top = r.state->top_priority;
    // Rows of the slot that the newest observation took can be drawn no more; others are complete now.
    if (time >= r.ring.slots) set_leaves(r, r.ring.row_of(time, 0), r.ring.num_envs, 0.0);
    if (complete >= 0) set_leaves(r, r.ring.row_of(complete, 0), r.ring.num_envs, top);
  }
  __syncthreads();  // all have read the time
  if (threadIdx.x != 0) return;
  r.state->time = time;
  ++r.state->logged;
}

// One block: as ReplayBuffer::draw. Thread 0 makes the random numbers, a stream in which one may be thrown away; all look up what they
// stand for. scratch [count]. Ends with a barrier.
__device__ inline void draw_rows(const DeviceReplay& r, Rng rng, float beta, int count,
                                 ReplayDraw* out, double* scratch) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const std::int64_t time = r.state->time, n = r.ring.size(time), first = r.ring.oldest(time);
  const bool uniform = r.nodes == nullptr;
  for (int k = 0; thread == 0 && k < count; ++k) {
    if (uniform) {
      out[k].row = rng.integer(static_cast<std::uint32_t>(n));
    } else {
      scratch[k] = wide_uniform(rng);
    }
  }
  __syncthreads();
  if (uniform) {
    for (int k = thread; k < count; k += threads) {
      const std::int64_t index = out[k].row;
      out[k] = {r.ring.row_of(first + index / r.ring.num_envs, index % r.ring.num_envs), 1.0f};
    }
    __syncthreads();
    return;
  }
  const double total = r.nodes[1], part = total / count;
  for (int k = thread; k < count; k += threads) {
    const std::int64_t row = find_leaf(r.nodes, r.base, (k + scratch[k]) * part);
    const double share = r.nodes[r.base + row] / total;
    out[k] = {row, draw_weight(n, share, beta)};
  }
  __syncthreads();
  if (thread == 0) {
    float largest = 0;
    for (int k = 0; k < count; ++k) largest = largest < out[k].weight ? out[k].weight : largest;
    scratch[0] = static_cast<double>(largest);
  }
  __syncthreads();
  const auto largest = static_cast<float>(scratch[0]);
  for (int k = thread; k < count; k += threads) out[k].weight /= largest;
  __syncthreads();
}

// One block: as ReplayBuffer::set_errors. Thread 0 sets the leaves in their order, the last of a row counts. Rows are drawn in
// ascending order, each from its part of the sum: of those with a node in common the first writes it. scratch [count].
__device__ inline void set_priorities(const DeviceReplay& r, const ReplayDraw* drawn,
                                      const float* errors, int count, double* scratch) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  for (int k = thread; k < count; k += threads)
    scratch[k] = priority_of(errors[k], r.priority_epsilon, r.priority_alpha);
  __syncthreads();
  if (thread == 0) {
    double top = r.state->top_priority;
    for (int k = 0; k < count; ++k) {
      r.nodes[r.base + drawn[k].row] = scratch[k];
      top = top < scratch[k] ? scratch[k] : top;
    }
    r.state->top_priority = top;
  }
  __syncthreads();
  for (int level = 1; r.base >> level > 0; ++level) {
    for (int k = thread; k < count; k += threads) {
      const std::int64_t node = (r.base + drawn[k].row) >> level;
      if (k > 0 && (r.base + drawn[k - 1].row) >> level == node) continue;
      r.nodes[node] = r.nodes[2 * node] + r.nodes[2 * node + 1];
    }
    __syncthreads();
  }
}

}  // namespace rollmill
