#include "trainer/fused/shard.h"

#include <algorithm>
#include <bit>
#include <memory>

#include "core/base/assert.h"
#include "trainer/fused/patch_backward.h"
#include "trainer/fused/sequence_rows.h"

namespace rollmill {
namespace {

// Where a network's parameters begin in the flat array.
std::int64_t first_parameter(const Network& net) {
  return net.conv.empty() ? net.dense.front().weight : net.conv.front().weight;
}

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
    // One more: burn-in's.
    const auto room = std::make_shared<PatchRoom>();
    for (int j = 0; layout.shape.by_patch() && j < steps + kWindowSteps; j += kWindowSteps)
      windows.push_back(PatchWindow::of(layout, room));
  }
  static Sequence& of_thread(const MlpLayout& layout, int steps) {
    thread_local std::unique_ptr<Sequence> own;
    if (!own || own->length != steps || !(own->shape == layout.shape))
      own = std::make_unique<Sequence>(layout, steps);
    return *own;
  }

  // The window of step j, and where its steps begin.
  PatchWindow& window_of(int j) {
    return j < 0 ? *windows.back() : *windows[static_cast<std::size_t>(j / kWindowSteps)];
  }
  static int window_begin(int j, int burn_in) {
    const int first = j < 0 ? -burn_in : 0;
    return first + (j - first) / kWindowSteps * kWindowSteps;
  }

  int length;
  PolicyShape shape;
  std::vector<std::unique_ptr<PatchWindow>> windows;  // of networks with by_patch
  std::vector<TileInput> inputs;
  std::vector<NetActivations> actor, critic;
  AlignedVector<float> actor_carry, critic_carry;
};

namespace {

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

void gather_targets(const MinibatchTask& task, const std::int64_t* time, const std::int64_t* env,
                    int rows, TileRows& tile) {
  const RolloutBuffer& b = task.buffer;
  std::int64_t slot[kTileRows];
  for (int r = 0; r < rows; ++r) slot[r] = time[r] * b.stride + env[r];
  for (int r = 0; r < rows; ++r) {
    tile.old_logp[r] = b.logprobs[slot[r]];
    tile.old_value[r] = b.values[slot[r]];
    tile.target[r] = b.returns[slot[r]];
    tile.advantage[r] = (b.advantages[slot[r]] - task.advantage_mean) * task.advantage_scale;
  }
  tile.masked = b.mask_columns > 0;
  // Row r's element of column k of K columns, slot after slot.
  const auto gather = [&](const auto* from, int columns, int k, auto* to) {
    for (int r = 0; r < rows; ++r)
      to[k * kTileRows + r] = from[slot[r] + (time[r] * (columns - 1) + k) * b.stride];
  };
  for (int k = 0; k < b.choice_columns; ++k)
    gather(static_cast<const std::int32_t*>(b.actions), b.action_size(), k, tile.choices.data());
  for (int k = 0; k < b.real_columns; ++k)
    gather(b.raw_actions, b.real_columns, k, tile.raw.data());
  for (int k = 0; k < b.mask_columns; ++k) gather(b.masks, b.mask_columns, k, tile.masks.data());
}

// gather_input and gather_targets from rows.
void gather_input(const MinibatchTask& task, const std::uint32_t* units, int rows,
                  TileInput& input) {
  const SampleRows& samples = *task.rows;
  std::int64_t at[kTileRows];
  std::uint8_t frames[kTileRows] = {};
  for (int r = 0; r < rows; ++r) at[r] = units[r] * samples.width();
  input.gather({samples.row(0), 1, 0, nullptr}, at, frames, rows, task.weights.normalizer);
}

void gather_targets(const MinibatchTask& task, const std::uint32_t* units, int rows,
                    TileRows& tile) {
  const RolloutBuffer& b = task.buffer;
  const SampleRows& samples = *task.rows;
  tile.masked = b.mask_columns > 0;
  for (int r = 0; r < rows; ++r) {
    const float* row = samples.row(units[r]);
    const float *action = row + samples.first_action(), *mask = row + samples.first_mask(),
                *target = row + samples.first_target();
    tile.old_logp[r] = target[0];
    tile.old_value[r] = target[1];
    tile.target[r] = target[2];
    tile.advantage[r] = (target[3] - task.advantage_mean) * task.advantage_scale;
    for (int k = 0; k < b.choice_columns; ++k)
      tile.choices[static_cast<std::size_t>(k * kTileRows + r)] =
          std::bit_cast<std::int32_t>(action[k]);
    for (int k = 0; k < b.real_columns; ++k)
      tile.raw[static_cast<std::size_t>(k * kTileRows + r)] = action[b.choice_columns + k];
    for (int k = 0; k < b.mask_columns; ++k)
      tile.masks[static_cast<std::size_t>(k * kTileRows + r)] =
          std::bit_cast<std::uint32_t>(mask[k]);
  }
}

}  // namespace

