// The CPU runtime of any environment of the contract.
//
// A step goes over blocks of kBlock environments, few enough for the first-level cache:
//   1. step    every environment of the block, branch-free: the compiler turns the author's scalar code into
//              one AVX-512 (or AVX2, SSE2) lane per environment; codes of ends go to a scratch row
//   2. compact the few environments whose episode ended, and record them
//   3. reset   those, gathered into neighbouring lanes: initial states are drawn sixteen at a time too (or, where many have
//              ended, all of them, with a select)
// Blocks run on a persistent pool. A block touches only its own columns, so threads share no cache line.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <type_traits>
#include <vector>

#include "core/base/aligned.h"
#include "core/base/assert.h"
#include "core/base/simd.h"
#include "core/base/thread_pool.h"
#include "envs/batch_layout.h"
#include "envs/dense_ends.h"
#include "envs/describe.h"
#include "envs/fault_trace.h"
#include "envs/reset_pool.h"
#include "envs/step_kernel.h"
#include "envs/usual.h"

namespace rollmill {

// Environments of a block, 64 to 256: as many as fit into 80 KiB, twice a first-level cache. (Fewer would be read faster, but
// each block pays for a whole vector of resets when one episode ends: measured on MinAtar. Where the reset is constant none is
// made: 20 KiB. 512 of the smallest do not fit with all that a step writes beside them: CartPole was 7 % slower.)
constexpr int cpu_block(int words, bool reset_is_constant) {
  const int room = reset_is_constant ? 20 * 1024 : 80 * 1024;
  int block = 256;
  while (block > 64 && block * words * 4 > room) block /= 2;
  return block;
}

template <class Env>
class CpuBatch final : public EnvBatch {
 public:
  using State = typename Env::State;
  using Params = typename Env::Params;
  static constexpr int kStateWords = kWords<State>;
  static constexpr int kParamWords = count_param_words<Params>();
  static constexpr int kMaskWords = mask_columns<Env>();
  static constexpr int kObservationWords = Env::Observation::kSize;
  // A step and an observation of a thousand instructions each use up registers and decoded-instruction cache together: apart, the
  // state is loaded once more, and MinAtar's Asterix and Freeway are a fifth faster.
  // (With a shorter text always: where that holds is asked again after the step.)
  static constexpr bool kObserveApart = ObservesUsual<Env> || requires {
    requires Env::observe_apart;
  };
  // Such a reset is dear and no loop of lanes: none may be made for nothing.
  static constexpr bool kResetSearches = requires { requires Env::reset_searches; };
  // Such a reset gives the same state always: it is made once, where parameters do not vary.
  static constexpr bool kResetIsConstant = requires { requires Env::reset_is_constant; };
  static constexpr int kBlock =
      cpu_block(kStateWords + kRuntimeWords + kObservationWords, kResetIsConstant);
  static constexpr int kResetLanes = 64;  // a multiple of every vector's lanes
  static constexpr int kUsualLanes = usual_lanes<Env>();

  CpuBatch(const BatchConfig& config, ThreadPool* pool)
      : spec_(describe<Env>()),
        params_(make_params<Env>(config.params)),
        config_(config),
        pool_(pool),
        varied_(varies(config)),
        world_(config.world) {
    RM_ASSERT(config.num_envs >= 1);
    stride_ = padded_columns(config.num_envs);
    words_.resize(static_cast<std::size_t>(stride_) * batch_words<Env>(varied_));
    columns_ = layout_columns(words_.data(), stride_, kStateWords, varied_);
    constants_ = batch_constants(config, spec_.time_limit);
    constants_.world = world_.view();
    trace_ = FaultTrace(config.trace_steps, kStateWords, Env::Action::kSize, stride_);
    if constexpr (kResetIsConstant) make_first_step();
    if (config.reset_pool && !starts_from_copy()) {
      ahead_ = std::make_unique<ResetPool<Env>>(stride_, varied_);
      ahead_->clear(constants_.world);
    }
  }

