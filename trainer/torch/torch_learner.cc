// PPO's update in plain libtorch: what the formulas of trainer/ppo_options.h say, one tensor
// operation after the other, derivatives by autograd. It shares no arithmetic with trainer/fused,
// only the order of the minibatches.
//
// The parameters are one flat leaf tensor; layers are strided views of it (weights lie
// [inputs][outputs padded to 16]), so that their gradients arrive in the flat layout and the
// padding keeps gradient 0.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#if defined(RM_TORCH_CUDA)
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

#include "core/base/assert.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"
#include "rollout/mlp/beta.h"
#include "rollout/mlp/distribution.h"
#include "trainer/may_step.h"
#include "trainer/reference_learner.h"

namespace rollmill {
namespace {

const double kLog2Pi = std::log(2.0 * 3.14159265358979323846);

// A rollout as one row per sample; sample t * num_envs + i. Reals in the learner's precision.
struct Samples {
  at::Tensor observations;                           // [S, inputs] unpacked, normalised, stacked
  at::Tensor choices;                                // [S, discrete columns] int64
  at::Tensor raw_actions;                            // [S, real columns]
  at::Tensor allowed;                                // [S, choices] bool; undefined without masks
  at::Tensor logprobs, values, advantages, returns;  // [S]
};

// Where the rows of a minibatch of sequences are, one tensor a step of time, burn-in first; empty without memory.
struct Sequences {
  std::vector<at::Tensor> samples;  // [units] of all samples
  std::vector<at::Tensor> restart;  // [units, 1] bool: the memory is the rollout's here
  std::vector<at::Tensor> begins;   // [units, 1] bool: an episode begins here
  at::Tensor kept;                  // [units, memory columns] of the rollout
  int burn_in = 0;
};

// What one minibatch's forward pass gives; sums over this rank's rows, double precision scalars on
// the host.
struct Outcome {
  at::Tensor loss;
  double policy = 0, value = 0, entropy = 0, kl = 0, clipped = 0, ratio_error = 0;
};

class TorchLearner final : public Learner {
 public:
  TorchLearner(const LearnerContext& context, bool float64)
      : c_(context),
        o_(*context.options),
        layout_(context.weights->layout),
        type_(float64 ? at::kDouble : at::kFloat),
        device_(context.cuda ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(context.device))
                             : at::Device(at::kCPU)) {
    if (!context.cuda && context.pool != nullptr) at::set_num_threads(context.pool->threads());
    if (!context.cuda) return;
    // cuDNN's own defaults for convolutions: TF32, and sums in any order. A resumed run must give the same bits.
    at::globalContext().setAllowTF32CuDNN(false);
    at::globalContext().setDeterministicCuDNN(true);
  }

  UpdateStats update(const RolloutBuffer& buffer, std::int64_t update,
                     double learning_rate) override {
    try {
      return run(buffer, update, learning_rate);
    } catch (const c10::Error& e) {
      std::string text = e.what_without_backtrace();
      text = text.substr(0, text.find('\n'));
      fail_device(
          "libtorch: " + text +
          (c_.cuda ? "; out of device memory? use fewer environments or more minibatches" : ""));
    }
  }

 private:
  UpdateStats run(const RolloutBuffer& buffer, std::int64_t update, double learning_rate);
  Samples gather(const RolloutBuffer& buffer) const;
  at::Tensor column(const void* data, at::ScalarType type, int width, const RolloutBuffer& b) const;
  at::Tensor observations(const RolloutBuffer& b) const;
  at::Tensor unpack(const at::Tensor& words) const;
  at::Tensor normalize(const at::Tensor& observations) const;
  at::Tensor normalized_advantages(const at::Tensor& advantages) const;
  at::Tensor hidden(const Network& net, const at::Tensor& input) const;
  at::Tensor convolve(const Network& net, const ConvLayer& layer, const at::Tensor& input) const;
  at::Tensor dense(const DenseLayer& layer, const at::Tensor& input) const;
  at::Tensor remember(const MemoryLayer& memory, const at::Tensor& x, const at::Tensor& h) const;
  at::Tensor head(const Network& net, const at::Tensor& observations, const Sequences& at) const;
  Sequences sequences(const RolloutBuffer& b, const at::Tensor& units) const;
  Outcome losses(const Samples& rows, const at::Tensor& observations, const Sequences& at) const;
  void policy_terms(const Samples& rows, const at::Tensor& head, at::Tensor& logp,
                    at::Tensor& entropy) const;
  double explained_variance(const Samples& all) const;
  double average_gradient();
  void adam(double norm, double learning_rate);
  void read_state();
  void write_state();
  at::Tensor from_host(float* data) const {
    return at::from_blob(data, {layout_.size}).to(device_, type_, false, true);
  }

