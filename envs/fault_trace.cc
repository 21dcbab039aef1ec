#include "envs/fault_trace.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace rollmill {

FaultTrace::FaultTrace(int steps, int state_words, int action_words, std::int64_t stride)
    : steps_(steps), state_words_(state_words), action_words_(action_words), stride_(stride) {
  const std::int64_t slots = std::int64_t{steps} * stride;
  ring_.resize(static_cast<std::size_t>(slots * (state_words + action_words)));
  tags_.resize(static_cast<std::size_t>(slots), kNothing);
}

namespace {

std::uint64_t episode_step(std::uint32_t episode, std::uint32_t step) {
  return std::uint64_t{episode} << 32 | step;
}

}  // namespace

void FaultTrace::forget(std::int64_t i) {
  for (int k = 0; k < steps_; ++k) tag(static_cast<std::uint32_t>(k), i) = kNothing;
}

void FaultTrace::record(const BatchColumns& columns, const void* actions, std::int64_t begin,
                        std::int64_t end) {
  const auto* acts = static_cast<const Word*>(actions);
  for (std::int64_t i = begin; i < end; ++i) {
    std::uint32_t* at = slot(columns.step[i]) + i;
    tag(columns.step[i], i) = episode_step(columns.episode[i], columns.step[i]);
    for (int k = 0; k < state_words_; ++k) at[k * stride_] = columns.state[k * stride_ + i];
    for (int k = 0; k < action_words_; ++k)
      at[(state_words_ + k) * stride_] = acts[k * stride_ + i];
  }
}

void FaultTrace::report(const BatchColumns& columns, const void* actions,
                        std::vector<double> params, std::int64_t i) {
  Fault f;
  f.environment = columns.environment[i];
  f.episode = columns.episode[i];
  f.step = columns.step[i] - 1;
  f.level = columns.level != nullptr ? columns.level[i] : 0u;
  f.params = std::move(params);
  for (int k = 0; k < state_words_; ++k) f.broken.push_back(columns.state[k * stride_ + i]);
  // Back as far as the ring holds this episode without a gap.
  std::uint32_t kept = 0;
  while (kept < std::min(f.step + 1, static_cast<std::uint32_t>(steps_)) &&
         tag(f.step - kept, i) == episode_step(f.episode, f.step - kept)) {
    ++kept;
  }
  for (std::uint32_t step = f.step + 1 - kept; step <= f.step && kept > 0; ++step) {
    const std::uint32_t* at = slot(step) + i;
    f.states.emplace_back();
    f.actions.emplace_back();
    for (int k = 0; k < state_words_; ++k) f.states.back().push_back(at[k * stride_]);
    for (int k = 0; k < action_words_; ++k)
      f.actions.back().push_back(at[(state_words_ + k) * stride_]);
  }
  if (kept == 0) {  // no trace: the last action is all that is known
    f.actions.emplace_back();
    const auto* acts = static_cast<const Word*>(actions);
    for (int k = 0; k < action_words_; ++k) f.actions.back().push_back(acts[k * stride_ + i]);
  }
  const std::lock_guard lock(*mutex_);
  ++found_.count;
  add_fault(found_.described, f);
}

void add_fault(std::vector<Fault>& described, const Fault& fault) {
  const auto before = [](const Fault& a, const Fault& b) {
    return std::tuple(a.environment, a.episode) < std::tuple(b.environment, b.episode);
  };
  described.insert(std::upper_bound(described.begin(), described.end(), fault, before), fault);
  if (described.size() > EnvBatch::kMaxFaults) described.pop_back();
}

EnvBatch::Faults FaultTrace::take() {
  const std::lock_guard lock(*mutex_);
  return std::exchange(found_, {});
}

}  // namespace rollmill
