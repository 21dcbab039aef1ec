#include "trainer/imitation/demonstrations.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "core/math/math.h"
#include "core/rng/rng.h"
#include "datasets/reader.h"
#include "envs/env.h"
#include "rollout/dataset_columns.h"
#include "rollout/mlp/beta.h"
#include "rollout/recorded_actions.h"

namespace rollmill {
void check_demonstrations(const std::string& dir, const Manifest& m, const EnvSpec& spec) {
  if (m.spec.env_id != spec.id)
    fail_data(dir + " is a dataset of " + m.spec.env_id + ", this run's environment is " + spec.id);
  if (m.state != DatasetState::kDone)
    fail_data(dir + " is not finished; finish it with rollmill generate ... --resume");
  for (const Column& wanted : dataset_columns(spec, false)) {
    const auto& columns = m.spec.columns;
    if (std::find(columns.begin(), columns.end(), wanted) == columns.end())
      fail_data(dir + ": its column " + wanted.name + " is not as " + spec.id + " has it");
  }
}

float raw_action(RealDistribution distribution, float action, float middle, float half_range) {
  const float unit = (action - middle) / half_range;
  if (distribution == RealDistribution::kGaussian) return unit;
  if (distribution == RealDistribution::kBeta) return bound_beta(0.5f * unit + 0.5f);
  // The inverse of tanh, of what is inside the bounds.
  constexpr float kMost = 0.99999f;
  const float inside = math::clamp(unit, -kMost, kMost);
  return 0.5f * (math::log(1.0f + inside) - math::log(1.0f - inside));
}

ActionRange::ActionRange(const EnvSpec& spec) {
  for (std::size_t a = spec.choices.size(); a < spec.action.size(); ++a) {
    middle.push_back(static_cast<float>(0.5 * (spec.action[a].low + spec.action[a].high)));
    half.push_back(static_cast<float>(0.5 * (spec.action[a].high - spec.action[a].low)));
  }
}

Demonstrations::Demonstrations(const std::string& dir, const EnvSpec& spec,
                               const PolicyShape& shape, float gamma, float reward_scale)
    : shape_(shape),
      words_(spec.observation_columns()),
      action_words_(spec.action_size()),
      mask_words_(spec.mask_columns),
      range_(spec) {
  load(dir, spec);
  add_returns(gamma, reward_scale);
}

void Demonstrations::load(const std::string& dir, const EnvSpec& spec) {
  const DatasetReader reader(dir);
  const Manifest& m = reader.manifest();
  check_demonstrations(dir, m, spec);
  content_hash_ = m.content_hash();
  const auto total = static_cast<std::size_t>(m.steps());
  if (total == 0) fail_data(dir + " has no steps to imitate");
  const auto words = static_cast<std::size_t>(words_),
             action = static_cast<std::size_t>(action_words_),
             mask = static_cast<std::size_t>(mask_words_);
  check_memory(total * 4 * (words + action + mask + 2), dir + ", which is held in memory",
               "imitate a smaller dataset");
  observations_.resize(total * words);
  actions_.resize(total * action);
  masks_.resize(total * mask);
  rewards_.resize(total);
  const std::size_t bytes = observation_bytes(spec.observed);
  for (std::size_t k = 0; k < reader.shards(); ++k) {
    const ShardData shard = reader.load(k);
    const std::string where = dir + "/" + m.shards[k].file;
    check_actions(spec, shard, where);
    const RecordedActions taken(spec, shard);
    const std::byte* observations = shard.raw("observations").data();
    const std::byte* masks = mask > 0 ? shard.raw("action_masks").data() : nullptr;
    const auto choices = static_cast<std::size_t>(spec.total_choices());
    const auto rewards = shard.values<float>("rewards");
    for (std::size_t row = 0; row < shard.steps(); ++row) {
      const std::size_t at = static_cast<std::size_t>(steps_) + row;
      std::memcpy(observations_.data() + at * words, observations + row * bytes, bytes);
      for (std::size_t a = 0; a < action; ++a)
        actions_[at * action + a] = taken.word(static_cast<std::int64_t>(row), static_cast<int>(a));
      for (std::size_t b = 0; masks != nullptr && b < choices; ++b) {
        masks_[at * mask + b / 32] |=
            static_cast<std::uint32_t>(masks[row * choices + b] != std::byte{0}) << (b % 32);
      }
      rewards_[at] = rewards[row];
    }
    const auto terminals = shard.values<std::uint8_t>("terminals");
    const auto starts = shard.values<std::int64_t>("episodes/start");
    const auto lengths = shard.values<std::int32_t>("episodes/length");
    for (std::size_t e = 0; e < shard.episodes(); ++e) {
      starts_.push_back(steps_ + starts[e]);
      lengths_.push_back(lengths[e]);
      terminated_.push_back(terminals[static_cast<std::size_t>(starts[e] + lengths[e] - 1)]);
    }
    steps_ += static_cast<std::int64_t>(shard.steps());
  }
}

void Demonstrations::add_returns(float gamma, float reward_scale) {
  returns_.resize(rewards_.size());
  for (std::size_t e = 0; e < lengths_.size(); ++e) {
    float sum = 0.0f;
    for (std::int64_t row = starts_[e] + lengths_[e] - 1; row >= starts_[e]; --row) {
      sum = reward_scale * rewards_[static_cast<std::size_t>(row)] + gamma * sum;
      returns_[static_cast<std::size_t>(row)] = sum;
    }
  }
}

std::vector<Moments> Demonstrations::observation_moments() const {
  std::vector<Moments> moments(static_cast<std::size_t>(words_));
  for (std::size_t k = 0; k < moments.size(); ++k) {
    Moments& m = moments[k];
    m.count = static_cast<double>(steps_);
    const auto value = [&](std::int64_t row) {
      return static_cast<double>(__builtin_bit_cast(
          float, observations_[static_cast<std::size_t>(row) * moments.size() + k]));
    };
    for (std::int64_t row = 0; row < steps_; ++row) m.mean += value(row);
    m.mean /= m.count;
    for (std::int64_t row = 0; row < steps_; ++row)
      m.m2 += (value(row) - m.mean) * (value(row) - m.mean);
  }
  return moments;
}

void Demonstrations::begin_pass(std::uint64_t seed, std::int64_t pass, int horizon) {
  horizon_ = horizon;
  pieces_.clear();
  stream_begin_.assign(1, 0);
  const auto count = static_cast<std::uint32_t>(lengths_.size());
  std::vector<std::uint32_t> order(count);
  permute(Rng(seed, Purpose::kDemonstrations, 0, static_cast<std::uint32_t>(pass), 0), count,
          order.data());
  const bool whole = shape_.memory != MemoryKind::kNone;
  int room = horizon;
  const auto close = [&] {
    if (room == horizon) return;
    stream_begin_.push_back(static_cast<std::int64_t>(pieces_.size()));
    room = horizon;
  };
  for (const std::uint32_t e : order) {
    std::int32_t done = 0;
    const std::int32_t length = lengths_[e];
    if (whole && length > room) close();
    while (done < length) {
      const std::int32_t part = std::min(length - done, room);
      pieces_.push_back(
          {starts_[e] + done, done, part, done + part == length, terminated_[e] != 0});
      done += part;
      room -= part;
      if (room == 0) {
        stream_begin_.push_back(static_cast<std::int64_t>(pieces_.size()));
        room = horizon;
      }
    }
  }
  close();
}

std::int64_t Demonstrations::steps_in(std::int64_t first, std::int64_t count) const {
  std::int64_t sum = 0;
  for (std::int64_t stream = first; stream < first + count; ++stream) {
    const auto s = static_cast<std::size_t>(stream % streams());
    for (std::int64_t p = stream_begin_[s]; p < stream_begin_[s + 1]; ++p)
      sum += pieces_[static_cast<std::size_t>(p)].length;
  }
  return sum;
}

void Demonstrations::fill(const RolloutBuffer& b, std::int64_t first, std::int64_t window_first,
                          std::int64_t window_streams) const {
  const std::int64_t valid = steps_in(window_first, window_streams);
  const auto weight = static_cast<float>(static_cast<double>(window_streams) * horizon_ /
                                         static_cast<double>(valid));
  for (int i = 0; i < b.num_envs; ++i) fill_stream(b, i, (first + i) % streams(), weight);
}

void Demonstrations::fill_stream(const RolloutBuffer& b, int i, std::int64_t stream,
                                 float weight) const {
  auto* stored = reinterpret_cast<std::uint32_t*>(b.observations);
  const auto words = static_cast<std::int64_t>(words_);
  const auto put = [&](int t, std::int64_t row) {
    for (std::int64_t k = 0; k < words; ++k) {
      stored[t * b.slot_words() + k * b.stride + i] =
          row < 0 ? 0u : observations_[static_cast<std::size_t>(row * words + k)];
    }
  };
  const auto set_step = [&](int t, std::int64_t row, std::uint8_t end) {
    const std::int64_t at = t * b.stride + i;
    put(t, row);
    for (int m = 0; m < mask_words_; ++m) {
      b.mask_slot(t)[m * b.stride + i] =
          row < 0 ? ~0u : masks_[static_cast<std::size_t>(row * mask_words_ + m)];
    }
    auto* actions = static_cast<std::uint32_t*>(b.action_slot(t));
    for (int a = 0; a < action_words_; ++a)
      actions[a * b.stride + i] =
          row < 0 ? 0u : actions_[static_cast<std::size_t>(row * action_words_ + a)];
    for (int a = 0; a < b.real_columns; ++a) {
      const auto k = static_cast<std::size_t>(a);
      // Padding has no weight, but its density must be a number: the middle is one for every distribution.
      const float action =
          row < 0 ? range_.middle[k]
                  : __builtin_bit_cast(float, actions[(b.choice_columns + a) * b.stride + i]);
      b.raw_action_slot(t)[a * b.stride + i] =
          raw_action(shape_.distribution, action, range_.middle[k], range_.half[k]);
    }
    b.ends[at] = end;
    b.rewards[at] = row < 0 ? 0.0f : rewards_[static_cast<std::size_t>(row)];
    b.returns[at] = row < 0 ? 0.0f : returns_[static_cast<std::size_t>(row)];
    b.advantages[at] = row < 0 ? 0.0f : weight;
    b.logprobs[at] = b.values[at] = 0.0f;
  };
  for (int back = 1; back < b.frame_stack; ++back) put(-back, -1);
  int t = 0;
  const auto s = static_cast<std::size_t>(stream);
  for (std::int64_t p = stream_begin_[s]; p < stream_begin_[s + 1]; ++p) {
    const Piece& piece = pieces_[static_cast<std::size_t>(p)];
    // A piece that goes on an episode begins its stream: the frames before it lie before slot 0.
    for (int back = 1; back < b.frame_stack && back <= piece.from; ++back)
      put(t - back, piece.row - back);
    const std::uint8_t end = piece.terminated ? kTerminated : kTruncated;
    for (std::int32_t j = 0; j < piece.length; ++j, ++t) {
      set_step(t, piece.row + j, piece.last && j + 1 == piece.length ? end : kRunning);
      if (b.frames != nullptr)
        b.frame_slot(t)[i] = static_cast<std::uint8_t>(std::min(piece.from + j, b.frame_stack - 1));
    }
  }
  for (; t < b.horizon; ++t) {
    set_step(t, -1, kTruncated);
    if (b.frames != nullptr) b.frame_slot(t)[i] = 0;
  }
  for (int c = 0; c < b.memory_columns; ++c) b.memory_slot(0)[c * b.stride + i] = 0.0f;
}

}  // namespace rollmill
