// Off-policy learning whose arrays lie in one Memory, a GPU's or in tests the host's, and whose kernels a Launch starts: what its
// algorithms have in common, the replay buffer, the episodes that ended and the turns.
//
// The host only counts: how many turns there are, and whether they learn, follows from numbers of steps. It asks for nothing before
// the end of a report, but where more episodes may have ended than their log has room for.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <string>
#include <vector>

#include "core/base/assert.h"
#include "core/base/error.h"
#include "core/device/buffer.h"
#include "rollout/collector.h"
#include "rollout/policy.h"
#include "trainer/replay/device_off_policy.h"
#include "trainer/replay/minibatch_kernels.cuh"
#include "trainer/replay/replay_kernels.cuh"

namespace rollmill {

template <class Launch>
class ReplayMachine {
 public:
  virtual ~ReplayMachine() = default;

 protected:
  ReplayMachine(const DeviceOffPolicyConfig& config, const OffPolicyOptions& options,
                Memory& memory, EnvBatch& batch, const Launch& launch)
      : options_(options),
        capacity_(config.replay.capacity),
        memory_(memory),
        batch_(batch),
        launch_(launch) {
    log_steps_ =
        std::clamp<std::int64_t>(config.log_room / batch.num_envs(), 1, options.report_every);
    const EnvSpec& spec = batch.spec();
    replay_.ring = ring_of(config.replay);
    replay_.row_words = spec.observation_columns() + spec.mask_columns;
    replay_.mask_words = spec.mask_columns;
    replay_.action_words = spec.action_size();
    replay_.priority_alpha = config.replay.priority_alpha;
    replay_.priority_epsilon = config.replay.priority_epsilon;
    replay_.base =
        static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(ring().rows())));
    RM_ASSERT(ring().n_step < ring().slots && ring().rows() <= std::int64_t{0xffffffff});
  }

  // One step of all environments; one update; before a report. Kernels only, for a graph to capture.
  virtual void launch_step() = 0;
  virtual void launch_update() = 0;
  virtual void launch_begin_report() = 0;
  // What a GPU plays as a graph.
  virtual void run_turn(bool learns) { launch_turn(learns); }

  void launch_turn(bool learns) {
    for (int t = 0; t < options_.train_every; ++t) launch_step();
    for (int u = 0; learns && u < options_.updates_per_step; ++u) launch_update();
  }

  void start_episodes() {
    batch_.reset(step_.observations, step_.masks);
    launch_("first_rows_kernel", first_rows_kernel, element_blocks(batch_.num_envs()),
            kElementThreads, 0, step_, replay_);
  }

  // The turns of a report; finished episodes in (time, environment) order.
  std::vector<EpisodeRecord> play_turns() {
    std::vector<EpisodeRecord> finished;
    std::int64_t time = read(replay_.state).time;
    launch_begin_report();
    for (int made = 0; made < options_.report_every; made += options_.train_every) {
      time += options_.train_every;
      const bool learns =
          time * batch_.num_envs() >= options_.learning_starts && ring().size(time) > 0;
      if (options_.train_every <= log_steps_) {
        if (logged_ + options_.train_every > log_steps_) drain(finished);
        run_turn(learns);
        logged_ += options_.train_every;
        continue;
      }
      for (int t = 0; t < options_.train_every; ++t, ++logged_) {
        if (logged_ == log_steps_) drain(finished);
        launch_step();
      }
      for (int u = 0; learns && u < options_.updates_per_step; ++u) launch_update();
    }
    drain(finished);
    RM_ASSERT(read(replay_.state).time == time);
    return finished;
  }

  // After the policy's actions: the environments' step, into the buffer.
  void launch_environments() {
    batch_.step(step_buffers());
    launch_("store_kernel", store_kernel, element_blocks(batch_.num_envs()), kElementThreads, 0,
            step_, replay_, log_);
    launch_("advance_kernel", advance_kernel, 1, kOneBlockThreads, 0, replay_);
  }
  ActRequest act_request() const {
    ActRequest q;
    q.observations = step_.observations;
    q.masks = step_.masks;
    q.stride = step_.stride;
    q.keys = batch_.episodes();
    q.end = batch_.num_envs();
    q.actions = step_.actions;
    return q;
  }

  // Rows of a part of a tile, in so many floats of a block's shared memory; floats(rows): what they take.
  template <class Floats>
  int rows_at_once(std::size_t shared_floats, Floats&& floats) const {
    const int rows = rows_of_part(shared_floats, floats);
    if (rows > 0) return rows;
    const auto kilobytes = [](std::size_t n) { return std::to_string(n * sizeof(float) / 1024); };
    fail_usage("the networks are too wide for the CUDA kernels: four rows of them take " +
               kilobytes(floats(kLearnBlockRows)) + " KB of shared memory, a block has " +
               kilobytes(shared_floats) +
               "; use fewer or narrower layers, or env.device = \"cpu\"");
  }

  // Registered first, then allocated once; each array starts on 256 bytes. visit(field) calls field(pointer&, elements) for each
  // array of the algorithm.
  template <class Visit>
  void allocate(Visit&& visit) {
    const auto padded = [](auto* field, std::int64_t n) {
      return (static_cast<std::size_t>(n) * sizeof(*field) + 255) / 256 * 256;
    };
    std::size_t bytes = 0;
    const auto measure = [&](auto*& field, std::int64_t n) { bytes += padded(field, n); };
    visit_replay(measure);
    visit(measure);
    try {
      storage_ = Buffer(memory_, bytes);
    } catch (const Error& e) {
      if (e.code() != ExitCode::kDevice) throw;
      fail_device("a replay buffer of " + std::to_string(capacity_) +
                  " transitions and what learns from it take " + std::to_string(bytes >> 20) +
                  " MB of GPU memory, which is not free; lower buffer_size or batch_size, or use "
                  "env.device = "
                  "\"cpu\"");
    }
    auto* next = storage_.template as<std::byte>();
    const auto place = [&](auto*& field, std::int64_t n) {
      const std::size_t room = padded(field, n);
      field = reinterpret_cast<std::remove_reference_t<decltype(field)>>(next);
      next += room;
    };
    visit_replay(place);
    visit(place);
    step_.stride = batch_.stride();
  }

  template <class T>
  void out(T* to, const T* from, std::int64_t n) const {
    memory_.copy_out(to, from, static_cast<std::size_t>(n) * sizeof(T));
  }
  template <class T>
  void in(T* to, const T* from, std::int64_t n) const {
    memory_.copy_in(to, from, static_cast<std::size_t>(n) * sizeof(T));
  }
  template <class T>
  T read(const T* from) const {
    T value;
    out(&value, from, 1);
    return value;
  }
  AlignedVector<float> read_floats(const float* from, std::int64_t n) const {
    AlignedVector<float> values(static_cast<std::size_t>(n));
    out(values.data(), from, n);
    return values;
  }

  ReplayBuffer::Content read_replay() const;
  // The batch must be as it was with that content.
  void write_replay(const ReplayBuffer::Content& content);

  const ReplayRing& ring() const { return replay_.ring; }
  const OffPolicyOptions& options() const { return options_; }

  OffPolicyOptions options_;
  std::int64_t capacity_;
  Memory& memory_;
  EnvBatch& batch_;
  Launch launch_;
  DeviceReplay replay_{};

 private:
  // What the environments show next goes where they showed what they were acted on.
  StepBuffers step_buffers() const {
    StepBuffers b;
    b.actions = step_.actions;
    b.observations = step_.observations;
    b.masks = step_.masks;
    b.rewards = step_.rewards;
    b.ends = step_.ends;
    b.final_observations = step_.final_observations;
    b.final_masks = step_.final_masks;
    b.outcomes = step_.outcomes;
    b.episode_returns = step_.returns;
    b.episode_lengths = step_.lengths;
    b.episode_levels = step_.levels;
    return b;
  }

  template <class Field>
  void visit_replay(Field&& field) {
    DeviceReplay& r = replay_;
    const EnvSpec& spec = batch_.spec();
    const std::int64_t rows = ring().rows(), stride = batch_.stride(),
                       words = spec.observation_columns() * stride,
                       mask_words = spec.mask_columns * stride,
                       log = log_steps_ * batch_.num_envs();
    field(r.observations, rows * r.row_words);
    field(r.finals, rows * r.row_words);
    field(r.actions, rows * r.action_words);
    field(r.rewards, rows);
    field(r.ends, rows);
    if (r.priority_alpha > 0) field(r.nodes, 2 * r.base);
    field(r.state, 1);
    StepColumns& s = step_;
    field(s.observations, words);
    field(s.final_observations, words);
    if (mask_words > 0) field(s.masks, mask_words);
    if (mask_words > 0) field(s.final_masks, mask_words);
    field(s.actions, spec.action_size() * stride);
    field(s.rewards, stride);
    field(s.ends, stride);
    field(s.outcomes, stride);
    field(s.returns, stride);
    field(s.lengths, stride);
    field(s.levels, stride);
    field(log_.returns, log);
    field(log_.lengths, log);
    field(log_.levels, log);
    field(log_.ends, log);
    field(log_.outcomes, log);
  }

  // The log's episodes to the host, which waits for the device.
  void drain(std::vector<EpisodeRecord>& finished) {
    const std::int64_t n = logged_ * batch_.num_envs();
    const auto size = static_cast<std::size_t>(n);
    std::vector<std::uint8_t> ends(size), outcomes(size);
    std::vector<float> returns(size);
    std::vector<std::int32_t> lengths(size);
    std::vector<std::uint32_t> levels(size);
    out(ends.data(), log_.ends, n);
    out(outcomes.data(), log_.outcomes, n);
    out(returns.data(), log_.returns, n);
    out(lengths.data(), log_.lengths, n);
    out(levels.data(), log_.levels, n);
    for (std::size_t k = 0; k < size; ++k) {
      if (ends[k] != kRunning)
        finished.push_back({returns[k], lengths[k], outcomes[k], levels[k], 0.0f});
    }
    logged_ = 0;
    in(&replay_.state->logged, &logged_, 1);
  }

  StepColumns step_{};
  EpisodeLog log_{};
  Buffer storage_;
  std::int64_t log_steps_ = 1;
  std::int64_t logged_ = 0;  // as the state's
};

