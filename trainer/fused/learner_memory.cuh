// The learner's part for policies with a memory: a block takes tiles of kSequenceRows sequences of a shard through time and back,
// as Shard::sequences_gradient (trainer/fused/shard.cc) does. Dense layers in float32 and observations without convolutions are here;
// products of bfloat16 numbers in learner_memory_bf16.cuh, convolutions in learner_memory_conv.cuh.
//
//   forward, step by step   place, gather -> a -> b -> ... -> gates -> state
//   backward, last to first   the head from the state, loss -> head -> gates, state -> hidden layers
//
// In shared memory is what one step needs (SequenceTile). What backward needs of all steps does not fit there and lies in global
// memory, a region for each block (KeptStep): results of the hidden layers and, of the memory, its state before and after and its
// gates. Inputs are gathered again, heads are computed where their loss is. Blocks go through several shards each, so that there
// are no more regions than blocks that run at a time; each shard has a gradient of its own, and which block computes it changes
// nothing.
//
// The critic goes after the actor, each through the whole tile: the CPU takes both through a step together, but they share no
// parameter and no sum but the value's, to which an actor of its own adds zeros.
//
// Within a step every array is written between two barriers and read after the second; threads whose rows hold no sequence
// compute along, on a state of zeros, and nothing reads what they write. Barriers stand in no branch that threads of a block take
// differently: steps, rows and layers are the same for all of them.
#pragma once

#include "trainer/fused/memory_elements.h"
#include "trainer/fused/sequence_tile.cuh"

namespace rollmill {

// Step j of the sequences `units`: where its rows lie. Those beyond `rows` begin an episode. Its barrier parts the steps, forward
// and backward: what it writes itself was last read before an earlier one.
__device__ inline void place_rows(const RolloutBuffer& b, const std::uint32_t* units, int rows,
                                  int j, const SequenceTile& t) {
  const int r = static_cast<int>(threadIdx.x);
  if (r < kSequenceRows) {
    SequenceStep at{0, 0, StateFrom::kNothing};
    if (r < rows) at = sequence_step(b, units[r], j);
    t.sample[r] = static_cast<std::uint32_t>(at.time * b.num_envs + at.environment);
    t.from[r] = static_cast<int>(at.from);
    t.begins[r] = r >= rows || starts_episode(b, at.time, at.environment) ? 1 : 0;
  }
  __syncthreads();
}

// The state that the step in hand starts from; `offset`: of the network's columns among those that the rollout keeps. Ends without
// a barrier.
__device__ inline void begin_state(const RolloutBuffer& b, const MemoryLayer& m, int offset,
                                   const std::uint32_t* units, const SequenceTile& t) {
  const auto n = static_cast<std::uint32_t>(b.num_envs);
  for (int item = threadIdx.x; item < m.width * kSequenceRows; item += blockDim.x) {
    const int r = item / m.width, c = item % m.width;
    const auto from = static_cast<StateFrom>(t.from[r]);
    if (from == StateFrom::kBefore) continue;
    float x = 0.0f;  // of padding, too
    if (from == StateFrom::kRollout && c < m.size) {
      const float* kept = b.memory_slot(static_cast<int>(units[r] / n));
      x = kept[(offset + c) * b.stride + units[r] % n];
    }
    t.state[item] = x;
  }
}

// One step through the memory; x: what it reads, x_row apart. kept: null in burn-in. Ends without a barrier.
__device__ inline void remember_step(const LearnTask& task, const LearnNet& net, const float* x,
                                     int x_row, const SequenceTile& t, const KeptStep* kept) {
  const MemoryLayer& m = net.memory;
  const int w = m.width, width = m.gates() * w;
  const float* params = task.policy.params;
  const bool gru = m.kind == MemoryKind::kGru;
  dense_tile<kSequenceBlockRows>(x, x_row, m.inputs, params + m.input_weight, params + m.input_bias,
                                 width, kSequenceRows, t.gates, LeaveAsIs{});
  if (gru) {
    dense_tile<kSequenceBlockRows>(t.state, w, m.size, params + m.recurrent_weight,
                                   params + m.recurrent_bias, width, kSequenceRows, t.recurrent,
                                   LeaveAsIs{});
  }
  __syncthreads();
  for (int item = threadIdx.x; item < w * kSequenceRows; item += blockDim.x) {
    const int at = item / w * width + item % w;
    float* g = t.gates + at;
    const float h = t.state[item];
    float next = 0.0f;
    if (gru) {
      const float* u = t.recurrent + at;
      next = gru_next(g[0], g[w], g[2 * w], u[0], u[w], u[2 * w], h);
    } else {
      next = min_gru_next(g[0], g[w], h);
    }
    t.state[item] = next;
    if (kept == nullptr) continue;
    kept->before[item] = h;
    kept->after[item] = next;
    for (int k = 0; k < m.gates(); ++k) kept->gates[at + k * w] = g[k * w];
    if (gru) kept->un[item] = t.recurrent[at + 2 * w];
  }
}

// The dense layers of a step.
struct SequenceLayers {
  // What the first layer reads of a convolution's results.
  static __device__ LayerInput read(const float* x, int width, const SequenceTile&) {
    return {x, width};
  }

