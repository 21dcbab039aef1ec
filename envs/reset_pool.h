// Initial states made ahead of need, for environments whose reset is dear. Host batches only; on CUDA a reset is made where it
// is needed, and gives the same bits.
//
//   pool   the next episode's initial state of every environment, prepared a few at a time after each step, so that a step in
//          which many episodes end does not wait for all of their resets
//   cache  with a limited set of levels, the initial state of each level, made once by whoever needs it first
//
// An initial state is a function of (seed, environment, episode) or (level seed, level), so where it was made shows in no
// bit. What is not ready is made directly.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "envs/batch_layout.h"

namespace rollmill {

// Level, parameters and initial state of the episode that the columns name, without its observation.
template <class Env, bool kVaried>
RM_HD void begin_episode(const BatchColumns& columns, const BatchConstants& constants,
                         const typename Env::Params& shared, std::int64_t i) {
  if constexpr (kVaried) draw_world<Env>(columns, constants, shared, i);
  const auto& params = params_at<Env, kVaried>(columns, shared, i);
  typename Env::State state{};
  make_state<Env, kVaried>(columns, constants, params, state, i);
}

template <class Env>
class ResetPool {
 public:
  static constexpr int kStateWords = kWords<typename Env::State>;
  static constexpr int kRefill = 16;  // states prepared after each step of a block

  ResetPool(std::int64_t stride, bool varied)
      : extra_(varied ? 1 + count_param_words<typename Env::Params>() : 0),
        words_(static_cast<std::size_t>(stride) * static_cast<std::size_t>(kStateWords + extra_)),
        episode_(static_cast<std::size_t>(stride)),
        ready_(static_cast<std::size_t>(stride), 0u),
        stride_(stride) {}

  std::size_t bytes() const { return (words_.size() + 2 * episode_.size()) * 4 + levels_.bytes(); }

  // Environment i, or all of them, took other keys.
  void forget(std::int64_t i) { ready_[static_cast<std::size_t>(i)] = 0; }
  void forget_all() { std::fill(ready_.begin(), ready_.end(), 0u); }
  // The world has changed: levels, too.
  void clear(const WorldView& world) {
    forget_all();
    levels_.resize(world.level_count, kStateWords + extra_);
  }

  // The initial state of environment i's episode lanes.episode[k], into lane k.
  template <bool kVaried>
  void take(const BatchColumns& lanes, const BatchConstants& constants,
            const typename Env::Params& shared, int k, std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    const bool ready = ready_[at] != 0 && episode_[at] == lanes.episode[k];
    ready_[at] = 0;
    if (ready) {
      copy(words_.data() + i, stride_, lanes.state + k, lanes.stride, kVaried);
      return;
    }
    make<kVaried>(lanes, constants, shared, k);
  }

  // Prepares up to kRefill states of environments [begin, end), which no other thread steps meanwhile.
  template <bool kVaried>
  void refill(const BatchColumns& columns, const BatchConstants& constants,
              const typename Env::Params& shared, std::int64_t begin, std::int64_t end) {
    constexpr int kWordsOfLane =
        kStateWords + kRuntimeWords + (kVaried ? 1 + count_param_words<typename Env::Params>() : 0);
    std::uint32_t room[kWordsOfLane];
    const BatchColumns lane = layout_columns(room, 1, kStateWords, kVaried);
    int made = 0;
    for (std::int64_t i = begin; i < end && made < kRefill; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (ready_[at] != 0) continue;
      lane.environment[0] = columns.environment[i];
      lane.episode[0] = columns.episode[i] + constants.episode_stride;
      make<kVaried>(lane, constants, shared, 0);
      copy(lane.state, 1, words_.data() + i, stride_, kVaried);
      episode_[at] = lane.episode[0];
      ready_[at] = 1;
      ++made;
    }
  }

 private:
  // Entries by level: 0 empty, 1 being written, 2 ready. Writers of the same level write the same bits; only one does.
  struct Levels {
    int width = 0;
    std::vector<std::uint32_t> words;
    std::unique_ptr<std::atomic<std::uint8_t>[]> state;
    std::size_t count = 0;
    void resize(std::size_t n, int entry_width) {
      constexpr std::size_t kMostWords = std::size_t{64} << 20;  // 256 MiB
      width = entry_width;
      count = n * static_cast<std::size_t>(entry_width) <= kMostWords ? n : 0;
      words.assign(count * static_cast<std::size_t>(entry_width), 0u);
      state = std::make_unique<std::atomic<std::uint8_t>[]>(count + 1);
    }
    std::size_t bytes() const { return words.size() * 4 + count; }
    std::uint32_t* entry(std::size_t k) {
      return words.data() + k * static_cast<std::size_t>(width);
    }
  };

  // State words, then level and parameters: what a reset writes; the runtime's own words between them stay.
  static void copy(const std::uint32_t* from, std::int64_t from_stride, std::uint32_t* to,
                   std::int64_t to_stride, bool varied, bool from_gap, bool to_gap) {
    for (int w = 0; w < kStateWords; ++w) to[w * to_stride] = from[w * from_stride];
    const int extra = varied ? 1 + count_param_words<typename Env::Params>() : 0;
    from += (kStateWords + (from_gap ? kRuntimeWords : 0)) * from_stride;
    to += (kStateWords + (to_gap ? kRuntimeWords : 0)) * to_stride;
    for (int w = 0; w < extra; ++w) to[w * to_stride] = from[w * from_stride];
  }
  // Between the pool's words (no gap) and a batch's or lane's columns (gap).
  void copy(const std::uint32_t* from, std::int64_t from_stride, std::uint32_t* to,
            std::int64_t to_stride, bool varied) const {
    const bool from_pool = from >= words_.data() && from < words_.data() + words_.size();
    copy(from, from_stride, to, to_stride, varied, !from_pool, from_pool);
  }

  template <bool kVaried>
  void make(const BatchColumns& lanes, const BatchConstants& constants,
            const typename Env::Params& shared, int k) {
    if constexpr (kVaried) {
      const WorldView& world = constants.world;
      if (world.level_count != 0 && levels_.count == world.level_count) {
        const std::uint32_t level =
            draw_level(world, constants.seed, lanes.environment[k], lanes.episode[k]);
        const std::size_t index = level - world.level_first;
        std::atomic<std::uint8_t>& state = levels_.state[index];
        if (state.load(std::memory_order_acquire) == 2) {
          copy(levels_.entry(index), 1, lanes.state + k, lanes.stride, true, false, true);
          return;
        }
        begin_episode<Env, true>(lanes, constants, shared, k);
        std::uint8_t empty = 0;
        if (state.compare_exchange_strong(empty, 1)) {
          copy(lanes.state + k, lanes.stride, levels_.entry(index), 1, true, true, false);
          state.store(2, std::memory_order_release);
        }
        return;
      }
    }
    begin_episode<Env, kVaried>(lanes, constants, shared, k);
  }

  int extra_;                           // words beside the state: level and parameters
  std::vector<std::uint32_t> words_;    // [W][stride]
  std::vector<std::uint32_t> episode_;  // which episode a prepared state is of
  std::vector<std::uint32_t> ready_;
  std::int64_t stride_;
  Levels levels_;
};

}  // namespace rollmill
