// Launches of trainer/fused/learner_sequence.cuh.
//
// An update is the same sequence of kernels each time, on arrays that stay where they are: it is captured once as a CUDA graph
// (with ppo.overlap once for each of the two rollouts) and replayed. What differs from update to update (settings, the epochs'
// order) lies in device memory. Only a limit on the KL divergence needs the host between epochs, and only very many minibatches
// make a graph too large: then the kernels are launched one by one.
#include <algorithm>

#include "core/base/assert.h"
#include "core/device/buffer.h"
#include "core/device/cuda_check.cuh"
#include "core/device/cuda_module.h"
#include "core/dist/process_group.h"
#include "rollout/mlp/policy_cuda.cuh"
#include "trainer/fused/device_learner.h"
#include "trainer/fused/learner_sequence.cuh"

namespace rollmill {
namespace {

constexpr std::int64_t kMostCaptured = 4096;  // minibatches of an update

template <class T>
Buffer room(Memory& memory, std::int64_t count) {
  return Buffer(memory, static_cast<std::size_t>(std::max<std::int64_t>(count, 1)) * sizeof(T));
}

// launch() of trainer/fused/learner_sequence.cuh, into a stream.
struct Launcher {
  cudaStream_t stream;
  ProcessGroup* group;
  bool recording;
  int* gathers;  // so far, of an update
  // Where a peer is lost the stream stands still; launches would then wait for room in its queue, and without a deadline.
  static constexpr int kMostUnseen = 32;  // gathers; about ten launches lie between two
  void gather(void* all, std::int64_t bytes, const char* what) const {
    group->all_gather_device(all, bytes, stream, what);
    if (!recording && ++*gathers % kMostUnseen == 0) group->wait_device(stream, what);
  }
  template <class... Parameters, class... Arguments>
  void operator()(const char* name, void (*kernel)(Parameters...), std::int64_t blocks, int threads,
                  std::size_t shared_floats, Arguments... arguments) const {
    kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads),
             shared_floats * sizeof(float), stream>>>(static_cast<Parameters>(arguments)...);
    const cudaError_t code = cudaGetLastError();
    if (code != cudaSuccess)
      internal::cuda_failed(code, ("launch of " + std::string(name)).c_str(), __FILE__, __LINE__);
  }
};

class CudaDeviceLearner final : public DeviceLearner {
 public:
  explicit CudaDeviceLearner(const LearnerContext& context)
      : c_(context),
        layout_(context.weights->layout),
        rank_(context.group->rank()),
        ranks_(context.group->world_size()),
        groups_(groups_of_rank(context.groups, *context.group)),
        memory_(*rollmill_cuda_memory(context.device)),
        policy_(layout_.shape, context.device) {
    const PolicyShape& shape = layout_.shape;
    if (static_cast<int>(shape.choices.size()) > kMaxLearnColumns ||
        shape.reals > kMaxLearnColumns || shape.total_choices() > 32 * kMaxLearnMasks) {
      fail_usage("the environment has more actions than the fused CUDA kernels take (" +
                 std::to_string(kMaxLearnColumns) + " discrete columns, as many real ones, " +
                 std::to_string(32 * kMaxLearnMasks) +
                 " choices); use trainer.kernels = \"reference\"");
    }
    policy_.set_networks(*c_.weights);  // refuses more layers than kernels take
    params_ = room<float>(memory_, layout_.size);
    first_ = room<float>(memory_, layout_.size);
    second_ = room<float>(memory_, layout_.size);
    gradient_ = room<float>(memory_, layout_.size);
    norm_parts_ = room<double>(memory_, std::int64_t{norm_chunks(layout_.size)} * (kNormLanes + 1));
    settings_ = room<LearnSettings>(memory_, 1);
    state_ = room<LearnState>(memory_, 1);
    plan_ = room<AdamPlan>(memory_, 1);
  }

  // After a failure among ranks the GPU may wait for a peer for ever, and freeing memory would wait with it.
  DeviceUpdate update(const RolloutBuffer& buffer, std::int64_t update,
                      double learning_rate) override {
    try {
      return run(buffer, update, learning_rate);
    } catch (...) {
      if (ranks_ > 1) {
        for (Recorded& r : recorded_) r.graph.reset();
        c_.group->abort_device();
      }
      throw;
    }
  }