  const EnvSpec& spec() const override { return spec_; }
  int num_envs() const override { return config_.num_envs; }
  std::int64_t stride() const override { return stride_; }
  bool on_device() const override { return false; }
  int preferred_block() const override { return kBlock; }
  EpisodeColumns episodes() const override {
    return {columns_.environment, columns_.episode, columns_.step};
  }

  void reset(float* observations, Word* masks = nullptr) override {
    RM_ASSERT(kMaskWords == 0 || masks != nullptr);
    if (ahead_) ahead_->forget_all();
    trace_.forget_all();
    for_each_block([&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto u = static_cast<std::uint32_t>(i);
        columns_.environment[i] = config_.first_environment + u * config_.environment_stride;
        columns_.episode[i] = config_.first_episode + u * config_.episode_offset;
      }
      by_world([&](auto varied) {
        reset_lanes<varied>(columns_, constants_, params_, observations, masks, begin, end);
      });
    });
  }

  void step(const StepBuffers& buffers) override {
    for_each_block([&](std::int64_t begin, std::int64_t end) { step_block(buffers, begin, end); });
  }

  void step_range(const StepBuffers& buffers, int begin, int end) override {
    for (std::int64_t i = begin; i < end; i += kBlock) {
      step_block(buffers, i, std::min<std::int64_t>(i + kBlock, end));
    }
  }

  void observe(float* observations, Word* masks = nullptr) override {
    RM_ASSERT(kMaskWords == 0 || masks != nullptr);
    for_each_block([&](std::int64_t begin, std::int64_t end) {
      by_world([&](auto varied) {
        observe_lanes<varied>(columns_, params_, observations, masks, begin, end);
      });
    });
  }

  void act_expert(const float* observations, int begin, int end, void* actions) const override {
    if constexpr (ExpertSeesState<Env>) {
      for (std::int64_t i = begin; i < end; ++i) {
        const State state = load_columns<State>(columns_.state, stride_, i);
        Env::Action::store(Env::expert(state, params_here(i)), actions, stride_, i);
      }
    } else if constexpr (ExpertSeesObservation<Env>) {
      using Reader = typename Env::Observation::Reader;
      for (std::int64_t i = begin; i < end; ++i) {
        const Reader o{reinterpret_cast<decltype(Reader::data)>(observations) + i, stride_};
        Env::Action::store(Env::expert(o, params_here(i)), actions, stride_, i);
      }
    } else {
      fail_usage("environment " + spec_.id + " has no scripted expert");
    }
  }

  void set_world(const World& world) override {
    RM_ASSERT(varied_ || (world.draws.empty() && world.levels.count == 0));
    world_ = HostWorld(world);
    constants_.world = world_.view();
    if (ahead_) ahead_->clear(constants_.world);
  }
  std::vector<double> params_of(int env) const override { return param_values(params_here(env)); }
  std::uint32_t level_of(int env) const override { return varied_ ? columns_.level[env] : 0u; }

  std::size_t snapshot_bytes() const override { return words_.size() * sizeof(std::uint32_t); }
  void save(std::byte* out) const override { std::memcpy(out, words_.data(), snapshot_bytes()); }
  void load(const std::byte* in) override {
    std::memcpy(words_.data(), in, snapshot_bytes());
    if (ahead_) ahead_->forget_all();
    trace_.forget_all();
  }

  std::vector<std::uint32_t> save_environment(int env) const override {
    return column_words(env, batch_words<Env>(varied_));
  }
  void load_environment(int env, const std::vector<std::uint32_t>& words) override {
    RM_ASSERT(static_cast<int>(words.size()) == batch_words<Env>(varied_));
    for (std::size_t k = 0; k < words.size(); ++k)
      words_[k * static_cast<std::size_t>(stride_) + static_cast<std::size_t>(env)] = words[k];
    if (ahead_) ahead_->forget(env);
    trace_.forget(env);
  }
  std::vector<std::uint32_t> state_words(int env) const override {
    return column_words(env, kStateWords);
  }
  void set_state_words(int env, const std::vector<std::uint32_t>& words) override {
    RM_ASSERT(static_cast<int>(words.size()) == kStateWords);
    for (int k = 0; k < kStateWords; ++k) columns_.state[k * stride_ + env] = words[k];
    trace_.forget(env);
  }