// As the CPU's buffer holds it: last observations of episodes that were cut off are a list.
template <class Launch>
ReplayBuffer::Content ReplayMachine<Launch>::read_replay() const {
  const DeviceReplay& r = replay_;
  const ReplayState s = read(r.state);
  const std::int64_t rows = ring().used_rows(s.time), all = ring().rows();
  ReplayBuffer::Content c;
  c.time = s.time;
  c.top_priority = s.top_priority;
  const auto take = [&](auto& to, const auto* from, std::int64_t width) {
    to.resize(static_cast<std::size_t>(all * width));
    out(to.data(), from, rows * width);
  };
  take(c.observations, r.observations, r.row_words);
  take(c.actions, r.actions, r.action_words);
  take(c.rewards, r.rewards, 1);
  take(c.ends, r.ends, 1);
  const AlignedVector<float> finals = read_floats(r.finals, rows * r.row_words);
  for (std::int64_t t = ring().oldest(s.time); t < s.time; ++t) {
    for (std::int64_t i = 0; i < ring().num_envs; ++i) {
      const std::int64_t row = ring().row_of(t, i);
      if (c.ends[static_cast<std::size_t>(row)] != kTruncated) continue;
      c.final_keys.push_back(t * ring().num_envs + i);
      const auto first = finals.begin() + row * r.row_words;
      c.final_words.insert(c.final_words.end(), first, first + r.row_words);
    }
  }
  if (r.nodes == nullptr) return c;
  c.priorities.resize(static_cast<std::size_t>(rows));
  out(c.priorities.data(), r.nodes + r.base, rows);
  return c;
}

