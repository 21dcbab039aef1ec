#include "trainer/replay/replay_buffer.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "core/base/assert.h"
#include "core/math/math.h"
#include "core/rng/rng.h"
#include "trainer/state_arrays.h"

namespace rollmill {

ReplayBuffer::ReplayBuffer(const EnvSpec& spec, const ReplayConfig& config)
    : config_(config),
      choices_(spec.choices),
      mask_words_(spec.mask_columns),
      row_words_(spec.observation_columns() + spec.mask_columns),
      action_words_(spec.action_size()),
      ring_(ring_of(config)),
      slots_(ring_.slots) {
  RM_ASSERT(config.n_step >= 1 && config.n_step < slots_);
  const auto rows = static_cast<std::size_t>(slots_ * config.num_envs);
  check_room(
      "", config.priority_alpha > 0 ? 32 : 0);  // a tree has up to four nodes of eight bytes a leaf
  c_.observations.resize(rows * static_cast<std::size_t>(row_words_));
  c_.actions.resize(rows * static_cast<std::size_t>(action_words_));
  c_.rewards.resize(rows);
  c_.ends.resize(rows);
  if (config.priority_alpha > 0) tree_ = std::make_unique<PriorityTree>(slots_ * config.num_envs);
}

void ReplayBuffer::check_room(const char* doing, int more_bytes) const {
  const auto rows = static_cast<std::size_t>(slots_ * config_.num_envs);
  const auto words = static_cast<std::size_t>(row_words_ + action_words_ + 1);
  const auto copies = static_cast<std::size_t>(config_.copies);
  check_memory(
      copies * rows * (4 * words + 1 + static_cast<std::size_t>(more_bytes)),
      doing + ("a replay buffer of " + std::to_string(config_.capacity)) + " transitions" +
          (copies > 1 ? ", one for each of " + std::to_string(copies) + " ranks here," : ""),
      "lower buffer_size");
}

std::int64_t ReplayBuffer::size() const { return ring_.size(c_.time); }

void ReplayBuffer::start(const float* observations, const Word* masks, std::int64_t stride) {
  RM_ASSERT(c_.time < 0);
  c_.time = 0;
  store_rows(observations, masks, stride);
}

void ReplayBuffer::store_rows(const float* columns, const Word* masks, std::int64_t stride) {
  RM_ASSERT(mask_words_ == 0 || masks != nullptr);
  auto* to = reinterpret_cast<Word*>(c_.observations.data() + row_of(c_.time, 0) * row_words_);
  const auto* words = reinterpret_cast<const Word*>(columns);
  for (int i = 0; i < config_.num_envs; ++i) {
    for (int k = 0; k < row_words_ - mask_words_; ++k) *to++ = words[k * stride + i];
    for (int k = 0; k < mask_words_; ++k) *to++ = masks[k * stride + i];
  }
}

std::string ReplayBuffer::first_not_finite(const EnvSpec& spec) const {
  if (spec.observed.kind != ObservationKind::kReal) return "";
  const auto in_row = [&](auto row, std::int64_t environment) -> std::string {
    for (int k = 0; k < row_words_ - mask_words_; ++k) {
      if (std::isfinite(row[k])) continue;
      return "observation '" + spec.observation[static_cast<std::size_t>(k)].name +
             "' of environment " + std::to_string(environment);
    }
    return "";
  };
  std::string found;
  for (std::int64_t row = 0; row < used_rows(c_.time) && found.empty(); ++row)
    found = in_row(c_.observations.data() + row * row_words_, row % config_.num_envs);
  for (std::size_t f = 0; f < c_.final_keys.size() && found.empty(); ++f)
    found = in_row(c_.final_words.begin() + static_cast<std::ptrdiff_t>(f) * row_words_,
                   c_.final_keys[f] % config_.num_envs);
  return found;
}

// Makes room where time + slots will go.
void ReplayBuffer::forget(std::int64_t time) {
  const std::int64_t end = (time + 1) * config_.num_envs;
  while (!c_.final_keys.empty() && c_.final_keys.front() < end) {
    c_.final_keys.pop_front();
    c_.final_words.erase(c_.final_words.begin(), c_.final_words.begin() + row_words_);
  }
  for (int i = 0; tree_ && i < config_.num_envs; ++i) tree_->set(row_of(time, i), 0);
}

void ReplayBuffer::push(const RolloutBuffer& b, const Word* final_masks) {
  RM_ASSERT(c_.time >= 0 && b.num_envs == config_.num_envs);
  RM_ASSERT(mask_words_ == 0 || final_masks != nullptr);
  for (std::int64_t i = 0; i < config_.num_envs; ++i) {
    const std::int64_t row = row_of(c_.time, i);
    for (int k = 0; k < action_words_; ++k)
      c_.actions[static_cast<std::size_t>(row * action_words_ + k)] =
          b.discrete_slot(0)[k * b.stride + i];
    c_.rewards[static_cast<std::size_t>(row)] = b.rewards[i];
    c_.ends[static_cast<std::size_t>(row)] = b.ends[i];
    if (b.ends[i] != kTruncated) continue;
    c_.final_keys.push_back(c_.time * config_.num_envs + i);
    for (int k = 0; k < row_words_ - mask_words_; ++k)
      c_.final_words.push_back(b.final_observations[k * b.stride + i]);
    for (int k = 0; k < mask_words_; ++k)
      c_.final_words.push_back(math::from_bits(final_masks[k * b.stride + i]));
  }
  ++c_.time;
  if (c_.time >= slots_) forget(c_.time - slots_);
  store_rows(b.observation_slot(1), b.mask_slot(1), b.stride);
  const std::int64_t complete = c_.time - config_.n_step;
  for (int i = 0; tree_ && complete >= 0 && i < config_.num_envs; ++i)
    tree_->set(row_of(complete, i), c_.top_priority);
}

void ReplayBuffer::draw(std::uint64_t seed, std::int64_t update, float beta, int count,
                        ReplayDraw* out) const {
  const std::int64_t n = size();
  RM_ASSERT(n > 0 && n <= std::int64_t{0xffffffff});
  Rng rng = replay_rng(seed, update);
  if (!tree_) {
    const std::int64_t first = oldest(c_.time);
    for (int k = 0; k < count; ++k) {
      const std::int64_t index = rng.integer(static_cast<std::uint32_t>(n));
      out[k] = {row_of(first + index / config_.num_envs, index % config_.num_envs), 1.0f};
    }
    return;
  }
  const double part = tree_->total() / count;
  float largest = 0;
  for (int k = 0; k < count; ++k) {
    out[k].row = tree_->find((k + wide_uniform(rng)) * part);
    const double share = tree_->priority(out[k].row) / tree_->total();
    out[k].weight = draw_weight(n, share, beta);
    largest = std::max(largest, out[k].weight);
  }
  for (int k = 0; k < count; ++k) out[k].weight /= largest;
}

void ReplayBuffer::set_errors(const ReplayDraw* drawn, const float* errors, int count) {
  for (int k = 0; tree_ && k < count; ++k) {
    const double priority =
        priority_of(errors[k], config_.priority_epsilon, config_.priority_alpha);
    tree_->set(drawn[k].row, priority);
    c_.top_priority = std::max(c_.top_priority, priority);
  }
}

NStep ReplayBuffer::n_step(std::int64_t row, float* next) const {
  const NStepEnd end = add_n_steps(ring_, c_.rewards.data(), c_.ends.data(), c_.time, row);
  if (end.from == Bootstrap::kFinal) {
    const auto key = std::lower_bound(c_.final_keys.begin(), c_.final_keys.end(),
                                      end.time * config_.num_envs + end.row % config_.num_envs);
    const auto first = c_.final_words.begin() + (key - c_.final_keys.begin()) * row_words_;
    std::copy(first, first + row_words_, next);
  } else {
    const float* from = observations() + end.row * row_words_;
    std::copy(from, from + row_words_, next);
  }
  return end.sum;
}

ReplayBuffer::Content ReplayBuffer::take_content() {
  for (std::int64_t row = 0; tree_ && row < used_rows(c_.time); ++row)
    c_.priorities.push_back(tree_->priority(row));
  return std::move(c_);
}

void ReplayBuffer::set_content(Content content) {
  const std::vector<double> priorities = std::move(content.priorities);
  for (std::size_t row = 0; row < priorities.size(); ++row)
    tree_->set(static_cast<std::int64_t>(row), priorities[row]);
  c_ = std::move(content);
}

void ReplayBuffer::save(H5Group& root) const {
  H5Group g = root.create_group("replay");
  const auto rows = static_cast<std::size_t>(used_rows(c_.time));
  const auto used = [rows](const auto& values, int width) {
    return std::span(values.data(), rows * static_cast<std::size_t>(width));
  };
  g.set_int64("time", c_.time);
  g.set_double("top_priority", c_.top_priority);
  write_array<float>(g, "observations", used(c_.observations, row_words_));
  write_array<std::int32_t>(g, "actions", used(c_.actions, action_words_));
  write_array<float>(g, "rewards", used(c_.rewards, 1));
  write_array<std::uint8_t>(g, "ends", used(c_.ends, 1));
  const std::vector<std::int64_t> keys(c_.final_keys.begin(), c_.final_keys.end());
  const std::vector<float> words(c_.final_words.begin(), c_.final_words.end());
  write_array<std::int64_t>(g, "final_keys", keys);
  write_array<float>(g, "final_observations", words);
  std::vector<double> priorities;
  for (std::size_t row = 0; tree_ && row < rows; ++row)
    priorities.push_back(tree_->priority(static_cast<std::int64_t>(row)));
  write_array<double>(g, "priorities", priorities);
}

std::function<void()> ReplayBuffer::read(const H5Group& root, const std::string& path) {
  const H5Group g = root.open_group("replay");
  Content c;
  c.time = g.get_int64("time");
  if (c.time < 0) fail_data(path + ": the replay buffer's time is negative");
  c.top_priority = g.get_double("top_priority");
  const auto rows = static_cast<std::size_t>(used_rows(c.time));
  const auto width = static_cast<std::size_t>(row_words_);
  const std::string what = path + ": replay";
  // Read where they will stay: for a moment there are two buffers, the second only to be thrown away.
  check_room("reading back ", tree_ ? 8 : 0);
  const auto read_used = [&](const char* name, auto Content::*array, int columns) {
    auto& into = c.*array;
    into.resize((c_.*array).size());
    read_array_into(g, name, std::span(into.data(), rows * static_cast<std::size_t>(columns)),
                    what);
  };
  read_used("observations", &Content::observations, row_words_);
  read_used("actions", &Content::actions, action_words_);
  read_used("rewards", &Content::rewards, 1);
  read_used("ends", &Content::ends, 1);
  require_finite(c.rewards, what, "a reward");
  const auto keys = g.open_dataset("final_keys").read_vector<std::int64_t>();
  c.final_keys.assign(keys.begin(), keys.end());
  const auto words = read_array<float>(g, "final_observations", keys.size() * width, what);
  c.final_words.assign(words.begin(), words.end());
  c.priorities = read_array<double>(g, "priorities", tree_ ? rows : 0, what);
  check(c, path);
  const auto read = std::make_shared<Content>(std::move(c));  // a std::function is copied
  return [this, read] { set_content(std::move(*read)); };
}

bool ReplayBuffer::fits(const std::int32_t* action) const {
  for (std::size_t k = 0; k < static_cast<std::size_t>(action_words_); ++k) {
    if (k < choices_.size() ? action[k] < 0 || action[k] >= choices_[k]
                            : !std::isfinite(std::bit_cast<float>(action[k])))
      return false;
  }
  return true;
}

// What a draw relies on: codes and actions in range, an observation for each truncated end and no other, priorities.
void ReplayBuffer::check(const Content& c, const std::string& path) const {
  std::size_t finals = 0;
  for (std::int64_t time = oldest(c.time); time < c.time; ++time) {
    for (int i = 0; i < config_.num_envs; ++i) {
      const std::int64_t row = row_of(time, i);
      const std::uint8_t end = c.ends[static_cast<std::size_t>(row)];
      const bool known = end != kTruncated || (finals < c.final_keys.size() &&
                                               c.final_keys[finals] == time * config_.num_envs + i);
      if (end > kTruncated || !known || !fits(c.actions.data() + row * action_words_))
        fail_data(path + ": the replay buffer is damaged at time " + std::to_string(time));
      finals += end == kTruncated;
    }
  }
  const bool sane = std::all_of(c.priorities.begin(), c.priorities.end(),
                                [](double p) { return std::isfinite(p) && p >= 0; });
  if (finals != c.final_keys.size() || !sane || !(std::isfinite(c.top_priority)))
    fail_data(path + ": the replay buffer is damaged");
}

}  // namespace rollmill
