#include "envs/fault_trace.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace rollmill {

FaultTrace::FaultTrace(int steps, int state_words, int action_words, std::int64_t stride)
    : steps_(steps), state_words_(state_words), action_words_(action_words), stride_(stride) {
  ring_.resize(static_cast<std::size_t>(steps * (state_words + action_words) * stride));
}

void FaultTrace::record(const BatchColumns& columns, const void* actions, std::int64_t begin,
                        std::int64_t end) {
  const auto* acts = static_cast<const Word*>(actions);
  for (std::int64_t i = begin; i < end; ++i) {
    std::uint32_t* at = slot(columns.step[i]) + i;
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
  const std::uint32_t kept = std::min(f.step + 1, static_cast<std::uint32_t>(steps_));
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
  // The first ones by key, whatever thread came first.
  const auto key = [](const Fault& x) { return std::tuple(x.environment, x.episode); };
  auto& list = found_.described;
  list.insert(std::upper_bound(list.begin(), list.end(), f,
                               [&](const Fault& a, const Fault& b) { return key(a) < key(b); }),
              f);
  if (list.size() > EnvBatch::kMaxFaults) list.pop_back();
}

EnvBatch::Faults FaultTrace::take() {
  const std::lock_guard lock(*mutex_);
  return std::exchange(found_, {});
}

}  // namespace rollmill