void check_shard_memory(std::int64_t parameters, int shards, int threads) {
  check_memory(static_cast<std::size_t>((shards + threads) * parameters) * sizeof(float),
               "learning with " + std::to_string(parameters) + " parameters, from minibatches of " +
                   std::to_string(shards) + " gradients on " + std::to_string(threads) +
                   " threads,",
               "lower policy.hidden");
}

ShardScratch::ShardScratch(const MlpLayout& layout, bool rounded)
    : shape(layout.shape),
      bf16(rounded),
      actor(layout.actor, rounded),
      critic(layout.critic, rounded),
      actor_weights(layout.actor),
      critic_weights(layout.critic),
      forward(layout),
      dhead_columns(static_cast<std::size_t>(layout.actor.head().outputs) * kTileRows),
      dhead(static_cast<std::size_t>(layout.actor.head().width) * kTileRows),
      entropy(layout.shape.choices.size() * kTileRows),
      dlog_std(static_cast<std::size_t>(layout.shape.reals) * kTileRows),
      backward(static_cast<std::size_t>(backward_scratch(layout.max_width))),
      tile(layout.shape) {
  if (!layout.shape.by_patch()) return;
  actor_dpatches.resize(static_cast<std::size_t>(kPatchRows * layout.actor.dense.front().width));
  if (!layout.critic.dense.empty()) critic_dpatches.resize(actor_dpatches.size());
}

ShardScratch& ShardScratch::of_thread(const MlpLayout& layout, bool bf16) {
  thread_local std::unique_ptr<ShardScratch> own;
  if (!own || own->bf16 != bf16 || !(own->shape == layout.shape))
    own = std::make_unique<ShardScratch>(layout, bf16);
  return *own;
}

void ShardScratch::pack(const MlpLayout& layout, const PolicyWeights& weights, std::uint64_t now,
                        ShardPart part) {
  const float* params = weights.params.data();
  const auto network = [&](const Network& net, std::uint64_t& version,
                           TransposedWeights& transposed, Bf16Weights& rounded) {
    if (version == now) return;
    transposed.pack(net, params);
    if (bf16) rounded.pack(net, params);
    version = now;
  };
  if (part != ShardPart::kCritic) network(layout.actor, actor_version, actor, actor_weights);
  if (part != ShardPart::kActor) network(layout.critic, critic_version, critic, critic_weights);
}

Shard::Shard(const MlpLayout& layout)
    : gradient(static_cast<std::size_t>(layout.size)), layout_(layout) {}

PartRanges part_ranges(const MlpLayout& layout, ShardPart part) {
  const std::int64_t end = layout.has_log_std() ? layout.log_std : layout.size;
  if (part == ShardPart::kAll) return {{0, end}, {end, layout.size}};
  const std::int64_t critic = first_parameter(layout.critic);
  if (part == ShardPart::kActor) return {{0, critic}, {end, layout.size}};
  return {{critic, end}, {layout.size, layout.size}};
}

// The part's losses, its gradient as far as the first tile does not write it (every tile adds to the standard deviations), and
// nothing of the other's, which another thread may be at.
void Shard::clear(ShardPart part, bool written) {
  const auto [network, deviations] = part_ranges(layout_, part);
  float* g = gradient.data();
  if (!written) std::fill(g + network.begin, g + network.end, 0.0f);
  std::fill(g + deviations.begin, g + deviations.end, 0.0f);
  if (part != ShardPart::kCritic) losses_ = {};
  if (part != ShardPart::kActor) critic_loss_ = 0;
}