  LearnerContext c_;
  const PpoOptions& o_;
  const MlpLayout& layout_;
  at::ScalarType type_;
  at::Device device_;
  at::Tensor params_, first_, second_;  // [layout size]
};

UpdateStats TorchLearner::run(const RolloutBuffer& buffer, std::int64_t update,
                              double learning_rate) {
#if defined(RM_TORCH_CUDA)
  const c10::OptionalDeviceGuard guard(device_);
#endif
  const c10::AutoGradMode with_gradients(true);
  read_state();
  const Samples all = gather(buffer);
  const bool remembers = buffer.memory_columns > 0;
  const std::int64_t samples = all.observations.size(0);
  const std::int64_t units =
      remembers ? std::int64_t{buffer.sequences()} * buffer.num_envs : samples;
  const std::int64_t rows = samples / o_.minibatches, chosen = units / o_.minibatches;
  std::vector<std::uint32_t> order(static_cast<std::size_t>(units));
  UpdateStats stats;
  stats.explained_variance = explained_variance(all);
  int minibatches = 0;
  for (int epoch = 0; epoch < o_.epochs; ++epoch) {
    minibatch_order(c_.seed, c_.group->rank(), update, epoch, static_cast<std::uint32_t>(units),
                    order.data());
    const std::vector<std::int64_t> wide(order.begin(), order.end());
    const at::Tensor permutation = at::tensor(wide, at::kLong).to(device_);
    double epoch_kl = 0;
    for (int m = 0; m < o_.minibatches; ++m) {
      at::Tensor index = permutation.narrow(0, m * chosen, chosen);
      Sequences at;
      if (remembers) {
        at = sequences(buffer, index);
        index = at::cat(std::vector<at::Tensor>(at.samples.begin() + at.burn_in, at.samples.end()));
      }
      const auto take = [&](const at::Tensor& t) { return t.index_select(0, index); };
      const Samples mb = {take(all.observations),
                          take(all.choices),
                          take(all.raw_actions),
                          all.allowed.defined() ? take(all.allowed) : at::Tensor(),
                          take(all.logprobs),
                          take(all.values),
                          normalized_advantages(take(all.advantages)),
                          take(all.returns)};
      params_.mutable_grad() = at::Tensor();
      const Outcome out = losses(mb, all.observations, at);
      out.loss.backward();
      const double norm = average_gradient();
      if (m == 0 && epoch == 0) stats.first_ratio_error = out.ratio_error;
      double sums[5] = {out.policy, out.value, out.entropy, out.kl, out.clipped};
      c_.group->all_reduce_sum(sums, 5, "loss sums");
      const double count = static_cast<double>(rows) * c_.group->world_size();
      if (!may_step(norm, sums[0] + sums[1], o_.max_skipped, "policy", *c_.optimizer)) {
        ++stats.skipped;
        continue;
      }
      adam(norm, learning_rate);
      stats.policy_loss += sums[0] / count;
      stats.value_loss += sums[1] / count;
      stats.entropy += sums[2] / count;
      epoch_kl += sums[3] / count / o_.minibatches;
      stats.clip_fraction += sums[4] / count;
      stats.grad_norm += norm;
      ++minibatches;
    }
    stats.epochs = epoch + 1;
    stats.approx_kl = epoch_kl;
    if (o_.target_kl > 0.0f && epoch_kl > 1.5 * static_cast<double>(o_.target_kl)) break;
  }
  for (double* mean : {&stats.policy_loss, &stats.value_loss, &stats.entropy, &stats.clip_fraction,
                       &stats.grad_norm}) {
    *mean /= minibatches;
  }
  write_state();
  return stats;
}

// [horizon][width][stride] of the buffer -> [horizon * num_envs, width].
at::Tensor TorchLearner::column(const void* data, at::ScalarType type, int width,
                                const RolloutBuffer& b) const {
  if (width == 0) return at::empty({std::int64_t{b.horizon} * b.num_envs, 0}, device_);
  const auto options = at::TensorOptions().dtype(type).device(device_);
  const at::Tensor raw =
      at::from_blob(const_cast<void*>(data), {b.horizon, width, b.stride}, options);
  return raw.narrow(2, 0, b.num_envs).permute({0, 2, 1}).reshape({-1, width});
}

namespace {

// [S, W] int32 words -> [S, W * 32 / bits] their parts of so many bits, lowest first.
at::Tensor split_words(const at::Tensor& words, int bits) {
  const at::Tensor shifts = at::arange(0, 32, bits, words.options().dtype(at::kLong));
  const at::Tensor wide = words.to(at::kLong).unsqueeze(2);
  return wide.bitwise_right_shift(shifts).bitwise_and((1 << bits) - 1).flatten(1);
}

}  // namespace

// [S, D] int32 words of one frame -> [S, elements] numbers.
at::Tensor TorchLearner::unpack(const at::Tensor& words) const {
  const ObservationSpec& o = layout_.shape.observed;
  switch (o.kind) {
    case ObservationKind::kReal: return normalize(words.view(at::kFloat).to(type_));
    case ObservationKind::kBits: return split_words(words, 1).narrow(1, 0, o.elements).to(type_);
    case ObservationKind::kPixels:
      return split_words(words, 8).narrow(1, 0, o.elements).to(type_) / 255.0;
    case ObservationKind::kChoices: break;
  }
  std::vector<at::Tensor> parts;
  for (std::size_t c = 0; c < o.choices.size(); ++c) {
    // Clamped: a frame from before the first episode may hold anything; it is not used.
    const at::Tensor choice =
        words.select(1, static_cast<std::int64_t>(c)).to(at::kLong).clamp(0, o.choices[c] - 1);
    parts.push_back(at::one_hot(choice, o.choices[c]).to(type_));
  }
  return at::cat(parts, 1);
}

// Frames of slots t - frame_stack + 1 .. t side by side; those before the episode are 0.
at::Tensor TorchLearner::observations(const RolloutBuffer& b) const {
  std::vector<at::Tensor> frames;
  for (int back = b.frame_stack - 1; back >= 0; --back) {
    at::Tensor frame =
        unpack(column(b.observation_slot(-back), at::kInt, b.observation_columns, b));
    if (back > 0) {
      const at::Tensor known = column(b.frames, at::kByte, 1, b).ge(back);
      frame = at::where(known, frame, at::zeros_like(frame));
    }
    frames.push_back(frame);
  }
  return at::cat(frames, 1);
}

Samples TorchLearner::gather(const RolloutBuffer& b) const {
  const auto flat = [&](float* data) {
    return column(data, at::kFloat, 1, b).squeeze(1).to(type_);
  };
  Samples s;
  s.observations = observations(b);
  s.logprobs = flat(b.logprobs);
  s.values = flat(b.values);
  s.advantages = flat(b.advantages);
  s.returns = flat(b.returns);
  s.choices =
      column(b.actions, at::kInt, b.action_size(), b).narrow(1, 0, b.choice_columns).to(at::kLong);
  s.raw_actions = column(b.raw_actions, at::kFloat, b.real_columns, b).to(type_);
  if (b.mask_columns > 0) {
    s.allowed = split_words(column(b.masks, at::kInt, b.mask_columns, b), 1)
                    .narrow(1, 0, layout_.shape.total_choices())
                    .to(at::kBool);
  }
  return s;
}

at::Tensor TorchLearner::normalize(const at::Tensor& observations) const {
  const ObservationNormalizer& n = c_.weights->normalizer;
  if (!n.enabled()) return observations;
  const auto row = [&](const float* data) {
    const std::vector<float> values(data, data + layout_.shape.observed.elements);
    return at::tensor(values, at::kFloat).to(device_, type_);
  };
  return ((observations - row(n.shift())) * row(n.scale())).clamp(-n.clip(), n.clip());
}

// (a - mean) / (std + 1e-8), mean and population std over the minibatch of all ranks.
at::Tensor TorchLearner::normalized_advantages(const at::Tensor& advantages) const {
  if (!o_.normalize_advantages) return advantages;
  const at::Tensor a = advantages.to(at::kDouble);
  const double count = static_cast<double>(a.numel()) * c_.group->world_size();
  double sum = a.sum().item<double>();
  c_.group->all_reduce_sum(&sum, 1, "advantage mean");
  const at::Tensor centred = a - sum / count;
  double squares = centred.square().sum().item<double>();
  c_.group->all_reduce_sum(&squares, 1, "advantage variance");
  return (centred / (std::sqrt(squares / count) + 1e-8)).to(type_);
}

double TorchLearner::explained_variance(const Samples& all) const {
  const c10::AutoGradMode no_gradients(false);
  const at::Tensor target = all.returns.to(at::kDouble),
                   error = target - all.values.to(at::kDouble);
  const double count = static_cast<double>(target.numel()) * c_.group->world_size();
  const auto squares = [&](const at::Tensor& x) {  // about the mean of all ranks
    double sum = x.sum().item<double>();
    c_.group->all_reduce_sum(&sum, 1, "value statistics");
    double result = (x - sum / count).square().sum().item<double>();
    c_.group->all_reduce_sum(&result, 1, "value statistics");
    return result;
  };
  const double total = squares(target), missed = squares(error);
  return total > 0 ? 1.0 - missed / total : std::numeric_limits<double>::quiet_NaN();
}

at::Tensor TorchLearner::dense(const DenseLayer& layer, const at::Tensor& x) const {
  const at::Tensor weight =
      params_.narrow(0, layer.weight, static_cast<std::int64_t>(layer.inputs) * layer.width)
          .view({layer.inputs, layer.width})
          .narrow(1, 0, layer.outputs);
  const at::Tensor bias = params_.narrow(0, layer.bias, layer.outputs);
  if (!c_.bf16) return at::matmul(x, weight) + bias;
  return at::matmul(x.to(at::kBFloat16), weight.to(at::kBFloat16)).to(type_) + bias;
}

// Rows of numbers in and out, ordered as in rollout/mlp/conv.h.
at::Tensor TorchLearner::convolve(const Network& net, const ConvLayer& c,
                                  const at::Tensor& x) const {
  const std::int64_t rows = x.size(0), k = c.kernel;
  const at::Tensor flat = params_.narrow(0, c.weight, std::int64_t{c.patch()} * c.channels);
  const at::Tensor weight =
      c.planes ? flat.view({c.channels_in, k, k, c.channels}).permute({3, 0, 1, 2})
               : flat.view({k, k, c.channels_in, c.channels}).permute({3, 2, 0, 1});
  const at::Tensor image =
      c.planes ? x.view({rows, c.channels_in, c.height_in, c.width_in})
               : x.view({rows, c.height_in, c.width_in, c.channels_in}).permute({0, 3, 1, 2});
  const at::Tensor bias = params_.narrow(0, c.bias, c.channels);
  const auto product = [&](at::ScalarType type) {
    return at::conv2d(image.to(type), weight.to(type), {}, {c.stride, c.stride}).to(type_) +
           bias.view({1, c.channels, 1, 1});
  };
  const at::Tensor y =
      c_.bf16 ? product(at::kBFloat16) : at::conv2d(image, weight, bias, {c.stride, c.stride});
  const at::Tensor out = y.permute({0, 2, 3, 1}).reshape({rows, c.outputs()});
  return net.activation == Activation::kTanh ? at::tanh(out) : at::relu(out);
}

// All layers but the head.
at::Tensor TorchLearner::hidden(const Network& net, const at::Tensor& input) const {
  at::Tensor x = input;
  for (const ConvLayer& c : net.conv) x = convolve(net, c, x);
  for (const DenseLayer& layer : net.dense) {
    if (&layer == &net.head()) break;
    x = dense(layer, x);
    x = net.activation == Activation::kTanh ? at::tanh(x) : at::relu(x);
  }
  return x;
}

// The next state of a memory; the formulas are in rollout/mlp/memory.h.
at::Tensor TorchLearner::remember(const MemoryLayer& m, const at::Tensor& x,
                                  const at::Tensor& h) const {
  const int width = m.gates() * m.width;
  const DenseLayer input{m.inputs, width, width, m.input_weight, m.input_bias};
  const at::Tensor by_x = dense(input, x);
  const auto gate = [&](const at::Tensor& all, int g) {
    return all.narrow(1, g * m.width, m.size);
  };
  if (m.kind == MemoryKind::kMinGru) {
    const at::Tensor z = at::sigmoid(gate(by_x, 0));
    return (1.0 - z) * h + z * gate(by_x, 1);
  }
  const DenseLayer recurrent{m.size, width, width, m.recurrent_weight, m.recurrent_bias};
  const at::Tensor by_h = dense(recurrent, h);
  const at::Tensor r = at::sigmoid(gate(by_x, 0) + gate(by_h, 0));
  const at::Tensor z = at::sigmoid(gate(by_x, 1) + gate(by_h, 1));
  const at::Tensor n = at::tanh(gate(by_x, 2) + r * gate(by_h, 2));
  return (1.0 - z) * n + z * h;
}

Sequences TorchLearner::sequences(const RolloutBuffer& b, const at::Tensor& units) const {
  Sequences s;
  s.burn_in = b.burn_in;
  const at::Tensor k = at::div(units, b.num_envs, "floor"), i = units.remainder(b.num_envs);
  const at::Tensor start = (k * b.sequence_length - b.burn_in).clamp_min(0);
  // Whether the step before ended an episode; of step 0 the kept memory says it.
  const at::Tensor ends = column(b.ends, at::kByte, 1, b).squeeze(1).ne(0);
  for (int j = -b.burn_in; j < b.sequence_length; ++j) {
    const at::Tensor t = at::maximum(k * b.sequence_length + j, start);
    const at::Tensor before = (t - 1).clamp_min(0) * b.num_envs + i;
    s.samples.push_back(t * b.num_envs + i);
    s.restart.push_back(t.eq(start).unsqueeze(1));
    s.begins.push_back(ends.index_select(0, before).logical_and(t.gt(0)).unsqueeze(1));
  }
  const std::int64_t columns = b.memory_columns;
  const at::Tensor kept = at::from_blob(b.memory, {b.sequences(), columns, b.stride},
                                        at::TensorOptions().dtype(at::kFloat).device(device_))
                              .to(type_);
  s.kept = kept.permute({0, 2, 1}).reshape({-1, columns}).index_select(0, k * b.stride + i);
  return s;
}

// The head's outputs of every row; without memory `observations` are the rows', with one all samples'.
at::Tensor TorchLearner::head(const Network& net, const at::Tensor& observations,
                              const Sequences& at) const {
  const MemoryLayer& m = net.memory;
  if (m.kind == MemoryKind::kNone) return dense(net.head(), hidden(net, observations));
  const int offset = &net == &layout_.critic ? m.size : 0;
  const at::Tensor kept = at.kept.narrow(1, offset, m.size);
  at::Tensor h = kept;
  std::vector<at::Tensor> heads;
  for (std::size_t j = 0; j < at.samples.size(); ++j) {
    const bool burning = static_cast<int>(j) < at.burn_in;
    const c10::AutoGradMode gradients(!burning);
    const at::Tensor x = hidden(net, observations.index_select(0, at.samples[j]));
    h = at::where(at.begins[j], at::zeros_like(h), h);
    h = remember(m, x, at::where(at.restart[j], kept, h));
    if (!burning) heads.push_back(dense(net.head(), h));
  }
  return at::cat(heads);
}

// Log-probability [rows] of the recorded actions, and entropy [rows]: sums over the action's columns.
void TorchLearner::policy_terms(const Samples& rows, const at::Tensor& head, at::Tensor& logp,
                                at::Tensor& entropy) const {
  const PolicyShape& shape = layout_.shape;
  logp = at::zeros({head.size(0)}, head.options());
  entropy = at::zeros({head.size(0)}, head.options());
  std::int64_t first = 0;
  for (std::size_t c = 0; c < shape.choices.size(); ++c) {
    at::Tensor logits = head.narrow(1, first, shape.choices[c]);
    at::Tensor forbidden;
    if (rows.allowed.defined()) {
      forbidden = rows.allowed.narrow(1, first, shape.choices[c]).logical_not();
      logits = logits.masked_fill(forbidden, -std::numeric_limits<double>::infinity());
    }
    const at::Tensor all = at::log_softmax(logits, 1);
    const at::Tensor taken = rows.choices.narrow(1, static_cast<std::int64_t>(c), 1);
    logp = logp + all.gather(1, taken).squeeze(1);
    const at::Tensor finite = forbidden.defined() ? all.masked_fill(forbidden, 0.0) : all;
    entropy = entropy - (all.exp() * finite).sum(1);
    first += shape.choices[c];
  }
  if (shape.reals == 0) return;
  if (shape.distribution == RealDistribution::kBeta) {
    const auto shapes = [&](std::int64_t at) {
      return 1.0 + at::softplus(head.narrow(1, at, shape.reals)).clamp_max(kMaxBetaShape);
    };
    const at::Tensor a = shapes(first), b = shapes(first + shape.reals), s = a + b;
    const at::Tensor x = rows.raw_actions;
    const at::Tensor norm = at::lgamma(a) + at::lgamma(b) - at::lgamma(s);
    logp = logp + ((a - 1.0) * x.log() + (b - 1.0) * (1.0 - x).log() - norm - std::log(2.0)).sum(1);
    entropy = entropy + (norm - (a - 1.0) * at::digamma(a) - (b - 1.0) * at::digamma(b) +
                         (s - 2.0) * at::digamma(s) + std::log(2.0))
                            .sum(1);
    return;
  }
  const bool squashed = shape.distribution == RealDistribution::kSquashed;
  const at::Tensor log_std =
      squashed ? head.narrow(1, first + shape.reals, shape.reals).clamp(kMinLogStd, kMaxLogStd)
               : params_.narrow(0, layout_.log_std, shape.reals);
  const at::Tensor u = rows.raw_actions;
  const at::Tensor z = (u - head.narrow(1, first, shape.reals)) / log_std.exp();
  logp = logp + (-0.5 * z.square() - log_std - 0.5 * kLog2Pi).sum(1);
  if (squashed) logp = logp - 2.0 * (std::log(2.0) - u - at::softplus(-2.0 * u)).sum(1);
  entropy = entropy + (log_std + 0.5 * (kLog2Pi + 1.0)).sum(-1);
}

Outcome TorchLearner::losses(const Samples& rows, const at::Tensor& all_observations,
                             const Sequences& at) const {
  at::Tensor logp, entropy;
  const at::Tensor& observations = at.samples.empty() ? rows.observations : all_observations;
  const at::Tensor actor = head(layout_.actor, observations, at);
  policy_terms(rows, actor, logp, entropy);
  const at::Tensor value = layout_.shape.trunk == Trunk::kShared
                               ? actor.select(1, layout_.shape.outputs())
                               : head(layout_.critic, observations, at).squeeze(1);
  const at::Tensor log_ratio = logp - rows.logprobs, ratio = log_ratio.exp();
  const at::Tensor held = ratio.clamp(1.0 - o_.clip, 1.0 + o_.clip);
  const bool weighted = o_.objective == Objective::kImitateWeighted;
  const at::Tensor policy = o_.objective == Objective::kImitate ? -logp
                            : weighted
                                ? -logp * rows.advantages
                                : -at::minimum(ratio * rows.advantages, held * rows.advantages);
  const double delta = o_.value_huber;
  const auto loss_of = [&](const at::Tensor& v) {
    return delta > 0.0 ? at::huber_loss(v, rows.returns, at::Reduction::None, delta)
                       : 0.5 * (v - rows.returns).square();
  };
  at::Tensor value_loss = loss_of(value);
  if (o_.value_clip > 0.0f) {
    const at::Tensor near =
        rows.values + (value - rows.values).clamp(-o_.value_clip, o_.value_clip);
    value_loss = at::maximum(value_loss, loss_of(near));
  }
  if (weighted) value_loss = value_loss * rows.advantages;
  // Sums over this rank's rows divided by all ranks' count: summed over ranks the gradient is the
  // minibatch's mean.
  const double count = static_cast<double>(value.size(0)) * c_.group->world_size();
  Outcome out;
  out.loss = (policy.sum() + o_.value_coefficient * value_loss.sum() -
              o_.entropy_coefficient * entropy.sum()) /
             count;
  const c10::AutoGradMode no_gradients(false);
  const auto total = [](const at::Tensor& t) {
    return t.detach().to(at::kDouble).sum().item<double>();
  };
  out.policy = total(policy);
  out.value = total(value_loss);
  out.entropy = total(weighted && layout_.shape.reals == 0 ? entropy * rows.advantages : entropy);
  if (o_.objective != Objective::kPpo) return out;
  out.kl = total((ratio - 1.0) - log_ratio);
  out.clipped = total((ratio - 1.0).abs() > o_.clip);
  out.ratio_error = (ratio - 1.0).abs().max().item<double>();
  return out;
}

// Sums the gradient over ranks; returns its norm.
double TorchLearner::average_gradient() {
  at::Tensor g = params_.grad();
  if (c_.group->world_size() > 1) {
    if (type_ == at::kDouble) {
      RM_ASSERT(!c_.cuda);
      c_.group->all_reduce_sum(g.mutable_data_ptr<double>(), g.numel(), "gradients");
    } else if (!c_.cuda) {
      c_.group->all_reduce_sum(g.mutable_data_ptr<float>(), g.numel(), "gradients");
    } else {
#if defined(RM_TORCH_CUDA)
      void* stream = c10::cuda::getCurrentCUDAStream(device_.index()).stream();
      c_.group->all_reduce_sum_device(g.mutable_data_ptr<float>(), g.numel(), stream, "gradients");
#endif
    }
  }
  for (const ParamRange& r : c_.frozen) g.narrow(0, r.begin, r.end - r.begin).zero_();
  return std::sqrt(g.to(at::kDouble).square().sum().item<double>());
}

// As torch.optim.Adam, after clipping the gradient to max_grad_norm.
void TorchLearner::adam(double norm, double learning_rate) {
  const c10::AutoGradMode no_gradients(false);
  const std::int64_t t = ++c_.optimizer->step;
  at::Tensor g = params_.grad();
  if (o_.max_grad_norm > 0.0f)
    g = g * std::min(1.0, static_cast<double>(o_.max_grad_norm) / (norm + 1e-6));
  const double beta1 = o_.adam_beta1, beta2 = o_.adam_beta2;
  first_.mul_(beta1).add_(g, 1.0 - beta1);
  second_.mul_(beta2).addcmul_(g, g, 1.0 - beta2);
  const at::Tensor root =
      (second_ / (1.0 - std::pow(beta2, static_cast<double>(t)))).sqrt_().add_(o_.adam_epsilon);
  params_.addcdiv_(first_, root, -learning_rate / (1.0 - std::pow(beta1, static_cast<double>(t))));
}

void TorchLearner::read_state() {
  RM_ASSERT(static_cast<std::int64_t>(c_.optimizer->first.size()) == layout_.size);
  RM_ASSERT(static_cast<std::int64_t>(c_.optimizer->second.size()) == layout_.size);
  params_ = from_host(c_.weights->params.data()).requires_grad_(true);
  first_ = from_host(c_.optimizer->first.data());
  second_ = from_host(c_.optimizer->second.data());
}

void TorchLearner::write_state() {
  const c10::AutoGradMode no_gradients(false);
  at::from_blob(c_.weights->params.data(), {layout_.size}).copy_(params_.detach());
  at::from_blob(c_.optimizer->first.data(), {layout_.size}).copy_(first_);
  at::from_blob(c_.optimizer->second.data(), {layout_.size}).copy_(second_);
}

}  // namespace
}  // namespace rollmill

extern "C" rollmill::Learner* rollmill_make_torch_learner(const rollmill::LearnerContext* context) {
  return new rollmill::TorchLearner(*context, false);
}

extern "C" rollmill::Learner* rollmill_make_torch_learner_float64(
    const rollmill::LearnerContext* context) {
  return new rollmill::TorchLearner(*context, true);
}
