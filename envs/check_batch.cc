#include "envs/check_batch.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/base/assert.h"
#include "core/base/error.h"

namespace rollmill {
namespace {

enum class Kind { kFloat, kWord, kByte };

// Names of the words that the runtime keeps for each environment after the state (envs/batch_layout.h).
constexpr const char* kRuntimeNames[] = {"global id", "episode", "step", "episode return", "level"};
constexpr std::size_t kReturnWord = 3;

std::uint32_t read(const void* column, Kind kind, int i) {
  if (kind == Kind::kByte) return static_cast<const std::uint8_t*>(column)[i];
  std::uint32_t word;
  std::memcpy(&word, static_cast<const std::byte*>(column) + static_cast<std::size_t>(i) * 4, 4);
  return word;
}

bool is_nan(std::uint32_t bits) { return (bits & 0x7FFFFFFFu) > 0x7F800000u; }

bool same(std::uint32_t a, std::uint32_t b, Kind kind) {
  return a == b || (kind == Kind::kFloat && is_nan(a) && is_nan(b));
}

std::string show(std::uint32_t word, Kind kind) {
  if (kind != Kind::kFloat) return std::to_string(static_cast<std::int32_t>(word));
  float value;
  std::memcpy(&value, &word, 4);
  char text[64];
  std::snprintf(text, sizeof text, "%.9g (0x%08x)", static_cast<double>(value), word);
  return text;
}

// Where each result of a step lies in one allocation, in bytes.
struct Offsets {
  Offsets(const EnvSpec& spec, std::int64_t stride) {
    const auto take = [this](std::int64_t bytes) {
      const std::int64_t at = size;
      size += bytes;
      return static_cast<std::size_t>(at);
    };
    observations = take(spec.observation_columns() * stride * 4);
    final_observations = take(spec.observation_columns() * stride * 4);
    masks = take(spec.mask_columns * stride * 4);
    final_masks = take(spec.mask_columns * stride * 4);
    rewards = take(stride * 4);
    returns = take(stride * 4);
    lengths = take(stride * 4);
    levels = take(stride * 4);
    ends = take(stride);
    outcomes = take(stride);
    size = (size + 63) / 64 * 64;
    actions = take(spec.action_size() * stride * 4);
  }
  std::size_t observations, final_observations, masks, final_masks, rewards, returns, lengths,
      levels, ends, outcomes, actions;
  std::int64_t size = 0;
};

}  // namespace

// One column to compare: element i of both; with `only_ended`, where an episode ended.
struct CheckBatch::Field {
  std::string name;
  const void *expected, *actual;
  Kind kind;
  const std::uint8_t* only_ended = nullptr;
};

CheckBatch::CheckBatch(std::unique_ptr<EnvBatch> expected, std::unique_ptr<EnvBatch> actual,
                       Memory& memory)
    : expected_(std::move(expected)), actual_(std::move(actual)) {
  RM_ASSERT(!expected_->on_device() && actual_->on_device() == memory.on_device());
  RM_ASSERT(expected_->spec().id == actual_->spec().id &&
            expected_->num_envs() == actual_->num_envs());
  RM_ASSERT(expected_->stride() == actual_->stride());
  RM_ASSERT(expected_->snapshot_bytes() == actual_->snapshot_bytes());
  const std::size_t words = expected_->snapshot_bytes() / 4;
  const Offsets at(spec(), stride());
  device_ = Buffer(memory, static_cast<std::size_t>(at.size));
  host_.resize(static_cast<std::size_t>(at.size));
  expected_words_.resize(words);
  actual_words_.resize(words);
  episode_.resize(static_cast<std::size_t>(num_envs()));
  step_.resize(static_cast<std::size_t>(num_envs()));
}

StepBuffers CheckBatch::device_buffers() const {
  const Offsets at(spec(), stride());
  auto* base = device_.as<std::byte>();
  StepBuffers b;
  b.actions = base + at.actions;
  b.observations = reinterpret_cast<float*>(base + at.observations);
  b.final_observations = reinterpret_cast<float*>(base + at.final_observations);
  b.masks = spec().mask_columns > 0 ? reinterpret_cast<Word*>(base + at.masks) : nullptr;
  b.final_masks =
      spec().mask_columns > 0 ? reinterpret_cast<Word*>(base + at.final_masks) : nullptr;
  b.rewards = reinterpret_cast<float*>(base + at.rewards);
  b.episode_returns = reinterpret_cast<float*>(base + at.returns);
  b.episode_lengths = reinterpret_cast<std::int32_t*>(base + at.lengths);
  b.episode_levels = reinterpret_cast<std::uint32_t*>(base + at.levels);
  b.ends = reinterpret_cast<std::uint8_t*>(base + at.ends);
  b.outcomes = reinterpret_cast<std::uint8_t*>(base + at.outcomes);
  return b;
}

void CheckBatch::copy_actions(const StepBuffers& buffers, int begin, int end) {
  const Offsets at(spec(), stride());
  for (int a = 0; a < spec().action_size(); ++a) {
    const auto first = static_cast<std::size_t>(a * stride() + begin) * 4;
    device_.copy_in(static_cast<const std::byte*>(buffers.actions) + first,
                    static_cast<std::size_t>(end - begin) * 4, at.actions + first);
  }
}

void CheckBatch::add_columns(std::vector<Field>& fields, const char* what, const float* expected,
                             const float* actual) const {
  const bool real = spec().observed.kind == ObservationKind::kReal;
  for (int k = 0; k < spec().observation_columns(); ++k) {
    const std::string name =
        real ? "\"" + spec().observation[static_cast<std::size_t>(k)].name + "\""
             : "word " + std::to_string(k);
    fields.push_back({what + (" " + name), expected + k * stride(), actual + k * stride(),
                      real ? Kind::kFloat : Kind::kWord});
  }
}

void CheckBatch::add_masks(std::vector<Field>& fields, const std::string& what,
                           const Word* expected, const Word* actual) const {
  for (int k = 0; k < spec().mask_columns; ++k) {
    fields.push_back({what + " word " + std::to_string(k), expected + k * stride(),
                      actual + k * stride(), Kind::kWord});
  }
}

// The state and the runtime's own words, as columns of both snapshots.
std::vector<CheckBatch::Field> CheckBatch::state_fields() {
  expected_->save(reinterpret_cast<std::byte*>(expected_words_.data()));
  actual_->save(reinterpret_cast<std::byte*>(actual_words_.data()));
  std::vector<Field> fields;
  const std::size_t states = spec().state_fields.size();
  const std::size_t columns = expected_words_.size() / static_cast<std::size_t>(stride());
  for (std::size_t k = 0; k < columns; ++k) {
    std::string name;
    bool real = false;
    if (k < states) {
      name = "state \"" + spec().state_fields[k] + "\"";
      real = spec().state_is_real[k];
    } else if (k - states < std::size(kRuntimeNames)) {
      name = kRuntimeNames[k - states];
      real = k - states == kReturnWord;
    } else {
      const ParamSpec& param = spec().params[k - states - std::size(kRuntimeNames)];
      name = "parameter \"" + param.field.name + "\"";
      real = !param.integer;
    }
    const std::size_t first = k * static_cast<std::size_t>(stride());
    fields.push_back({name, expected_words_.data() + first, actual_words_.data() + first,
                      real ? Kind::kFloat : Kind::kWord});
  }
  return fields;
}

std::vector<CheckBatch::Field> CheckBatch::step_fields(const StepBuffers& b) {
  const Offsets at(spec(), stride());
  device_.copy_out(host_.data(), at.actions);
  const auto real = [&](std::size_t offset) {
    return reinterpret_cast<const float*>(host_.data() + offset);
  };
  std::vector<Field> fields = {{"reward", b.rewards, host_.data() + at.rewards, Kind::kFloat},
                               {"end of episode", b.ends, host_.data() + at.ends, Kind::kByte}};
  const std::size_t always = fields.size();
  if (b.outcomes != nullptr)
    fields.push_back({"outcome", b.outcomes, host_.data() + at.outcomes, Kind::kByte});
  if (b.episode_returns != nullptr) {
    fields.push_back({"return of the ended episode", b.episode_returns, host_.data() + at.returns,
                      Kind::kFloat});
  }
  if (b.episode_lengths != nullptr) {
    fields.push_back(
        {"length of the ended episode", b.episode_lengths, host_.data() + at.lengths, Kind::kWord});
  }
  if (b.episode_levels != nullptr) {
    fields.push_back(
        {"level of the ended episode", b.episode_levels, host_.data() + at.levels, Kind::kWord});
  }
  if (b.final_observations != nullptr) {
    add_columns(fields, "final observation", b.final_observations, real(at.final_observations));
  }
  const auto* words = reinterpret_cast<const Word*>(host_.data());
  if (b.final_masks != nullptr)
    add_masks(fields, "final action mask", b.final_masks, words + at.final_masks / 4);
  for (std::size_t f = always; f < fields.size(); ++f) fields[f].only_ended = b.ends;
  add_columns(fields, "observation", b.observations, real(at.observations));
  add_masks(fields, "action mask", b.masks, words + at.masks / 4);
  return fields;
}

void CheckBatch::report(const Field& f, int env, const char* call) const {
  const auto e = static_cast<std::size_t>(env);
  fail_numerical(spec().id + ": after " + call + " " + std::to_string(calls_) + ", environment " +
                 std::to_string(env) + " (global id " +
                 std::to_string(expected_->episodes().environment[env]) + ", episode " +
                 std::to_string(episode_[e]) + ", step " + std::to_string(step_[e]) +
                 "): " + f.name + " is " + show(read(f.expected, f.kind, env), f.kind) +
                 " on the first device and " + show(read(f.actual, f.kind, env), f.kind) +
                 " on the second; please report it");
}

void CheckBatch::compare(const std::vector<Field>& fields, int begin, int end,
                         const char* call) const {
  int first_env = end;
  const Field* first = nullptr;
  for (const Field& f : fields) {
    for (int i = begin; i < first_env; ++i) {
      if (f.only_ended != nullptr && f.only_ended[i] == kRunning) continue;
      if (same(read(f.expected, f.kind, i), read(f.actual, f.kind, i), f.kind)) continue;
      first_env = i;
      first = &f;
    }
  }
  if (first != nullptr) report(*first, first_env, call);
}

void CheckBatch::reset(float* observations, Word* masks) {
  const std::lock_guard lock(mutex_);
  const Offsets at(spec(), stride());
  expected_->reset(observations, masks);
  actual_->reset(device_buffers().observations, device_buffers().masks);
  std::copy_n(expected_->episodes().episode, num_envs(), episode_.begin());
  std::fill(step_.begin(), step_.end(), 0u);
  calls_ = 0;
  std::vector<Field> fields = state_fields();
  device_.copy_out(host_.data(), at.rewards);
  add_columns(fields, "observation", observations, reinterpret_cast<const float*>(host_.data()));
  add_masks(fields, "action mask", masks, reinterpret_cast<const Word*>(host_.data() + at.masks));
  compare(fields, 0, num_envs(), "reset");
}

void CheckBatch::step_range(const StepBuffers& buffers, int begin, int end) {
  const std::lock_guard lock(mutex_);
  const EpisodeColumns before = expected_->episodes();
  std::copy(before.episode + begin, before.episode + end, episode_.begin() + begin);
  std::copy(before.step + begin, before.step + end, step_.begin() + begin);
  copy_actions(buffers, begin, end);
  if (begin == 0 && end == num_envs()) {
    expected_->step(buffers);
  } else {
    expected_->step_range(buffers, begin, end);
  }
  actual_->step_range(device_buffers(), begin, end);
  ++calls_;
  std::vector<Field> fields = state_fields();
  const std::vector<Field> results = step_fields(buffers);
  fields.insert(fields.end(), results.begin(), results.end());
  compare(fields, begin, end, "step");
}

void CheckBatch::observe(float* observations, Word* masks) {
  const std::lock_guard lock(mutex_);
  const Offsets at(spec(), stride());
  expected_->observe(observations, masks);
  actual_->observe(device_buffers().observations, device_buffers().masks);
  device_.copy_out(host_.data(), at.rewards);
  std::vector<Field> fields;
  add_columns(fields, "observation", observations, reinterpret_cast<const float*>(host_.data()));
  add_masks(fields, "action mask", masks, reinterpret_cast<const Word*>(host_.data() + at.masks));
  compare(fields, 0, num_envs(), "observe");
}

void CheckBatch::load(const std::byte* in) {
  const std::lock_guard lock(mutex_);
  expected_->load(in);
  actual_->load(in);
  compare(state_fields(), 0, num_envs(), "load");
}

void CheckBatch::set_world(const World& world) {
  const std::lock_guard lock(mutex_);
  expected_->set_world(world);
  actual_->set_world(world);
}

void CheckBatch::load_environment(int env, const std::vector<std::uint32_t>& words) {
  const std::lock_guard lock(mutex_);
  expected_->load_environment(env, words);
  actual_->load_environment(env, words);
}

void CheckBatch::set_state_words(int env, const std::vector<std::uint32_t>& words) {
  const std::lock_guard lock(mutex_);
  expected_->set_state_words(env, words);
  actual_->set_state_words(env, words);
}

}  // namespace rollmill