void Shard::compute(const MinibatchTask& task, const std::uint32_t* units, int count, int following,
                    ShardPart part) {
  const bool sequences = task.buffer.memory_columns > 0;
  RM_ASSERT(part == ShardPart::kAll || (!sequences && layout_.shape.trunk == Trunk::kSeparate));
  ShardScratch& scratch = ShardScratch::of_thread(layout_, task.bf16);
  scratch.pack(layout_, task.weights, task.version, part);
  if (sequences) {
    sequences_gradient(task, units, count, scratch);
  } else {
    samples_gradient(task, units, count, following, part, scratch);
  }
}

void Shard::samples_gradient(const MinibatchTask& task, const std::uint32_t* units, int count,
                             int following, ShardPart part, ShardScratch& scratch) {
  const bool actor = part != ShardPart::kCritic;
  const bool critic = part != ShardPart::kActor && layout_.shape.trunk == Trunk::kSeparate;
  ForwardScratch& forward = scratch.forward;
  const bool written = may_write_gradient(layout_.actor, forward.input);
  clear(part, written);
  PatchWindow* window = forward.window.get();
  const auto n = static_cast<std::uint32_t>(task.buffer.num_envs);
  const float* params = task.weights.params.data();
  const int known = count + following;
  Rows at;
  const auto locate = [&](int first) {
    const int rows = std::min(kTileRows, count - first);
    for (int r = 0; r < rows && task.rows == nullptr; ++r) {
      at.time[r] = units[first + r] / n;
      at.environment[r] = units[first + r] % n;
    }
    return rows;
  };
  const auto gather = [&](int first, int rows) {
    if (task.rows != nullptr) {
      gather_input(task, units + first, rows, forward.input);
    } else {
      gather_input(task, at.time, at.environment, rows, forward.input);
    }
  };
  for (int first = 0; first < count; first += kTileRows) {
    const int row = first % kPatchRows;
    if (window != nullptr && row == 0) {
      window->ids.clear();
      for (int f = first; f < std::min(first + kPatchRows, count); f += kTileRows) {
        const int rows = locate(f);
        gather(f, rows);
        window->ids.add(forward.input, rows);
      }
      window->ids.name();
      if (actor) window->actor.prepare(params);
      if (critic) window->critic->prepare(params);
    }
    const int rows = locate(first);
    const bool writes = written && first == 0;
    if (window == nullptr) gather(first, rows);
    if (task.rows != nullptr) {
      gather_targets(task, units + first, rows, scratch.tile);
      // The next tile's come into the cache while this one is computed.
      const int next = std::min(first + kTileRows, count);
      for (int u = next; u < std::min(next + kTileRows, known); ++u) task.rows->prefetch(units[u]);
    } else {
      gather_targets(task, at.time, at.environment, rows, scratch.tile);
    }
    forward.tile_row = row;
    if (actor) {
      network_forward(layout_.actor, params, forward.input, rows, forward.actor,
                      forward.actor_rows(), scratch.actor_rounded());
      actor_tile(task, forward.input, forward.actor, rows, row, nullptr, writes, scratch);
    }
    if (critic) {
      network_forward(layout_.critic, params, forward.input, rows, forward.critic,
                      forward.critic_rows(), scratch.critic_rounded());
      critic_tile(task, forward.input, forward.critic, rows, row, nullptr, writes, scratch);
    }
    if (window != nullptr && row + rows == window->ids.rows())
      window_gradient(*window, part, scratch);
  }
}

void Shard::window_gradient(const PatchWindow& window, ShardPart part, const ShardScratch& s) {
  if (part != ShardPart::kCritic) {
    patch_backward(layout_.actor, window.actor, s.actor.layer(0), s.actor_dpatches.data(),
                   gradient.data());
  }
  if (part != ShardPart::kActor && window.critic) {
    patch_backward(layout_.critic, *window.critic, s.critic.layer(0), s.critic_dpatches.data(),
                   gradient.data());
  }
}

