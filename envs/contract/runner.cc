#include "envs/contract/runner.h"

namespace rollmill::contract {

Runner::Runner(const EnvEntry& entry, const BatchConfig& config, ThreadPool* pool)
    : batch_(entry.make_cpu(config, pool)), n_(config.num_envs), stride_(batch_->stride()) {
  observations.resize(elements(columns() + kGuardColumns));
  final_observations.resize(elements(columns() + kGuardColumns));
  masks.resize(elements(mask_columns() + kGuardColumns));
  final_masks.resize(elements(mask_columns() + kGuardColumns));
  rewards.resize(elements(1));
  returns.resize(elements(1));
  lengths.resize(elements(1));
  levels.resize(elements(1));
  ends.resize(elements(1));
  outcomes.resize(elements(1));
  actions_.resize(elements(spec().action_size()));
  poison();
  batch_->reset(observation_data(), mask_data());
}

void Runner::poison() {
  for (auto* column : {&observations, &final_observations, &masks, &final_masks, &levels}) {
    for (std::uint32_t& x : *column) x = kPoison;
  }
  for (auto* column : {&rewards, &returns}) {
    for (float& x : *column) x = __builtin_bit_cast(float, kPoison);
  }
  for (std::int32_t& x : lengths) x = -7;
  for (auto* column : {&ends, &outcomes}) {
    for (std::uint8_t& x : *column) x = kPoisonByte;
  }
}

StepBuffers Runner::buffers() {
  StepBuffers b;
  b.actions = actions_.data();
  b.observations = observation_data();
  b.masks = mask_data();
  b.rewards = rewards.data();
  b.ends = ends.data();
  b.final_observations = reinterpret_cast<float*>(final_observations.data());
  b.final_masks = mask_columns() == 0 ? nullptr : final_masks.data();
  b.outcomes = outcomes.data();
  b.episode_returns = returns.data();
  b.episode_lengths = lengths.data();
  b.episode_levels = levels.data();
  return b;
}

void Runner::step() {
  draw_actions();
  step_again();
}

void Runner::step_again() {
  if (cut_at.empty()) {
    batch_->step(buffers());
    return;
  }
  int end = n_;
  for (const int begin : cut_at) {
    batch_->step_range(buffers(), begin, end);
    end = begin;
  }
  batch_->step_range(buffers(), 0, end);
}

void Runner::draw_actions() {
  const EpisodeColumns e = batch_->episodes();
  for (int i = 0; i < n_; ++i) {
    Rng rng(77, Purpose::kTest, e.environment[i], e.episode[i], e.step[i]);
    int first = 0, column = 0;
    for (const int choices : spec().choices) {
      std::uint32_t allowed = 0;
      for (int b = 0; b < choices; ++b) allowed += allows(first + b, i) ? 1u : 0u;
      std::uint32_t nth = multiply_high(rng.bits(), allowed > 0 ? allowed : 1u);
      int choice = 0;
      for (int b = 0; b < choices; ++b) {
        if (allows(first + b, i) && nth-- == 0) choice = b;
      }
      actions_[index(column++, i)] = static_cast<std::uint32_t>(choice);
      first += choices;
    }
    for (; column < spec().action_size(); ++column) {
      const FieldSpec& field = spec().action[static_cast<std::size_t>(column)];
      actions_[index(column, i)] = __builtin_bit_cast(
          std::uint32_t,
          rng.uniform(static_cast<float>(field.low), static_cast<float>(field.high)));
    }
  }
}

void Runner::add_step(Fnv& hash, int i) const {
  const auto at = static_cast<std::size_t>(i);
  hash.add(rewards[at]);
  hash.add(std::uint32_t{ends[at]});
  const bool ended = ends[at] != kRunning;
  for (int k = 0; k < columns(); ++k) {
    hash.add(observation(k, i));
    if (ended) hash.add(final_observation(k, i));
  }
  for (int k = 0; k < mask_columns(); ++k) hash.add(mask(k, i));
  if (!ended) return;
  hash.add(std::uint32_t{outcomes[at]});
  hash.add(returns[at]);
  hash.add(static_cast<std::uint32_t>(lengths[at]));
}

std::vector<std::uint64_t> Runner::play(int steps) {
  std::vector<Fnv> hashes(static_cast<std::size_t>(n_));
  for (int i = 0; i < n_; ++i) {
    for (int k = 0; k < columns(); ++k) hashes[static_cast<std::size_t>(i)].add(observation(k, i));
    for (int k = 0; k < mask_columns(); ++k) hashes[static_cast<std::size_t>(i)].add(mask(k, i));
  }
  for (int t = 0; t < steps; ++t) {
    step();
    for (int i = 0; i < n_; ++i) add_step(hashes[static_cast<std::size_t>(i)], i);
  }
  std::vector<std::uint64_t> values;
  for (const Fnv& hash : hashes) values.push_back(hash.value());
  return values;
}

std::vector<std::byte> Runner::snapshot() const {
  std::vector<std::byte> bytes(batch_->snapshot_bytes());
  batch_->save(bytes.data());
  return bytes;
}

}  // namespace rollmill::contract
