#include "trainer/fused/shard.h"

#include <algorithm>
#include <memory>

#include "core/base/assert.h"

namespace rollmill {
namespace {

// Sequences taken through time together: few, so that several threads have some.
constexpr int kSequenceRows = 16;

}  // namespace

// Where the rows of a tile are in the rollout.
struct Shard::Rows {
  std::int64_t time[kTileRows], environment[kTileRows];
};

// Everything that backward needs of every step of a tile of sequences. One a thread: it is large.
struct Shard::Sequence {
  Sequence(const MlpLayout& layout, int steps) : length(steps), shape(layout.shape) {
    // Two more than there are steps: burn-in goes through them by turns.
    for (int j = 0; j < steps + 2; ++j) {
      inputs.emplace_back(layout.shape, kSequenceRows);
      actor.emplace_back(layout.actor, kSequenceRows);
      if (!layout.critic.dense.empty()) critic.emplace_back(layout.critic, kSequenceRows);
    }
    const auto carried = [](const Network& net) {
      return AlignedVector<float>(static_cast<std::size_t>(net.memory.width) * kSequenceRows);
    };
    actor_carry = carried(layout.actor);
    critic_carry = carried(layout.critic);
  }
  static Sequence& of_thread(const MlpLayout& layout, int steps) {
    thread_local std::unique_ptr<Sequence> own;
    if (!own || own->length != steps || !(own->shape == layout.shape))
      own = std::make_unique<Sequence>(layout, steps);
    return *own;
  }