// Through time as the collector went, from the state that the rollout kept: burn-in first, which gets no gradient.
void Shard::sequence_forward(const MinibatchTask& task, const std::uint32_t* units, int rows,
                             ShardScratch& scratch, Sequence& s) {
  const RolloutBuffer& b = task.buffer;
  ForwardScratch& forward = scratch.forward;
  const auto n = static_cast<std::uint32_t>(b.num_envs);
  const float* params = task.weights.params.data();
  const bool separate = layout_.shape.trunk == Trunk::kSeparate;
  int previous = 0;
  Rows at;
  StateFrom from[kSequenceRows];
  const auto locate = [&](int j) {
    for (int r = 0; r < rows; ++r) {
      const SequenceStep step = sequence_step(b, units[r], j);
      at.time[r] = step.time;
      at.environment[r] = step.environment;
      from[r] = step.from;
    }
  };
  for (int j = -b.burn_in; j < s.length; ++j) {
    const int now = j < 0 ? s.length + (-j & 1) : j;
    PatchRows actor_rows, critic_rows;
    if (!s.windows.empty()) {
      PatchWindow& window = s.window_of(j);
      const int begin = Sequence::window_begin(j, b.burn_in);
      if (j == begin) {
        window.ids.clear();
        for (int k = j; k < std::min(j + kWindowSteps, j < 0 ? 0 : s.length); ++k) {
          locate(k);
          gather_input(task, at.time, at.environment, rows, forward.input);
          window.ids.add(forward.input, rows);
        }
        window.ids.name();
        window.prepare(params);
      }
      actor_rows = {&window.actor, (j - begin) * rows};
      critic_rows = {window.critic.get(), actor_rows.row};
    }
    const auto fill = [&](const Network& net, std::vector<NetActivations>& steps, int offset) {
      const int width = net.memory.width, size = net.memory.size;
      float* before = steps[static_cast<std::size_t>(now)].before();
      const float* last = steps[static_cast<std::size_t>(previous)].memory().after;
      for (int r = 0; r < rows; ++r) {
        const float* kept =
            b.memory_slot(static_cast<int>(units[r] / n)) + offset * b.stride + at.environment[r];
        for (int c = 0; c < size; ++c) {
          const int e = r * width + c;
          before[e] = from[r] == StateFrom::kRollout   ? kept[c * b.stride]
                      : from[r] == StateFrom::kNothing ? 0.0f
                                                       : last[e];
        }
      }
    };
    TileInput& input = s.inputs[static_cast<std::size_t>(now)];
    locate(j);
    if (s.windows.empty()) gather_input(task, at.time, at.environment, rows, input);
    fill(layout_.actor, s.actor, 0);
    network_forward(layout_.actor, params, input, rows, s.actor[static_cast<std::size_t>(now)],
                    actor_rows, scratch.actor_rounded());
    if (separate) {
      fill(layout_.critic, s.critic, layout_.shape.memory_size);
      network_forward(layout_.critic, params, input, rows, s.critic[static_cast<std::size_t>(now)],
                      critic_rows, scratch.critic_rounded());
    }
    previous = now;
  }
}