  // Hidden layer l's results, by product(to), to `out`; kept: where its numbers stay, null in burn-in. Ends with a barrier; returns
  // what is read next.
  template <class Product>
  static __device__ LayerInput keep(const LearnNet& net, int l, float* out, float* kept,
                                    Product&& product) {
    product(out);
    __syncthreads();
    const int width = net.layers[l].width, n = width * kSequenceRows;
    for (int i = threadIdx.x; kept != nullptr && i < n; i += blockDim.x) kept[i] = out[i];
    return {out, width};
  }

  // The same from x.
  static __device__ LayerInput hidden(const LearnTask& task, const LearnNet& net, int l,
                                      LayerInput x, float* out, float* kept) {
    const LearnLayer& layer = net.layers[l];
    return keep(net, l, out, kept, [&](float* y) {
      dense_tile<kSequenceBlockRows>(x.x, x.row, layer.inputs, task.policy.params + layer.weight,
                                     task.policy.params + layer.bias, layer.width, kSequenceRows, y,
                                     Activate{task.policy.activation});
    });
  }

  // The head's results from the state, into t.a. Ends with a barrier.
  static __device__ void head(const LearnTask& task, const LearnNet& net, const KeptStep& kept,
                              const SequenceTile& t, int) {
    const LearnLayer& head = net.layers[net.count - 1];
    dense_tile<kSequenceBlockRows>(kept.after, net.memory.width, head.inputs,
                                   task.policy.params + head.weight, task.policy.params + head.bias,
                                   head.width, kSequenceRows, t.a, LeaveAsIs{});
    __syncthreads();
  }

  // From dhead to d loss / d the state, into t.b. Ends with a barrier.
  static __device__ void head_backward(const LearnTask& task, const LearnNet& net,
                                       const KeptStep& kept, int rows, const SequenceTile& t,
                                       float* gradient) {
    const LearnLayer& head = net.layers[net.count - 1];
    const int w = net.memory.width;
    weight_grad_tile(kept.after, w, head.inputs, t.heads.dhead, head.width, rows,
                     gradient + head.weight, gradient + head.bias);
    dense_tile<kSequenceBlockRows>(t.heads.dhead, head.width, head.outputs,
                                   task.transposed + head.transposed, nullptr, w, kSequenceRows,
                                   t.b, LeaveAsIs{});
    __syncthreads();
  }

  // From d loss / d hidden layer l's results to its sums, in place. Ends without a barrier.
  static __device__ void activate_backward(const LearnTask& task, const LearnNet& net, int l,
                                           const KeptStep& kept, int, float* d,
                                           const SequenceTile&) {
    activate_backward_tile(task.policy.activation, kept_layer(net, kept, l), d,
                           kSequenceRows * net.layers[l].width);
  }

  // From d loss / d hidden layer l's sums to what it reads. Ends without a barrier.
  static __device__ void hidden_backward(const LearnTask& task, const LearnNet& net, int l,
                                         const KeptStep& kept, int rows, const float* dy, float* dx,
                                         const SequenceTile&, float* gradient) {
    const LearnLayer& layer = net.layers[l];
    const LayerInput x = kept_input(net, kept, l);
    weight_grad_tile(x.x, x.row, layer.inputs, dy, layer.width, rows, gradient + layer.weight,
                     gradient + layer.bias);
    dense_tile<kSequenceBlockRows>(dy, layer.width, layer.outputs,
                                   task.transposed + layer.transposed, nullptr, x.row,
                                   kSequenceRows, dx, LeaveAsIs{});
  }
};

// What comes before the dense layers: observations as they are.
struct ObservationFront {
  static constexpr int kFirst = 0;  // the dense layer that comes next
  __device__ ObservationFront(const LearnTask&, SequenceTile&) {}

  // From the observations of the rows that are placed to what layer kFirst reads. keep: not in burn-in. Ends with a barrier.
  __device__ LayerInput forward(const LearnTask& task, const LearnNet&, int rows, const KeptStep&,
                                bool, const SequenceTile& t) const {
    read_again(task, rows, t);
    return {t.input, tile_row(task.policy.observations)};
  }