 private:
  DeviceUpdate run(const RolloutBuffer& buffer, std::int64_t update, double learning_rate) {
    const DeviceScope scope(c_.device);
    prepare(buffer);
    upload(update, learning_rate);
    const PpoOptions& o = *c_.options;
    const bool watched = o.target_kl > 0.0f;
    int epochs = o.epochs;
    // The first update is launched kernel by kernel, so that all of them are loaded before a capture, and an error has a name.
    const bool as_graph =
        !watched && updates_ > 0 && std::int64_t{o.epochs} * o.minibatches <= kMostCaptured;
    CapturedGraph& graph = graph_of(buffer);
    // (Ranks meet first, with a deadline: what comes then has none until it is launched.)
    if (ranks_ > 1 && (updates_ == 0 || (as_graph && !graph.recorded())))
      c_.group->barrier("an update's first collectives");
    if (as_graph) {
      if (!graph.recorded()) {
        graph.record([&] {
          for (int epoch = 0; epoch < o.epochs; ++epoch)
            launch_epoch(Launcher{graph.stream(), c_.group, true, &gathers_}, task_, arrays_, o,
                         c_.frozen, epoch);
        });
      }
      graph.launch(stream());
    } else {
      for (int epoch = 0; epoch < o.epochs; ++epoch) {
        launch_epoch(launcher(), task_, arrays_, o, c_.frozen, epoch);
        if (watched && read_state().epoch_kl > 1.5 * static_cast<double>(o.target_kl)) {
          epochs = epoch + 1;
          break;
        }
      }
    }
    ++updates_;
    launch_spreads(launcher(), task_, spreads_.as<Spread>());
    return download(epochs);
  }

  // All updates go to one stream, a blocking one, whichever graph they are.
  cudaStream_t stream() { return recorded_[0].graph.stream(); }
  Launcher launcher() { return {stream(), c_.group, false, &gathers_}; }

  // A graph keeps pointers into the rollout that it was recorded with. There are one or two, by turns.
  CapturedGraph& graph_of(const RolloutBuffer& buffer) {
    const float* first = recorded_[0].observations;
    Recorded& r = recorded_[first == nullptr || first == buffer.observations ? 0 : 1];
    if (r.observations == nullptr) r.observations = buffer.observations;
    RM_ASSERT(r.observations == buffer.observations);
    return r.graph;
  }

