// RolloutPair on a device with streams: in which stream what is launched, and what waits for what. Once for the GPU
// (rollout/rollout_pair_cuda.cu) and for streams of host code that run as early or as late as they may
// (tests/cuda/overlap_emulation_test.cc).
//
//   main stream   set weights | ready | correct k | learn from k ................. | metrics, checkpoint
//   side stream                  hold | begun | clear k', continue from k, play k' | made
//   host          queues all of this                         waits for learning, for made
//
//   rollout k   main's; of what it ended with (slot T and the frames before it, which nobody writes), side reads, too
//   rollout k'  side's from begin() to finish(). What main did with it before (the last update's learning) lies before ready
//   batch       side's from begin() to finish(); main resets, observes and restores it before ready
//   policy      both read it. It is written by copies that the host waits for, while side stands still
//
// main is CUDA's default stream: torch's, that of copies to and from the host, and in order with all blocking streams, which the fused
// learner's graph and its exchanges with other ranks have. side is in order with nothing but these events.
#pragma once

#include <utility>

#include "rollout/rollout_pair.h"

namespace rollmill {

// Device: streams main() and side(), Event (core/device/side_stream.cuh), and of rollout k
//   reset(k), correct(k, options)   launched into main()
//   make(k, options, continues)     into side(); continues: from where the other one ended, else from its own slot 0
//   staleness()                     of the last correct(), which it waits for
// and what a RolloutPair asks of it beside.
template <class Device>
class StreamedRollouts final : public RolloutPair {
 public:
  using Event = typename Device::Event;

  // new_event(): three of them.
  template <class NewEvent, class... Arguments>
  StreamedRollouts(NewEvent&& new_event, Arguments&&... arguments)
      : ready_(new_event()),
        begun_(new_event()),
        made_(new_event()),
        device_(std::forward<Arguments>(arguments)...) {}

  EnvBatch& batch() override { return device_.batch(); }
  Memory& memory() override { return device_.memory(); }
  const RolloutBuffer& buffer(int k) const override { return device_.buffer(k); }
  void set_weights(const PolicyWeights& weights) override { device_.set_weights(weights); }
  void reset(int k) override { device_.reset(k); }

  void make(int k, const AdvantageOptions& options) override {
    ready_.record(device_.main());
    play(k, options, /*continues=*/false);
    finish();
  }
  void begin(int k, const AdvantageOptions& options) override {
    play(k, options, /*continues=*/true);
  }
  // The one wait of a rollout: honest times. (A kernel that faults while the learner works may be reported by whichever of the two
  // calls CUDA next: such an error is the whole context's.)
  void finish() override {
    made_.wait();
    seconds_[playing_] = made_.seconds_since(begun_);
  }
  void correct(int k, const AdvantageOptions& options) override {
    ready_.record(device_.main());  // before the correction: the next rollout need not wait for it
    device_.correct(k, options);
  }
  Staleness staleness() const override { return device_.staleness(); }
  double seconds(int k) const override { return seconds_[k]; }
  double environment_share(int) const override { return __builtin_nan(""); }
  std::vector<EpisodeRecord> finished_episodes(int k, int groups) const override {
    return device_.finished_episodes(k, groups);
  }
  std::vector<Moments> observation_moments(int k, int groups) override {
    return device_.observation_moments(k, groups);
  }
  std::size_t bytes() const override { return device_.bytes(); }

 private:
  void play(int k, const AdvantageOptions& options, bool continues) {
    ready_.hold(device_.side());
    begun_.record(device_.side());
    device_.make(k, options, continues);
    made_.record(device_.side());
    playing_ = k;
  }

  Event ready_, begun_, made_;
  int playing_ = 0;
  double seconds_[2] = {};
  Device device_;  // the last member: it waits for its streams before anything goes
};

}  // namespace rollmill