  Faults take_faults() override { return trace_.take(); }

  std::int64_t bytes_per_environment() const override {
    const std::size_t ahead = ahead_ ? ahead_->bytes() : 0;
    return static_cast<std::int64_t>(snapshot_bytes() + trace_.bytes() + ahead) / config_.num_envs;
  }

 private:
  Params params_here(std::int64_t i) const {
    return varied_ ? load_params<Params>(columns_.params, stride_, i) : params_;
  }

  std::vector<std::uint32_t> column_words(int env, int count) const {
    std::vector<std::uint32_t> words;
    for (int k = 0; k < count; ++k)
      words.push_back(words_[static_cast<std::size_t>(k * stride_ + env)]);
    return words;
  }

  // body(std::bool_constant): whether the world varies, as a constant.
  template <class Body>
  void by_world(Body&& body) const {
    if (varied_) {
      body(std::true_type{});
    } else {
      body(std::false_type{});
    }
  }

  template <class Body>
  void for_each_block(Body&& body) {
    const int blocks = (config_.num_envs + kBlock - 1) / kBlock;
    const auto run_block = [&](int block) {
      const std::int64_t begin = static_cast<std::int64_t>(block) * kBlock;
      body(begin, std::min<std::int64_t>(begin + kBlock, config_.num_envs));
    };
    if (pool_ != nullptr) {
      pool_->run(blocks, run_block);
    } else {
      for (int block = 0; block < blocks; ++block) run_block(block);
    }
  }

  void step_block(const StepBuffers& buffers, std::int64_t begin, std::int64_t end) {
    alignas(kColumnAlignment) std::uint32_t codes[kBlock];
    alignas(kColumnAlignment) std::int32_t ended[kBlock + 16];
    const int count = static_cast<int>(end - begin);
    if (trace_.enabled()) trace_.record(columns_, buffers.actions, begin, end);
    by_world([&](auto varied) {
      step_lanes<varied>(columns_, constants_, params_, buffers, begin, count, codes);
    });
    const std::uint32_t largest = write_ends(codes, buffers.ends + begin, count);
    if (largest != 0)
      end_episodes(buffers, codes, ended, count, begin, (largest >> 8) == kOutcomeNotFinite);
    if (ahead_ && config_.autoreset) {
      by_world([&](auto varied) {
        ahead_->template refill<varied>(columns_, constants_, params_, begin, end);
      });
    }
  }

  // Ends of a block from its codes; returns the largest of those.
  static std::uint32_t write_ends(const std::uint32_t* RM_RESTRICT codes,
                                  std::uint8_t* RM_RESTRICT ends, int count) {
    std::uint32_t largest = 0;
    for (int j = 0; j < count; ++j) {
      ends[j] = static_cast<std::uint8_t>(codes[j]);
      largest = codes[j] > largest ? codes[j] : largest;
    }
    return largest;
  }

  void end_episodes(const StepBuffers& buffers, const std::uint32_t* codes, std::int32_t* ended,
                    int count, std::int64_t begin, bool broken) {
    const int found = compact_nonzero(codes, count, ended);
    if (broken) report_faults(buffers, codes, ended, found, begin);
    const bool many = !kResetSearches && many_ended(found, count) && !ahead_ && !broken;
    if (many) {
      record_ended(columns_, buffers, kObservationWords, kMaskWords, codes, begin, count);
      if (!config_.autoreset) return;
      for (int k = 0; k < count; k += kResetLanes) {
        by_world([&](auto varied) {
          reset_many<varied>(columns_, constants_, params_, buffers, codes + k, begin + k,
                             std::min(kResetLanes, count - k));
        });
      }
      return;
    }
    // What the next episodes are drawn from is gathered before all that is written below: read back as vectors, it would wait
    // for those stores.
    NextKeys keys;
    const bool resets = config_.autoreset && !starts_from_copy();
    if (resets) keys.gather(columns_, constants_.episode_stride, begin, ended, found);
    if (broken) {
      for (int k = 0; k < found; ++k)
        record_episode<Env>(columns_, buffers, codes[ended[k]], begin + ended[k]);
    } else {
      record_some(columns_, buffers, codes, begin, ended, found);
    }
    if (!config_.autoreset) return;  // somebody wants to see the last state
    if (!resets) return start_again(buffers, begin, ended, found);
    for (int k = 0; k < found; k += kResetLanes) {
      by_world([&](auto varied) {
        reset_some<varied>(columns_, constants_, params_, buffers, begin, ended + k,
                           std::min(kResetLanes, found - k), keys, k, ahead_.get());
      });
    }
  }