template <class Launch>
void ReplayMachine<Launch>::write_replay(const ReplayBuffer::Content& c) {
  const DeviceReplay& r = replay_;
  const std::int64_t rows = c.time < 0 ? 0 : ring().used_rows(c.time);
  in(r.observations, c.observations.data(), rows * r.row_words);
  in(r.actions, c.actions.data(), rows * r.action_words);
  in(r.rewards, c.rewards.data(), rows);
  in(r.ends, c.ends.data(), rows);
  std::vector<float> finals(static_cast<std::size_t>(rows * r.row_words));
  auto word = c.final_words.begin();
  for (const std::int64_t key : c.final_keys) {
    const std::int64_t row = ring().row_of(key / ring().num_envs, key % ring().num_envs);
    std::copy(word, word + r.row_words, finals.begin() + row * r.row_words);
    word += r.row_words;
  }
  in(r.finals, finals.data(), rows * r.row_words);
  if (r.nodes != nullptr) {
    std::vector<double> nodes(static_cast<std::size_t>(2 * r.base));
    std::copy(c.priorities.begin(), c.priorities.end(), nodes.begin() + r.base);
    for (auto node = static_cast<std::size_t>(r.base) - 1; node >= 1; --node)
      nodes[node] = nodes[2 * node] + nodes[2 * node + 1];
    in(r.nodes, nodes.data(), 2 * r.base);
  }
  const ReplayState s{std::max<std::int64_t>(c.time, 0), 0, c.top_priority};
  logged_ = 0;
  in(r.state, &s, 1);
  // The observations of the next step: a function of the states.
  if (c.time >= 0) batch_.observe(step_.observations, step_.masks);
}

}  // namespace rollmill
