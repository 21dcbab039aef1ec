#include "trainer/overlapped_experience.h"

#include "core/base/assert.h"
#include "rollout/rollout_fields.h"

namespace rollmill {
namespace {

class OverlappedExperience final : public Experience {
 public:
  OverlappedExperience(std::unique_ptr<RolloutPair> rollouts, const PolicyWeights& weights)
      : weights_(weights), rollouts_(std::move(rollouts)) {
    RM_ASSERT(rollouts_->buffer(0).memory_columns == 0);
  }

  EnvBatch& batch() override { return rollouts_->batch(); }
  const RolloutBuffer& buffer() const override { return rollouts_->buffer(turn_); }
  bool cuda() const override { return rollouts_->memory().on_device(); }
  void refresh_policy() override { rollouts_->set_weights(weights_); }
  void reset() override { rollouts_->reset(turn_); }

  void collect(const AdvantageOptions& options) override {
    options_ = options;
    corrected_ = waits_;
    if (waits_) {
      turn_ ^= 1;
      waits_ = false;
      rollouts_->correct(turn_, options);
    } else {
      rollouts_->make(turn_, options);
    }
  }
  void begin_next() override { rollouts_->begin(turn_ ^ 1, options_); }
  void finish_next() override {
    rollouts_->finish();
    waits_ = true;
  }
  void advance() override {}  // begin_next() has gone on
  Staleness staleness() const override { return corrected_ ? rollouts_->staleness() : Staleness{}; }
  double made_in_seconds() const override { return rollouts_->seconds(turn_); }
  double environment_share() const override { return rollouts_->environment_share(turn_); }
  std::vector<EpisodeRecord> finished_episodes(int groups) const override {
    return rollouts_->finished_episodes(turn_, groups);
  }
  std::vector<Moments> observation_moments(int groups) const override {
    return rollouts_->observation_moments(turn_, groups);
  }

  // Where a rollout waits, it says where it goes on.
  std::vector<float> first_observations() const override {
    const RolloutBuffer& b = rollouts_->buffer(waits_ ? turn_ ^ 1 : turn_);
    std::vector<float> first(static_cast<std::size_t>(b.frame_stack * b.slot_words()));
    rollouts_->memory().copy_out(first.data(), b.observation_slot(1 - b.frame_stack),
                                 first.size() * sizeof(float));
    return first;
  }
  void set_first_observations(const std::vector<float>& observations) override {
    if (waits_) return;
    const RolloutBuffer& b = buffer();
    rollouts_->memory().copy_in(b.observation_slot(1 - b.frame_stack), observations.data(),
                                observations.size() * sizeof(float));
    if (b.mask_columns > 0) batch().observe(b.observation_slot(0), b.mask_slot(0));
  }
  std::vector<float> memory() const override { return {}; }
  void set_memory(const std::vector<float>&) override {}

  std::vector<std::uint8_t> waiting() const override {
    std::vector<std::uint8_t> bytes(waits_ ? waiting_bytes() : 0);
    if (!waits_) return bytes;
    std::uint8_t* to = bytes.data();
    visit(rollouts_->buffer(turn_ ^ 1), [&](auto* field, std::size_t size) {
      rollouts_->memory().copy_out(to, field, size);
      to += size;
    });
    return bytes;
  }
  std::size_t waiting_bytes() const override {
    std::size_t total = 0;
    visit(rollouts_->buffer(0), [&](auto*, std::size_t size) { total += size; });
    return total;
  }
  void set_waiting(const std::vector<std::uint8_t>& bytes) override {
    waits_ = !bytes.empty();
    if (!waits_) return;
    const std::uint8_t* from = bytes.data();
    visit(rollouts_->buffer(turn_ ^ 1), [&](auto* field, std::size_t size) {
      rollouts_->memory().copy_in(field, from, size);
      from += size;
    });
  }
  std::size_t buffer_bytes() const override { return rollouts_->bytes(); }

 private:
  // field(pointer, bytes) for each column of a rollout.
  template <class Field>
  static void visit(RolloutBuffer b, Field&& field) {
    visit_rollout_fields(b, [&](auto*& column, std::int64_t count) {
      field(column, static_cast<std::size_t>(count) * sizeof(*column));
    });
  }

  const PolicyWeights& weights_;
  std::unique_ptr<RolloutPair> rollouts_;
  int turn_ = 0;            // the rollout that is learned from
  bool waits_ = false;      // the other one is made, and nobody has learned from it
  bool corrected_ = false;  // the one that is learned from
  AdvantageOptions options_;
};

}  // namespace

std::unique_ptr<Experience> make_overlapped_experience(std::unique_ptr<RolloutPair> rollouts,
                                                       const PolicyWeights& weights) {
  return std::make_unique<OverlappedExperience>(std::move(rollouts), weights);
}

}  // namespace rollmill