  // Whole vectors of lanes: a remainder one by one would cost as much as the rest. (Not where a reset searches: it is scalar.)
  static constexpr int kResetVector = kResetSearches ? 1 : kColumnAlignment / 4;
  static constexpr int whole_vectors(int count) {
    return (count + kResetVector - 1) / kResetVector * kResetVector;
  }

  // Whose next episodes are drawn, and which they are.
  struct NextKeys {
    alignas(kColumnAlignment) std::uint32_t environment[kBlock + kResetVector];
    alignas(kColumnAlignment) std::uint32_t episode[kBlock + kResetVector];
    void gather(const BatchColumns& columns, std::uint32_t episode_stride, std::int64_t begin,
                std::int32_t* list, int count) {
      for (int k = count; k < whole_vectors(count); ++k) list[k] = list[0];
      const std::uint32_t* environments = columns.environment + begin;
      const std::uint32_t* episodes = columns.episode + begin;
      for (int k = 0; k < whole_vectors(count); ++k) {
        environment[k] = environments[list[k]];
        episode[k] = episodes[list[k]] + episode_stride;
      }
    }
  };

  void report_faults(const StepBuffers& buffers, const std::uint32_t* codes,
                     const std::int32_t* list, int count, std::int64_t begin) {
    for (int k = 0; k < count; ++k) {
      const std::int64_t i = begin + list[k];
      if ((codes[list[k]] >> 8) == kOutcomeNotFinite)
        trace_.report(columns_, buffers.actions, params_of(static_cast<int>(i)), i);
    }
  }

  // One environment's words of kCount neighbouring columns.
  template <int kCount>
  static void copy_column(const Word* from, std::int64_t from_stride, Word* to,
                          std::int64_t to_stride) {
#pragma GCC unroll 4
    for (int w = 0; w < kCount; ++w, from += from_stride, to += to_stride) *to = *from;
  }