  // Before step j's rows are placed to go backward.
  __device__ void begin_backward(const LearnTask&, const std::uint32_t*, int, int,
                                 const SequenceTile&) const {}
  // After that: what `backward` reads. Ends with a barrier.
  __device__ void read_again(const LearnTask& task, int rows, const SequenceTile& t) const {
    gather_samples(task.policy, task.buffer, t.sample, rows, kSequenceRows, t.input);
  }

  // From dy, d loss / d the first dense layer's sums, to the observations. Ends without a barrier; the next step begins with one.
  __device__ void backward(const LearnTask& task, const LearnNet& net, const KeptStep&,
                           const float* dy, int rows, int, const SequenceTile& t,
                           float* gradient) const {
    const LearnLayer& first = net.layers[0];
    weight_grad_tile(t.input, tile_row(task.policy.observations), first.inputs, dy, first.width,
                     rows, gradient + first.weight, gradient + first.bias);
  }
};

// Through time as the collector went, from the state that the rollout kept: burn-in first, of which nothing is kept.
template <class Layers, class Front>
__device__ inline void sequence_forward(const LearnTask& task, const LearnNet& net, int offset,
                                        const std::uint32_t* units, int rows, const SequenceTile& t,
                                        const Front& front) {
  const RolloutBuffer& b = task.buffer;
  for (int j = -b.burn_in; j < b.sequence_length; ++j) {
    const KeptStep step = kept_step(task, net, j < 0 ? 0 : j);
    place_rows(b, units, rows, j, t);
    begin_state(b, net.memory, offset, units, t);
    LayerInput x = front.forward(task, net, rows, step, j >= 0, t);
    float* kept = kept_layer(net, step, Front::kFirst);
    for (int l = Front::kFirst; l + 1 < net.count; ++l) {
      // (The layer after the next one writes over what this one does; the next one's barrier is before that.)
      x = Layers::hidden(task, net, l, x, l % 2 == 0 ? t.a : t.b, j < 0 ? nullptr : kept);
      kept += net.layers[l].width * kSequenceRows;
    }
    remember_step(task, net, x.x, x.row, t, j < 0 ? nullptr : &step);
  }
}

// From d loss / d the state by the head, in t.b, to d loss / d the gates, in t.gates and t.recurrent; t.state becomes what goes back
// by the state's own way. Ends with a barrier.
__device__ inline void gates_backward(const LearnNet& net, const KeptStep& kept,
                                      const SequenceTile& t) {
  const MemoryLayer& m = net.memory;
  const int w = m.width, width = m.gates() * w;
  for (int item = threadIdx.x; item < w * kSequenceRows; item += blockDim.x) {
    const int at = item / w * width + item % w;
    const float* g = kept.gates + at;
    float* dg = t.gates + at;
    const float d = t.state[item] + t.b[item], h = kept.before[item];
    if (m.kind == MemoryKind::kGru) {
      float* du = t.recurrent + at;
      const GruSlopes by = gru_slopes(g[0], g[w], g[2 * w], kept.un[item], h, d);
      dg[0] = du[0] = by.r;
      dg[w] = du[w] = by.z;
      dg[2 * w] = by.n;
      du[2 * w] = by.un;
      t.state[item] = by.h;
    } else {
      const MinGruSlopes by = min_gru_slopes(g[0], g[w], h, d);
      dg[0] = by.z;
      dg[w] = by.n;
      t.state[item] = by.h;
    }
  }
  __syncthreads();
}

// From there to d loss / d the last hidden layer's sums, in t.b, and to what the step before gets, in t.state. Ends with a barrier.
template <class Layers>
__device__ inline void remember_backward(const LearnTask& task, const LearnNet& net,
                                         const KeptStep& kept, int rows, const SequenceTile& t,
                                         float* gradient) {
  const MemoryLayer& m = net.memory;
  const LearnLayer &in = net.memory_input, &again = net.memory_recurrent;
  const int w = m.width, x_row = net.layers[net.count - 2].width;
  const float* x = kept_layer(net, kept, net.count - 2);
  const bool gru = m.kind == MemoryKind::kGru;
  if (gru) {
    weight_grad_tile(kept.before, w, m.size, t.recurrent, again.width, rows,
                     gradient + again.weight, gradient + again.bias);
    dense_tile<kSequenceBlockRows>(t.recurrent, again.width, again.width,
                                   task.transposed + again.transposed, nullptr, w, kSequenceRows,
                                   t.a, LeaveAsIs{});
  }
  weight_grad_tile(x, x_row, m.inputs, t.gates, in.width, rows, gradient + in.weight,
                   gradient + in.bias);
  dense_tile<kSequenceBlockRows>(t.gates, in.width, in.width, task.transposed + in.transposed,
                                 nullptr, x_row, kSequenceRows, t.b, LeaveAsIs{});
  __syncthreads();
  for (int item = threadIdx.x; item < w * kSequenceRows; item += blockDim.x) {
    const float d = gru ? t.state[item] + t.a[item] : t.state[item];
    // Nothing goes back beyond an episode's beginning.
    t.state[item] = t.begins[item / w] != 0 ? 0.0f : d;
  }
  Layers::activate_backward(task, net, net.count - 2, kept, rows, t.b, t);
  __syncthreads();
}

// From there, in t.b, to the input. Ends without a barrier.
template <class Layers, class Front>
__device__ inline void hidden_backward(const LearnTask& task, const LearnNet& net,
                                       const KeptStep& kept, int rows, int j, const SequenceTile& t,
                                       const Front& front, float* gradient) {
  const float* dy = t.b;
  float* dx = t.a;
  for (int l = net.count - 2; l > 0; --l) {
    Layers::hidden_backward(task, net, l, kept, rows, dy, dx, t, gradient);
    __syncthreads();
    Layers::activate_backward(task, net, l - 1, kept, rows, dx, t);
    __syncthreads();
    dy = dx;
    dx = dx == t.a ? t.b : t.a;
  }
  front.backward(task, net, kept, dy, rows, j, t, gradient);
}

// Back through time from the last step. sum: thread q's of term q.
template <class Layers, class Front>
__device__ inline void sequence_backward(const LearnTask& task, const LearnNet& net, bool actor,
                                         const std::uint32_t* units, int rows,
                                         const SequenceTile& t, const Front& front, float* gradient,
                                         double& sum) {
  const RolloutBuffer& b = task.buffer;
  const int thread = static_cast<int>(threadIdx.x), w = net.memory.width;
  // (No barrier since the last step forward: a thread clears the numbers that it wrote there.)
  for (int i = thread; i < w * kSequenceRows; i += static_cast<int>(blockDim.x)) t.state[i] = 0.0f;
  for (int j = b.sequence_length - 1; j >= 0; --j) {
    const KeptStep kept = kept_step(task, net, j);
    front.begin_backward(task, units, rows, j, t);
    place_rows(b, units, rows, j, t);
    front.read_again(task, rows, t);
    Layers::head(task, net, kept, t, rows);
    if (thread < rows) {
      if (actor) {
        actor_row(task, t.heads, t.a, t.sample[thread], thread);
      } else {
        critic_row(task, t.heads, t.a, t.sample[thread], thread);
      }
    }
    __syncthreads();
    add_terms(t.heads, rows, actor ? 0 : 1, actor ? 5 : 1, sum);
    if (actor) add_log_std(task, t.heads, rows, gradient);
    Layers::head_backward(task, net, kept, rows, t, gradient);
    gates_backward(net, kept, t);
    remember_backward<Layers>(task, net, kept, rows, t, gradient);
    hidden_backward<Layers>(task, net, kept, rows, j, t, front, gradient);
  }
}

template <class Layers, class Front>
__device__ inline void shard_sequences(const LearnTask& task, unsigned shard, const SequenceTile& t,
                                       const Front& front) {
  const auto [order, begin, end, gradient] = begin_shard(task, shard);
  double sum = 0;
  for (int first = begin; first < end; first += kSequenceRows) {
    const int rows = end - first < kSequenceRows ? end - first : kSequenceRows;
    const std::uint32_t* units = order + first;
    each_network(task, [&](const LearnNet& net, bool actor) {
      sequence_forward<Layers>(task, net, actor ? 0 : task.actor.memory.size, units, rows, t,
                               front);
      sequence_backward<Layers>(task, net, actor, units, rows, t, front, gradient, sum);
    });
  }
  end_shard(task, shard, sum);
}

// Block b: shards b, b + resident_blocks, ..., of group 0, of group 1, ...
template <class Layers, class Front>
RM_KERNEL void RM_LAUNCH_BOUNDS(kLearnThreads) sequence_kernel(RM_GRID_CONSTANT LearnTask task) {
  SequenceTile tile = sequence_tile(task);
  const Front front(task, tile);
  const auto shards = static_cast<unsigned>(task.groups * task.shards);
  for (unsigned s = blockIdx.x; s < shards; s += task.resident_blocks)
    shard_sequences<Layers>(task, s, tile, front);
}

}  // namespace rollmill
