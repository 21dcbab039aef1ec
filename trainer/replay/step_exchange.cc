#include "trainer/replay/step_exchange.h"

#include <cstring>
#include <vector>

#include "core/base/assert.h"
#include "core/base/error.h"

namespace rollmill {
namespace {

// One text for both directions: `visit` gets each number of a step by reference, to write it down or to set it.
class Writer {
 public:
  explicit Writer(std::string& text) : text_(text) {}
  template <class T>
  void operator()(const T& number) {
    text_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }

 private:
  std::string& text_;
};

class Reader {
 public:
  Reader(const std::string& text, std::size_t rank) : text_(text), rank_(rank) {}
  template <class T>
  void operator()(T& number) {
    if (text_.size() - at_ < sizeof number) fail();
    std::memcpy(&number, text_.data() + at_, sizeof number);
    at_ += sizeof number;
  }
  void finish() const {
    if (at_ != text_.size()) fail();
  }

 private:
  [[noreturn]] void fail() const {
    fail_peer("what rank " + std::to_string(rank_) +
              " tells of its environments' steps is not what this rank expects (" +
              std::to_string(text_.size()) + " bytes); start all ranks from one build and config");
  }

  const std::string& text_;
  std::size_t rank_;
  std::size_t at_ = 0;
};

template <class T, class Visit>
void visit_columns(T* columns, int count, std::int64_t stride, std::int64_t env, Visit& visit) {
  for (int k = 0; k < count; ++k) visit(columns[k * stride + env]);
}

template <class Visit>
void visit_observation(const RolloutBuffer& b, int slot, std::int64_t env, Visit& visit) {
  visit_columns(b.observation_slot(slot), b.observation_columns, b.stride, env, visit);
  visit_columns(b.mask_slot(slot), b.mask_columns, b.stride, env, visit);
}

template <class Mask, class Visit>
void visit_step(const RolloutBuffer& b, Mask* final_masks, std::int64_t env, Visit& visit) {
  visit_columns(b.discrete_slot(0), b.action_size(), b.stride, env, visit);
  visit(b.rewards[env]);
  visit(b.ends[env]);
  visit_observation(b, 1, env, visit);
  if (b.ends[env] == kRunning) return;
  visit(b.episode_returns[env]);
  visit(b.episode_lengths[env]);
  visit(b.outcomes[env]);
  visit(b.episode_levels[env]);
  if (b.ends[env] != kTruncated) return;
  visit_columns(b.final_observations, b.observation_columns, b.stride, env, visit);
  visit_columns(final_masks, b.mask_columns, b.stride, env, visit);
}

}  // namespace

StepExchange::StepExchange(const EnvSpec& spec, int local_envs, ProcessGroup& group)
    : local_envs_(local_envs),
      group_(group),
      all_(spec, 1, local_envs * group.world_size()),
      // Everything that visit_step visits, of words and of less.
      largest_step_(
          std::int64_t{4} * local_envs *
          (spec.action_size() + 6 + 2 * (spec.observation_columns() + spec.mask_columns))) {
  final_masks_.resize(static_cast<std::size_t>(spec.mask_columns * all_.buffer().stride));
}

const RolloutBuffer& StepExchange::gather_start(const RolloutBuffer& local) {
  std::string text;
  Writer writer(text);
  for (int i = 0; i < local_envs_; ++i) visit_observation(local, 0, i, writer);
  std::int64_t env = 0;
  const std::vector<std::string> parts = group_.all_gather(text, "first observations");
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    Reader reader(parts[rank], rank);
    for (int i = 0; i < local_envs_; ++i) visit_observation(all_.buffer(), 0, env++, reader);
    reader.finish();
  }
  return all_.buffer();
}

void StepExchange::add(const RolloutBuffer& local, const Word* final_masks) {
  RM_ASSERT(local.num_envs == local_envs_);
  Writer writer(mine_);
  for (int i = 0; i < local_envs_; ++i) visit_step(local, final_masks, i, writer);
  ++steps_;
}

void StepExchange::exchange(const std::function<void(const RolloutBuffer& step)>& store) {
  const std::vector<std::string> parts = group_.all_gather(mine_, "steps of environments");
  std::vector<Reader> readers;
  for (std::size_t rank = 0; rank < parts.size(); ++rank) readers.emplace_back(parts[rank], rank);
  for (int step = 0; step < steps_; ++step) {
    std::int64_t env = 0;
    for (Reader& reader : readers) {
      for (int i = 0; i < local_envs_; ++i)
        visit_step(all_.buffer(), final_masks_.data(), env++, reader);
    }
    store(all_.buffer());
  }
  for (const Reader& reader : readers) reader.finish();
  mine_.clear();
  steps_ = 0;
}

}  // namespace rollmill