void Shard::sequences_gradient(const MinibatchTask& task, const std::uint32_t* units, int count,
                               ShardScratch& scratch) {
  const RolloutBuffer& b = task.buffer;
  const auto n = static_cast<std::uint32_t>(b.num_envs);
  Sequence& s = Sequence::of_thread(layout_, b.sequence_length);
  clear(ShardPart::kAll, false);
  for (int first = 0; first < count; first += kSequenceRows) {
    const int rows = std::min(kSequenceRows, count - first);
    const std::uint32_t* tile = units + first;
    sequence_forward(task, tile, rows, scratch, s);
    std::fill(s.actor_carry.begin(), s.actor_carry.end(), 0.0f);
    std::fill(s.critic_carry.begin(), s.critic_carry.end(), 0.0f);
    for (int j = s.length - 1; j >= 0; --j) {
      const auto step = static_cast<std::size_t>(j);
      Rows at;
      for (int r = 0; r < rows; ++r) {
        at.time[r] = static_cast<std::int64_t>(tile[r] / n) * s.length + j;
        at.environment[r] = tile[r] % n;
      }
      gather_targets(task, at.time, at.environment, rows, scratch.tile);
      const int row = (j - Sequence::window_begin(j, 0)) * rows;
      actor_tile(task, s.inputs[step], s.actor[step], rows, row, s.actor_carry.data(), false,
                 scratch);
      if (layout_.shape.trunk == Trunk::kSeparate) {
        critic_tile(task, s.inputs[step], s.critic[step], rows, row, s.critic_carry.data(), false,
                    scratch);
      }
      if (!s.windows.empty() && row == 0) window_gradient(s.window_of(j), ShardPart::kAll, scratch);
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

void Shard::actor_tile(const MinibatchTask& task, const TileInput& input,
                       const NetActivations& actor, int rows, int row, float* carry, bool writes,
                       ShardScratch& s) {
  const Network& net = layout_.actor;
  const DenseLayer& last = net.head();
  const float* params = task.weights.params.data();
  float* head = s.forward.head.data();
  head_to_columns(actor.head(), last.width, last.outputs, rows, head);
  float* dhead = s.dhead_columns.data();
  const PolicyShape& shape = layout_.shape;
  const HeadShape head_shape{shape.choices.data(), static_cast<int>(shape.choices.size()),
                             shape.total_choices(), shape.reals, shape.distribution};
  RowTerms<kTileRows> terms;
  policy_rows<kTileRows>(task.options, head_shape, s.tile.view(), head, params + layout_.log_std,
                         rows, task.inv_n, s.entropy.data(), dhead, s.dlog_std.data(), terms);
  std::fill_n(terms.value, rows, 0.0f);
  if (shape.trunk == Trunk::kShared) {
    const int column = shape.outputs() * kTileRows;
    value_rows(task.options, s.tile.view(), head + column, rows, task.inv_n, dhead + column,
               terms.value);
  }
  add_terms(terms, rows);
  if (layout_.has_log_std()) {
    for (int a = 0; a < shape.reals; ++a) {
      float by_std = 0.0f;
      for (int r = 0; r < rows; ++r)
        by_std += s.dlog_std[static_cast<std::size_t>(a * kTileRows + r)];
      gradient[static_cast<std::size_t>(layout_.log_std + a)] += by_std;
    }
  }
  std::fill(s.dhead.begin(), s.dhead.end(), 0.0f);
  for (int a = 0; a < last.outputs; ++a) {
    for (int r = 0; r < rows; ++r)
      s.dhead[static_cast<std::size_t>(r * last.width + a)] = dhead[a * kTileRows + r];
  }
  float* dpatches = net.by_patch
                        ? s.actor_dpatches.data() + std::int64_t{row} * net.dense.front().width
                        : nullptr;
  network_backward(net, s.actor, input, rows, actor, s.dhead.data(), s.backward.data(),
                   layout_.max_width, gradient.data(), carry, dpatches, writes);
}

void Shard::add_terms(const RowTerms<kTileRows>& terms, int rows) {
  for (int r = 0; r < rows; ++r) {
    losses_.policy += static_cast<double>(terms.policy[r]);
    losses_.value += static_cast<double>(terms.value[r]);
    losses_.entropy += static_cast<double>(terms.entropy[r]);
    losses_.kl += static_cast<double>(terms.kl[r]);
    losses_.clipped += static_cast<double>(terms.clipped[r]);
    losses_.ratio_error =
        larger_or_nan(losses_.ratio_error, static_cast<double>(terms.ratio_error[r]));
  }
}

void Shard::critic_tile(const MinibatchTask& task, const TileInput& input,
                        const NetActivations& critic, int rows, int row, float* carry, bool writes,
                        ShardScratch& s) {
  const Network& net = layout_.critic;
  const int width = net.head().width;
  alignas(kColumnAlignment) float value[kTileRows], dvalue[kTileRows], loss[kTileRows];
  for (int r = 0; r < rows; ++r) value[r] = critic.head()[r * width];
  value_rows(task.options, s.tile.view(), value, rows, task.inv_n, dvalue, loss);
  for (int r = 0; r < rows; ++r) critic_loss_ += static_cast<double>(loss[r]);
  std::fill(s.dhead.begin(), s.dhead.end(), 0.0f);
  for (int r = 0; r < rows; ++r) s.dhead[static_cast<std::size_t>(r * width)] = dvalue[r];
  float* dpatches = net.by_patch
                        ? s.critic_dpatches.data() + std::int64_t{row} * net.dense.front().width
                        : nullptr;
  network_backward(net, s.critic, input, rows, critic, s.dhead.data(), s.backward.data(),
                   layout_.max_width, gradient.data(), carry, dpatches, writes);
}

}  // namespace rollmill
