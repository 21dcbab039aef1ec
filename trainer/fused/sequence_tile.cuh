// What a block of learner_memory.cuh works in: shared memory for one step, global memory for what backward reads of all steps.
#pragma once

#include "trainer/fused/learner_conv.cuh"
#include "trainer/fused/learner_kernels.cuh"
#include "trainer/fused/patch_window.cuh"

namespace rollmill {

inline constexpr int kSequenceBlockRows = 4;  // of which a thread computes two features
static_assert(kSequenceRows % kSequenceBlockRows == 0 && kSequenceRows <= kLearnRows);

// Numbers of a row that a step writes at most at a time, but the gates.
RM_HD int sequence_width(const LearnTask& task) {
  const int memory = task.actor.memory.width;
  return memory > task.dense_width ? memory : task.dense_width;
}

// Of a row's gates; what the layers above and below the memory multiply with bfloat16 products lies there by turns.
RM_HD int gates_room(const LearnTask& task) {
  const MemoryLayer& m = task.actor.memory;
  const int gates = (m.kind == MemoryKind::kGru ? 2 : 1) * m.gates() * m.width;
  const int pairs = task.products == Products::kFloat32 ? 0 : 2 * bf16_row(sequence_width(task));
  return gates > pairs ? gates : pairs;
}

// Floats of sequence_kernel's shared memory.
inline std::size_t sequence_shared_floats(const LearnTask& task) {
  const int head = task.actor.layers[task.actor.count - 1].width;
  const int patches = task.actor.by_patch ? patch_shared_row(task) : 0;
  const int row = shared_input_row(task) + 2 * sequence_width(task) + task.actor.memory.width +
                  gates_room(task) + head + task.policy.reals + 3 + patches;
  return static_cast<std::size_t>(row) * kSequenceRows + std::size_t{6} * kLearnRows;
}

// Where those are, [kSequenceRows][...].
struct SequenceTile {
  LearnTile heads;  // its dhead, dlog_std and terms
  float *input, *a, *b;
  std::uint32_t* conv_pairs;  // ConvRegion's
  float* state;               // forward: h; backward: d loss / d h
  float *gates, *recurrent;   // forward: x W + b, h U + c (a GRU's); backward: d loss / d those
  std::uint32_t* sample;      // of the step in hand: where it lies in the rollout
  int *from, *begins;         // StateFrom; whether an episode begins with it
  float* patches;             // a PatchTile's
};

__device__ inline SequenceTile sequence_tile(const LearnTask& task) {
  const MemoryLayer& m = task.actor.memory;
  const int width = sequence_width(task);
  SequenceTile t{};
  float* next = shared_memory();
  const auto take = [&](int row) {
    float* const here = next;
    next += row * kSequenceRows;
    return here;
  };
  t.input = take(shared_input_row(task));
  t.a = take(width);
  t.b = take(width);
  t.state = take(m.width);
  t.gates = take(gates_room(task));
  t.recurrent = t.gates + m.gates() * m.width * kSequenceRows;
  t.heads.dhead = take(task.actor.layers[task.actor.count - 1].width);
  t.heads.dlog_std = take(task.policy.reals);
  t.sample = reinterpret_cast<std::uint32_t*>(take(1));
  t.from = reinterpret_cast<int*>(take(1));
  t.begins = reinterpret_cast<int*>(take(1));
  t.heads.terms = next;
  t.patches = next + 6 * kLearnRows;
  return t;
}

// Floats of a row that a network keeps of a step: results of its hidden layers, state before and after, gates, and of a GRU what
// the state said of the last gate.
RM_HD int kept_row(const LearnNet& net) {
  const MemoryLayer& m = net.memory;
  int row = (2 + m.gates() + (m.kind == MemoryKind::kGru ? 1 : 0)) * m.width;
  for (int l = 0; l + 1 < net.count; ++l) row += net.layers[l].width;
  return net.by_patch ? row : row + conv_offset(net, net.convs);
}
// Floats that a block keeps of all steps, and in all: then come a ConvRegion or a PatchRegion.
RM_HD std::int64_t kept_steps(const LearnTask& task) {
  const int actor = kept_row(task.actor), critic = kept_row(task.critic);
  return std::int64_t{actor > critic ? actor : critic} * kSequenceRows *
         task.buffer.sequence_length;
}
RM_HD std::int64_t kept_floats(const LearnTask& task) {
  const std::int64_t steps = kept_steps(task);
  if (task.actor.by_patch) return steps + patch_kept_floats(task, kSequenceRows);
  return task.actor.convs == 0 ? steps : steps + std::int64_t{conv_row(task)} * kSequenceRows;
}
__device__ inline float* kept_of_block(const LearnTask& task) {
  return task.kept + blockIdx.x * task.kept_floats;
}

// What a layer reads, `row` words apart.
struct LayerInput {
  const float* x;
  int row;
};

struct KeptStep {
  float *before, *after, *gates,
      *un;        // [kSequenceRows][width], gates [kSequenceRows][gates * width]
  float* layers;  // as LearnTile's
  float* convs;   // as ConvRegion's layers
};

__device__ inline KeptStep kept_step(const LearnTask& task, const LearnNet& net, int j) {
  const MemoryLayer& m = net.memory;
  const int rows = kSequenceRows;
  KeptStep k{};
  k.before = kept_of_block(task) + std::int64_t{j} * rows * kept_row(net);
  k.after = k.before + rows * m.width;
  k.gates = k.after + rows * m.width;
  k.un = k.gates + rows * m.gates() * m.width;
  k.layers = k.un + (m.kind == MemoryKind::kGru ? rows * m.width : 0);
  k.convs = k.layers;
  for (int l = 0; l + 1 < net.count; ++l) k.convs += net.layers[l].width * rows;
  return k;
}
// After l hidden layers.
__device__ inline float* kept_layer(const LearnNet& net, const KeptStep& kept, int l) {
  float* out = kept.layers;
  for (int k = 0; k < l; ++k) out += net.layers[k].width * kSequenceRows;
  return out;
}
// What hidden layer l read: the layer before it, or the last convolution.
__device__ inline LayerInput kept_input(const LearnNet& net, const KeptStep& kept, int l) {
  if (l > 0) return {kept_layer(net, kept, l - 1), net.layers[l - 1].width};
  return {kept.convs + conv_offset(net, net.convs - 1) * kSequenceRows, conv_outputs(net)};
}

}  // namespace rollmill