  // to[list[k]] = from[list[k]].
  template <class T>
  static void copy_listed(const T* RM_RESTRICT from, T* RM_RESTRICT to, const std::int32_t* list,
                          int count) {
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k) to[list[k]] = from[list[k]];
  }

  // record_episode for each of the list, none of which is broken: a column at a time, as most of them are asked for or not.
  static void record_some(const BatchColumns& columns, const StepBuffers& out,
                          const std::uint32_t* codes, std::int64_t begin, const std::int32_t* list,
                          int count) {
    if (out.final_observations != nullptr) {
      const auto* from = reinterpret_cast<const Word*>(out.observations) + begin;
      auto* to = reinterpret_cast<Word*>(out.final_observations) + begin;
      const std::int64_t stride = columns.stride;
      for (int k = 0; k < count; ++k)
        copy_column<kObservationWords>(from + list[k], stride, to + list[k], stride);
    }
    if constexpr (kMaskWords > 0) {
      for (int k = 0; k < count && out.final_masks != nullptr; ++k)
        copy_column<kMaskWords>(out.masks + begin + list[k], columns.stride,
                                out.final_masks + begin + list[k], columns.stride);
    }
    if (std::uint8_t* const to = out.outcomes; to != nullptr) {
      for (int k = 0; k < count; ++k)
        to[begin + list[k]] = static_cast<std::uint8_t>(codes[list[k]] >> 8);
    }
    if (out.episode_returns != nullptr)
      copy_listed(columns.episode_return + begin, out.episode_returns + begin, list, count);
    if (std::int32_t* const to = out.episode_lengths; to != nullptr) {
      const std::uint32_t* const from = columns.step;
      for (int k = 0; k < count; ++k)
        to[begin + list[k]] = static_cast<std::int32_t>(from[begin + list[k]]);
    }
    if (out.episode_levels != nullptr) {
      for (int k = 0; k < count; ++k)
        out.episode_levels[begin + list[k]] =
            columns.level != nullptr ? columns.level[begin + list[k]] : 0u;
    }
  }

  // Where episodes start before they are put into a batch: columns of kResetLanes neighbouring lanes.
  template <bool kVaried>
  struct ResetRoom {
    static constexpr int kColumns = kStateWords + kRuntimeWords + (kVaried ? 1 + kParamWords : 0);
    alignas(kColumnAlignment) std::uint32_t words[kColumns * kResetLanes];
    // One row of each to spare: an environment that writes beyond its observation must not tear the stack before the contract
    // checks can say so.
    alignas(kColumnAlignment) float observations[(kObservationWords + 1) * kResetLanes];
    alignas(kColumnAlignment) std::uint32_t masks[(kMaskWords + 1) * kResetLanes];

    BatchColumns lanes() { return layout_columns(words, kResetLanes, kStateWords, kVaried); }

    // Puts lane k into the batch as its environment i: all that a reset writes but the runtime's own columns.
    void put_lane(const BatchColumns& columns, const StepBuffers& buffers, int k,
                  std::int64_t i) const {
      constexpr int kWorld = kStateWords + kRuntimeWords;
      copy_column<kStateWords>(words + k, kResetLanes, columns.state + i, columns.stride);
      if constexpr (kVaried) {
        copy_column<kColumns - kWorld>(words + kWorld * kResetLanes + k, kResetLanes,
                                       columns.state + kWorld * columns.stride + i, columns.stride);
      }
      copy_column<kObservationWords>(reinterpret_cast<const Word*>(observations) + k, kResetLanes,
                                     reinterpret_cast<Word*>(buffers.observations) + i,
                                     columns.stride);
      if constexpr (kMaskWords > 0)
        copy_column<kMaskWords>(masks + k, kResetLanes, buffers.masks + i, columns.stride);
    }
    // put(lanes of a column, the same column of the batch from environment `begin` on), for each of those columns.
    template <class Put>
    void put_all(const BatchColumns& columns, const StepBuffers& buffers, std::int64_t begin,
                 Put&& put) const {
      for (int w = 0; w < kStateWords; ++w)
        put(words + w * kResetLanes, columns.state + w * columns.stride + begin);
      for (int w = kStateWords + kRuntimeWords; w < kColumns; ++w)
        put(words + w * kResetLanes, columns.state + w * columns.stride + begin);
      const auto* observed = reinterpret_cast<const Word*>(observations);
      auto* target = reinterpret_cast<Word*>(buffers.observations) + begin;
      for (int w = 0; w < kObservationWords; ++w)
        put(observed + w * kResetLanes, target + w * columns.stride);
      for (int w = 0; w < kMaskWords; ++w)
        put(masks + w * kResetLanes, buffers.masks + w * columns.stride + begin);
    }
  };

  // Next episodes of the listed environments: gathered into neighbouring lanes, so that resets vectorise too, and back.
  // Whole vectors of lanes: a remainder one by one would cost as much as the rest. (Not where a reset searches: it is scalar.)
  template <bool kVaried>
  void reset_some(const BatchColumns& columns, const BatchConstants& constants,
                  const Params& params, const StepBuffers& buffers, std::int64_t begin,
                  const std::int32_t* list, int count, NextKeys& keys, int first,
                  ResetPool<Env>* ahead) const {
    ResetRoom<kVaried> room;
    BatchColumns lanes = room.lanes();
    lanes.environment = keys.environment + first;
    lanes.episode = keys.episode + first;
    const int whole = whole_vectors(count);
    for (int k = 0; k < count; ++k) {
      const std::int64_t i = begin + list[k];
      columns.episode[i] = lanes.episode[k];
      columns.step[i] = 0;
      columns.episode_return[i] = 0.0f;
    }
    if (ahead != nullptr) {
      for (int k = 0; k < count; ++k)
        ahead->template take<kVaried>(lanes, constants, params, k, begin + list[k]);
      observe_lanes<kVaried>(lanes, params, room.observations, room.masks, 0, count);
    } else {
      reset_lanes<kVaried>(lanes, constants, params, room.observations, room.masks, 0, whole);
    }
    for (int k = 0; k < count; ++k) room.put_lane(columns, buffers, k, begin + list[k]);
  }

  bool starts_from_copy() const { return kResetIsConstant && config_.shortcuts && !varied_; }

  // The first state and observation of every episode, where the reset is constant.
  struct FirstStep {
    std::uint32_t state[kStateWords];
    Word observation[kObservationWords], mask[kMaskWords + 1];
  };
  void make_first_step() {
    ResetRoom<false> room;
    room.lanes().environment[0] = room.lanes().episode[0] = 0;
    reset_lanes<false>(room.lanes(), constants_, params_, room.observations, room.masks, 0, 1);
    const auto* observed = reinterpret_cast<const Word*>(room.observations);
    copy_column<kStateWords>(room.words, kResetLanes, first_step_.state, 1);
    copy_column<kObservationWords>(observed, kResetLanes, first_step_.observation, 1);
    copy_column<kMaskWords>(room.masks, kResetLanes, first_step_.mask, 1);
  }
  // Next episodes of the listed environments, where the reset is constant.
  void start_again(const StepBuffers& buffers, std::int64_t begin, const std::int32_t* list,
                   int count) {
    for (int k = 0; k < count; ++k) {
      const std::int64_t i = begin + list[k];
      columns_.episode[i] += constants_.episode_stride;
      columns_.step[i] = 0;
      columns_.episode_return[i] = 0.0f;
      copy_column<kStateWords>(first_step_.state, 1, columns_.state + i, columns_.stride);
      copy_column<kObservationWords>(first_step_.observation, 1,
                                     reinterpret_cast<Word*>(buffers.observations) + i,
                                     columns_.stride);
      if constexpr (kMaskWords > 0)
        copy_column<kMaskWords>(first_step_.mask, 1, buffers.masks + i, columns_.stride);
    }
  }

  // Next episodes of the ended ones of [begin, begin + count), without a list (envs/dense_ends.h). count <= kResetLanes.
  template <bool kVaried>
  static void reset_many(const BatchColumns& columns, const BatchConstants& constants,
                         const Params& params, const StepBuffers& buffers,
                         const std::uint32_t* codes, std::int64_t begin, int count) {
    ResetRoom<kVaried> room;
    next_keys(columns, room.lanes(), constants.episode_stride, codes, begin, count);
    reset_lanes<kVaried>(room.lanes(), constants, params, room.observations, room.masks, 0, count);
    room.put_all(columns, buffers, begin,
                 [&](const Word* from, Word* column) { select_ended(codes, from, column, count); });
  }

  template <bool kVaried>
  static void reset_lanes(const BatchColumns& shared_columns,
                          const BatchConstants& shared_constants, const Params& shared_params,
                          float* observations, Word* masks, std::int64_t begin, std::int64_t end) {
    const BatchColumns columns = shared_columns;
    const BatchConstants constants = shared_constants;
    const Params params = shared_params;
    if constexpr (kVaried) {
      for (std::int64_t i = begin; i < end; ++i) draw_world<Env>(columns, constants, params, i);
    }
#pragma GCC ivdep
    for (std::int64_t i = begin; i < end; ++i)
      start_episode<Env, kVaried>(columns, constants, params, observations, masks, i);
  }

  // Steps [begin, begin + count); codes from codes[0] on.
  template <bool kVaried>
  void step_lanes(const BatchColumns& columns, const BatchConstants& constants,
                  const Params& params, const StepBuffers& buffers, std::int64_t begin, int count,
                  std::uint32_t* codes) const {
    for_usual<kVaried>(columns, params, begin, begin + count, [&](auto env, auto from, auto to) {
      step_loop<typename decltype(env)::type, kVaried>(columns, constants, params, buffers, from,
                                                       static_cast<int>(to - from),
                                                       codes + (from - begin));
      if constexpr (kObserveApart)
        observe_lanes<kVaried>(columns, params, buffers.observations, buffers.masks, from, to);
    });
  }

  template <bool kVaried>
  void observe_lanes(const BatchColumns& columns, const Params& params, float* observations,
                     Word* masks, std::int64_t begin, std::int64_t end) const {
    const auto observe = [&](auto env, auto from, auto to) {
      observe_loop<typename decltype(env)::type, kVaried>(columns, params, observations, masks,
                                                          from, to);
    };
    if constexpr (ObservesUsual<Env>) {
      for_usual<kVaried>(columns, params, begin, end, observe);
    } else {
      observe(std::type_identity<Env>{}, begin, end);
    }
  }

  // body(std::type_identity of Env or of its shorter text, begin, end) for the parts of [begin, end).
  template <bool kVaried, class Body>
  void for_usual(const BatchColumns& columns, const Params& params, std::int64_t begin,
                 std::int64_t end, Body&& body) const {
    if constexpr (HasUsual<Env>) {
      for (std::int64_t from = begin; from < end; from += kUsualLanes) {
        const std::int64_t to = std::min(from + kUsualLanes, end);
        if (config_.shortcuts && all_usual<kVaried>(columns, params, from, to)) {
          body(std::type_identity<Usual<Env>>{}, from, to);
        } else {
          body(std::type_identity<Env>{}, from, to);
        }
      }
    } else {
      body(std::type_identity<Env>{}, begin, end);
    }
  }
  template <bool kVaried>
  static bool all_usual(const BatchColumns& shared_columns, const Params& shared_params,
                        std::int64_t begin, std::int64_t end) {
    const BatchColumns columns = shared_columns;
    const Params params = shared_params;
    std::uint32_t other = 0;
    for (std::int64_t i = begin; i < end; ++i)
      other |= static_cast<std::uint32_t>(
          !Env::usual(load_columns<State>(columns.state, columns.stride, i),
                      params_at<Env, kVaried>(columns, params, i)));
    return other == 0;
  }

  // The loops over environments are kept apart and copy what they are given, so that the compiler sees loop-invariant pointers and
  // vectorises them. (Copies of their own, not arguments by value: those would be read back as vectors while the stores that wrote
  // them by words still wait behind a whole episode's.) Text: Env, or Usual<Env>.
  template <class Text, bool kVaried>
  static void step_loop(const BatchColumns& shared_columns, const BatchConstants& shared_constants,
                        const Params& shared_params, const StepBuffers& shared_buffers,
                        std::int64_t begin, int count, std::uint32_t* RM_RESTRICT codes) {
    const BatchColumns columns = shared_columns;
    const BatchConstants constants = shared_constants;
    const Params params = shared_params;
    const StepBuffers buffers = shared_buffers;
#pragma GCC ivdep
    for (int j = 0; j < count; ++j) {
      codes[j] = step_environment<Text, kVaried, !kObserveApart>(columns, constants, params,
                                                                 buffers, begin + j);
    }
  }

  template <class Text, bool kVaried>
  static void observe_loop(const BatchColumns& shared_columns, const Params& shared_params,
                           float* observations, Word* masks, std::int64_t begin, std::int64_t end) {
    const BatchColumns columns = shared_columns;
    const Params params = shared_params;
#pragma GCC ivdep
    for (std::int64_t i = begin; i < end; ++i)
      write_observation<Text>(load_columns<State>(columns.state, columns.stride, i),
                              params_at<Env, kVaried>(columns, params, i), observations, masks,
                              columns.stride, i);
  }

  EnvSpec spec_;
  Params params_;
  BatchConfig config_;
  ThreadPool* pool_;
  bool varied_;
  HostWorld world_;
  std::int64_t stride_ = 0;
  AlignedVector<std::uint32_t> words_;
  BatchColumns columns_{};
  BatchConstants constants_{};
  FaultTrace trace_;
  FirstStep first_step_{};
  std::unique_ptr<ResetPool<Env>> ahead_;  // null: resets are made where they are needed
};

}  // namespace rollmill