  // A block's shared memory beyond 48 KB must be asked for. (As much as there is: the setting is the kernel's, not this
  // learner's.)
  void set_shared_memory(const ShardKernel& shards) {
    const std::size_t wanted = shards.shared_floats * sizeof(float);
    int most = 0;
    RM_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, c_.device));
    if (wanted > static_cast<std::size_t>(most)) {
      fail_usage("the policy is too wide for the fused CUDA kernels: a tile of it takes " +
                 std::to_string(wanted / 1024) + " KB of shared memory, this GPU has " +
                 std::to_string(most / 1024) + "; use narrower layers, " +
                 (remembers() ? "a smaller memory, " : "") +
                 (task_.products == Products::kFloat32 ? "" : "trainer.precision = \"float32\", ") +
                 "fewer frames or trainer.kernels = \"reference\"");
    }
    RM_CUDA(cudaFuncSetAttribute(shards.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
  }

  // Of policies with memory or convolutions: what backward reads and shared memory cannot hold, for each block that runs at a
  // time. Fewer than one block a multiprocessor would leave some idle.
  void make_block_room(const ShardKernel& kernel) {
    if (kernel.kept_floats == 0) return;
    int resident = 0, processors = 0;
    RM_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel.kernel, kLearnThreads,
                                                          kernel.shared_floats * sizeof(float)));
    RM_CUDA(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, c_.device));
    std::size_t free = 0, total = 0;
    RM_CUDA(cudaMemGetInfo(&free, &total));
    const std::int64_t shards = std::int64_t{groups_} * task_.shards;
    const std::int64_t least = std::min<std::int64_t>(shards, processors);
    const std::int64_t most =
        std::min<std::int64_t>(shards, std::int64_t{processors} * std::max(resident, 1));
    const std::int64_t one = kernel.kept_floats * std::int64_t{sizeof(float)};
    const std::int64_t fit = static_cast<std::int64_t>(free / 10 * 9) / one;  // kernels take some
    if (fit < least) {
      const std::string what =
          remembers()
              ? "from sequences of " + std::to_string(task_.buffer.sequence_length) + " steps"
              : "with convolutions";
      fail_device(
          "learning " + what + " takes " + std::to_string(least * one >> 20) +
          " MB of GPU memory (" + std::to_string(least) + " blocks), " +
          std::to_string(free >> 20) + " MB are free; use " +
          (remembers() ? "a shorter ppo.sequence_length, a smaller policy.memory_size" : "") +
          (remembers() && task_.actor.convs > 0 ? ", " : "") +
          (task_.actor.convs > 0 ? "fewer policy.conv_channels, a larger policy.conv_stride" : "") +
          " or trainer.kernels = \"reference\"");
    }
    task_.resident_blocks = static_cast<int>(std::clamp(fit, least, most));
    kept_ = room<float>(memory_, task_.resident_blocks * kernel.kept_floats);
    task_.kept = kept_.as<float>();
    task_.kept_floats = kernel.kept_floats;
  }

  bool remembers() const { return task_.actor.memory.kind != MemoryKind::kNone; }

  // Everything that depends on the rollout, at the first update: later ones have its shape.
  void prepare(const RolloutBuffer& buffer) {
    if (ready_) {
      RM_ASSERT(buffer.horizon == task_.buffer.horizon && buffer.stride == task_.buffer.stride);
      task_.buffer = buffer;
      return;
    }
    const PpoOptions& o = *c_.options;
    const Products products = device_products(c_.bf16, c_.groups > 0);
    transposed_ =
        room<float>(memory_, set_task(layout_, buffer, o, groups_, ranks_, task_, products));
    policy_.set_normalizer(*c_.weights);
    task_.policy = policy_.device();
    task_.policy.params = params_.as<float>();
    const ShardKernel kernel = shard_kernel_of(task_);
    set_shared_memory(kernel);
    order_ = room<std::uint32_t>(memory_, order_size(task_) * order_epochs(task_, o));
    keys_ = room<ShuffleKey>(memory_, std::int64_t{o.epochs} * groups_);
    const std::vector<float> plain = plain_statistics(o);
    statistics_ = room<float>(memory_, static_cast<std::int64_t>(plain.size()));
    statistics_.copy_in(plain.data(), plain.size() * sizeof(float));
    const std::int64_t sums = std::int64_t{groups_} * o.minibatches;
    parts_ = room<float>(memory_, std::int64_t{groups_} * task_.shards * layout_.size);
    sums_ = room<LossSums>(memory_, std::int64_t{groups_} * task_.shards);
    advantage_parts_ = room<double>(memory_, sums * sum_chunks(task_.units));
    advantage_sums_ = room<double>(memory_, sums * ranks_);
    if (!is_alone(task_)) told_ = room<std::byte>(memory_, told_bytes(task_) * ranks_);
    spreads_ = room<Spread>(memory_, spread_count(task_));
    make_block_room(kernel);  // the last: of what is left
    task_.settings = settings_.as<LearnSettings>();
    task_.transposed = transposed_.as<float>();
    task_.parts = parts_.as<float>();
    task_.sums = sums_.as<LossSums>();
    arrays_ = {order_.as<std::uint32_t>(),
               keys_.as<ShuffleKey>(),
               statistics_.as<float>(),
               advantage_parts_.as<double>(),
               advantage_sums_.as<double>(),
               is_alone(task_) ? nullptr : told_.as<std::byte>(),
               rank_,
               gradient_.as<float>(),
               params_.as<float>(),
               first_.as<float>(),
               second_.as<float>(),
               transposed_.as<float>(),
               norm_parts_.as<double>(),
               state_.as<LearnState>(),
               plan_.as<AdamPlan>()};
    ready_ = true;
  }

  // Copies wait, and the stream waits for the default one, in which they are: what comes next finds them.
  void upload(std::int64_t update, double learning_rate) {
    const std::size_t bytes = static_cast<std::size_t>(layout_.size) * sizeof(float);
    params_.copy_in(c_.weights->params.data(), bytes);
    first_.copy_in(c_.optimizer->first.data(), bytes);
    second_.copy_in(c_.optimizer->second.data(), bytes);
    policy_.set_normalizer(*c_.weights);
    const DevicePolicy& now = policy_.device();
    RM_ASSERT(now.shift == task_.policy.shift && now.scale == task_.policy.scale &&
              now.clip == task_.policy.clip);
    const LearnSettings settings{*c_.options, learning_rate};
    settings_.copy_in(&settings, sizeof settings);
    LearnState state{};
    state.step = c_.optimizer->step;
    state.skipped = state.longest = c_.optimizer->skipped;
    state_.copy_in(&state, sizeof state);
    for (int epoch = 0; epoch < c_.options->epochs; ++epoch) upload_order(update, epoch);
  }

  void upload_order(std::int64_t update, int epoch) {
    const bool computed = task_.samples >= kShuffledFrom;
    const auto place = static_cast<std::size_t>(epoch);
    host_keys_.resize(static_cast<std::size_t>(groups_));
    if (!computed) host_order_.resize(static_cast<std::size_t>(order_size(task_)));
    write_order(task_, c_.seed, rank_, update, epoch, host_keys_.data(), host_order_.data());
    const std::size_t key_bytes = host_keys_.size() * sizeof(ShuffleKey),
                      order_bytes = host_order_.size() * sizeof(std::uint32_t);
    if (computed) {
      keys_.copy_in(host_keys_.data(), key_bytes, place * key_bytes);
    } else {
      order_.copy_in(host_order_.data(), order_bytes, place * order_bytes);
    }
  }

  // With several ranks what waits looks out for those that are lost.
  void wait() {
    if (ranks_ > 1) c_.group->wait_device(stream(), "gradients");
    RM_CUDA(cudaStreamSynchronize(stream()));
  }

  LearnState read_state() {
    wait();
    LearnState state;
    state_.copy_out(&state, sizeof state);
    return state;
  }

  DeviceUpdate download(int epochs) {
    const LearnState state = read_state();
    const std::size_t bytes = static_cast<std::size_t>(layout_.size) * sizeof(float);
    params_.copy_out(c_.weights->params.data(), bytes);
    first_.copy_out(c_.optimizer->first.data(), bytes);
    second_.copy_out(c_.optimizer->second.data(), bytes);
    c_.optimizer->step = state.step;
    c_.optimizer->skipped = state.skipped;
    DeviceUpdate done;
    done.spreads.resize(static_cast<std::size_t>(spread_count(task_)));
    spreads_.copy_out(done.spreads.data(), done.spreads.size() * sizeof(Spread));
    done.longest_skipped = state.longest;
    done.stats = stats_of(state, epochs);
    return done;
  }

  LearnerContext c_;
  const MlpLayout& layout_;
  int rank_, ranks_, groups_;  // groups of this rank
  Memory& memory_;
  CudaPolicy policy_;
  LearnTask task_{};
  LearnArrays arrays_{};
  Buffer params_, first_, second_, gradient_, transposed_, norm_parts_, settings_, state_, plan_;
  Buffer order_, keys_, statistics_, parts_, sums_, advantage_parts_, advantage_sums_, told_,
      spreads_, kept_;
  std::vector<std::uint32_t> host_order_;
  std::vector<ShuffleKey> host_keys_;
  bool ready_ = false;
  std::int64_t updates_ = 0;
  int gathers_ = 0;
  struct Recorded {
    const float* observations = nullptr;  // of the rollout that it learns from
    CapturedGraph graph;                  // of an update
  };
  Recorded recorded_[2];
};

}  // namespace
}  // namespace rollmill

extern "C" rollmill::DeviceLearner* rollmill_make_device_learner(
    const rollmill::LearnerContext* context) {
  return new rollmill::CudaDeviceLearner(*context);
}