  int length;
  PolicyShape shape;
  std::vector<TileInput> inputs;
  std::vector<NetActivations> actor, critic;
  AlignedVector<float> actor_carry, critic_carry;
};

namespace {

bool starts_episode(const RolloutBuffer& b, std::int64_t t, std::int64_t i) {
  return t > 0 && b.ends[(t - 1) * b.stride + i] != kRunning;
}

void gather_input(const MinibatchTask& task, const std::int64_t* time, const std::int64_t* env,
                  int rows, TileInput& input) {
  const RolloutBuffer& b = task.buffer;
  std::int64_t at[kTileRows];
  std::uint8_t frames[kTileRows];
  for (int r = 0; r < rows; ++r) {
    at[r] = time[r] * b.slot_words() + env[r];
    frames[r] = b.frames == nullptr ? 0 : b.frames[time[r] * b.stride + env[r]];
  }
  input.gather({b.observations, b.stride, b.slot_words(), nullptr}, at, frames, rows,
               task.weights.normalizer);
}

}  // namespace

int shard_units(const RolloutBuffer& b) {
  return b.memory_columns > 0 ? kSequenceRows : 2 * kTileRows;
}

Shard::Shard(const MlpLayout& layout)
    : gradient(static_cast<std::size_t>(layout.size)),
      layout_(layout),
      forward_(layout),
      dhead_columns_(static_cast<std::size_t>(layout.actor.head().outputs) * kTileRows),
      dhead_(static_cast<std::size_t>(layout.actor.head().width) * kTileRows),
      entropy_(layout.shape.choices.size() * kTileRows),
      scratch_(static_cast<std::size_t>(backward_scratch(layout.max_width))),
      tile_(layout.shape) {}

void Shard::compute(const MinibatchTask& task, const std::uint32_t* units, int count) {
  std::fill(gradient.begin(), gradient.end(), 0.0f);
  sums = {};
  if (task.buffer.memory_columns > 0) {
    sequences_gradient(task, units, count);
  } else {
    samples_gradient(task, units, count);
  }
}

void Shard::samples_gradient(const MinibatchTask& task, const std::uint32_t* units, int count) {
  const auto n = static_cast<std::uint32_t>(task.buffer.num_envs);
  Rows at;
  for (int first = 0; first < count; first += kTileRows) {
    const int rows = std::min(kTileRows, count - first);
    for (int r = 0; r < rows; ++r) {
      at.time[r] = units[first + r] / n;
      at.environment[r] = units[first + r] % n;
    }
    gather_input(task, at.time, at.environment, rows, forward_.input);
    gather_targets(task, at, rows);
    const float* params = task.weights.params.data();
    network_forward(layout_.actor, params, forward_.input, rows, forward_.actor);
    actor_tile(task, forward_.input, forward_.actor, rows, nullptr);
    if (layout_.shape.trunk != Trunk::kSeparate) continue;
    network_forward(layout_.critic, params, forward_.input, rows, forward_.critic);
    critic_tile(task, forward_.input, forward_.critic, rows, nullptr);
  }
}

// Through time as the collector went, from the state that the rollout kept: burn-in first, which gets no gradient.
void Shard::sequence_forward(const MinibatchTask& task, const std::uint32_t* units, int rows,
                             Sequence& s) {
  const RolloutBuffer& b = task.buffer;
  const auto n = static_cast<std::uint32_t>(b.num_envs);
  const float* params = task.weights.params.data();
  const bool separate = layout_.shape.trunk == Trunk::kSeparate;
  int previous = 0;
  for (int j = -b.burn_in; j < s.length; ++j) {
    const int now = j < 0 ? s.length + (-j & 1) : j;
    Rows at;
    // Of each row: whether it takes its memory from the rollout here (1), begins an episode (2), or goes on (0).
    int from[kSequenceRows];
    for (int r = 0; r < rows; ++r) {
      const auto k = static_cast<int>(units[r] / n);
      const std::int64_t i = units[r] % n, start = b.sequence_start(k);
      const std::int64_t t = std::max<std::int64_t>(k * s.length + j, start);
      at.time[r] = t;
      at.environment[r] = i;
      from[r] = t == start ? 1 : starts_episode(b, t, i) ? 2 : 0;
    }
    const auto fill = [&](const Network& net, std::vector<NetActivations>& steps, int offset) {
      const int width = net.memory.width, size = net.memory.size;
      float* before = steps[static_cast<std::size_t>(now)].before();
      const float* last = steps[static_cast<std::size_t>(previous)].memory().after;
      for (int r = 0; r < rows; ++r) {
        const float* kept = b.memory_slot(static_cast<int>(units[r] / n)) + offset * b.stride +
                            at.environment[r];
        for (int c = 0; c < size; ++c) {
          const int e = r * width + c;
          before[e] = from[r] == 1 ? kept[c * b.stride] : from[r] == 2 ? 0.0f : last[e];
        }
      }
    };
    TileInput& input = s.inputs[static_cast<std::size_t>(now)];
    gather_input(task, at.time, at.environment, rows, input);
    fill(layout_.actor, s.actor, 0);
    network_forward(layout_.actor, params, input, rows, s.actor[static_cast<std::size_t>(now)]);
    if (separate) {
      fill(layout_.critic, s.critic, layout_.shape.memory_size);
      network_forward(layout_.critic, params, input, rows, s.critic[static_cast<std::size_t>(now)]);
    }
    previous = now;
  }
}

void Shard::sequences_gradient(const MinibatchTask& task, const std::uint32_t* units, int count) {
  const RolloutBuffer& b = task.buffer;
  const auto n = static_cast<std::uint32_t>(b.num_envs);
  Sequence& s = Sequence::of_thread(layout_, b.sequence_length);
  for (int first = 0; first < count; first += kSequenceRows) {
    const int rows = std::min(kSequenceRows, count - first);
    const std::uint32_t* tile = units + first;
    sequence_forward(task, tile, rows, s);
    std::fill(s.actor_carry.begin(), s.actor_carry.end(), 0.0f);
    std::fill(s.critic_carry.begin(), s.critic_carry.end(), 0.0f);
    for (int j = s.length - 1; j >= 0; --j) {
      const auto step = static_cast<std::size_t>(j);
      Rows at;
      for (int r = 0; r < rows; ++r) {
        at.time[r] = static_cast<std::int64_t>(tile[r] / n) * s.length + j;
        at.environment[r] = tile[r] % n;
      }
      gather_targets(task, at, rows);
      actor_tile(task, s.inputs[step], s.actor[step], rows, s.actor_carry.data());
      if (layout_.shape.trunk == Trunk::kSeparate)
        critic_tile(task, s.inputs[step], s.critic[step], rows, s.critic_carry.data());
      // Nothing goes back beyond an episode's beginning.
      for (int r = 0; r < rows; ++r) {
        if (!starts_episode(b, at.time[r], at.environment[r])) continue;
        const auto forget = [&](const Network& net, AlignedVector<float>& carry) {
          std::fill_n(carry.begin() + r * net.memory.width, net.memory.width, 0.0f);
        };
        forget(layout_.actor, s.actor_carry);
        forget(layout_.critic, s.critic_carry);
      }
    }
  }
}

void Shard::gather_targets(const MinibatchTask& task, const Rows& at, int rows) {
  const RolloutBuffer& b = task.buffer;
  std::int64_t slot[kTileRows];
  for (int r = 0; r < rows; ++r) slot[r] = at.time[r] * b.stride + at.environment[r];
  for (int r = 0; r < rows; ++r) {
    tile_.old_logp[r] = b.logprobs[slot[r]];
    tile_.old_value[r] = b.values[slot[r]];
    tile_.target[r] = b.returns[slot[r]];
    tile_.advantage[r] = (b.advantages[slot[r]] - task.advantage_mean) * task.advantage_scale;
  }
  tile_.masked = b.mask_columns > 0;
  // Row r's element of column k of K columns, slot after slot.
  const auto gather = [&](const auto* from, int columns, int k, auto* to) {
    for (int r = 0; r < rows; ++r)
      to[k * kTileRows + r] = from[slot[r] + (at.time[r] * (columns - 1) + k) * b.stride];
  };
  for (int k = 0; k < b.choice_columns; ++k)
    gather(static_cast<const std::int32_t*>(b.actions), b.action_size(), k, tile_.choices.data());
  for (int k = 0; k < b.real_columns; ++k)
    gather(b.raw_actions, b.real_columns, k, tile_.raw.data());
  for (int k = 0; k < b.mask_columns; ++k) gather(b.masks, b.mask_columns, k, tile_.masks.data());
}

void Shard::actor_tile(const MinibatchTask& task, const TileInput& input,
                       const NetActivations& actor, int rows, float* carry) {
  const Network& net = layout_.actor;
  const DenseLayer& last = net.head();
  const float* params = task.weights.params.data();
  float* head = forward_.head.data();
  head_to_columns(actor.head(), last.width, last.outputs, rows, head);
  float* dhead = dhead_columns_.data();
  policy_rows(task.options, layout_.shape, tile_, head, params + layout_.log_std, rows, task.inv_n,
              entropy_.data(), dhead, gradient.data() + layout_.log_std, sums);
  if (layout_.shape.trunk == Trunk::kShared) {
    const int column = layout_.shape.outputs() * kTileRows;
    value_rows(task.options, tile_, head + column, rows, task.inv_n, dhead + column, sums);
  }
  std::fill(dhead_.begin(), dhead_.end(), 0.0f);
  for (int a = 0; a < last.outputs; ++a) {
    for (int r = 0; r < rows; ++r)
      dhead_[static_cast<std::size_t>(r * last.width + a)] = dhead[a * kTileRows + r];
  }
  network_backward(net, task.actor, input, rows, actor, dhead_.data(), scratch_.data(),
                   layout_.max_width, gradient.data(), carry);
}

void Shard::critic_tile(const MinibatchTask& task, const TileInput& input,
                        const NetActivations& critic, int rows, float* carry) {
  const Network& net = layout_.critic;
  const int width = net.head().width;
  alignas(kColumnAlignment) float value[kTileRows], dvalue[kTileRows];
  for (int r = 0; r < rows; ++r) value[r] = critic.head()[r * width];
  value_rows(task.options, tile_, value, rows, task.inv_n, dvalue, sums);
  std::fill(dhead_.begin(), dhead_.end(), 0.0f);
  for (int r = 0; r < rows; ++r) dhead_[static_cast<std::size_t>(r * width)] = dvalue[r];
  network_backward(net, task.critic, input, rows, critic, dhead_.data(), scratch_.data(),
                   layout_.max_width, gradient.data(), carry);
}

}  // namespace rollmill
