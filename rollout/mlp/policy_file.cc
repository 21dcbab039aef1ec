#include "rollout/mlp/policy_file.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <span>

#include "core/base/error.h"
#include "core/io/safetensors.h"
#include "rollout/buffer.h"

namespace rollmill {
namespace {

// 1: real observations without stacking; one choice, or real actions; two tanh networks. 2: every kind of space. 3: every kind
// of network. Written as the lowest that says it.
constexpr const char* kFormats[] = {"rollmill-policy-1", "rollmill-policy-2", "rollmill-policy-3"};

int format_of(const PolicyShape& s) {
  const PolicyChoices plain;
  if (s.activation != plain.activation || s.trunk != plain.trunk ||
      s.distribution != plain.distribution || s.memory != plain.memory ||
      !s.conv.empty())
    return 3;
  const bool narrow = s.observed.kind == ObservationKind::kReal && s.frame_stack == 1 &&
                      (s.choices.empty() || (s.choices.size() == 1 && s.reals == 0));
  return narrow ? 1 : 2;
}

std::string list_text(const std::vector<int>& values) {
  std::string text;
  for (const int v : values) text += (text.empty() ? "" : ",") + std::to_string(v);
  return text;
}

// Where the file has input i of a network's dense layer l: as torch flattens a convolution's output, [channel][y][x], where
// ours is [y][x][channel].
int file_input(const Network& net, std::size_t l, int i) {
  if (l > 0 || net.conv.empty()) return i;
  const ConvLayer& c = net.conv.back();
  return i % c.channels * c.positions() + i / c.channels;
}

// Calls visit(index in the file's weight [outputs][inputs], index in ours) for all weights of dense layer l.
template <class Visit>
void visit_dense(const Network& net, std::size_t l, Visit&& visit) {
  const DenseLayer& layer = net.dense[l];
  for (int i = 0; i < layer.inputs; ++i) {
    const auto column = static_cast<std::size_t>(file_input(net, l, i));
    for (int o = 0; o < layer.outputs; ++o) {
      visit(static_cast<std::size_t>(o) * static_cast<std::size_t>(layer.inputs) + column,
            layer.weight + static_cast<std::int64_t>(i) * layer.width + o);
    }
  }
}

// And of a convolution, [channels][channels in][ky][kx] in the file.
template <class Visit>
void visit_conv(const ConvLayer& c, Visit&& visit) {
  const int k = c.kernel;
  for (int e = 0; e < c.patch(); ++e) {
    const int in = c.planes ? e / (k * k) : e % c.channels_in;
    const int at = c.planes ? e % (k * k) : e / c.channels_in;
    for (int o = 0; o < c.channels; ++o) {
      visit((static_cast<std::size_t>(o) * static_cast<std::size_t>(c.channels_in) +
             static_cast<std::size_t>(in)) *
                    static_cast<std::size_t>(k * k) +
                static_cast<std::size_t>(at),
            c.weight + static_cast<std::int64_t>(e) * c.channels + o);
    }
  }
}

std::string conv_name(const std::string& net, std::size_t l) {
  return net + ".conv." + std::to_string(l);
}


void add_net(TensorFile& file, const std::string& name, const Network& net, const float* params) {
  const auto bias = [&](const std::string& prefix, std::int64_t at, int count) {
    file.tensors.push_back(make_tensor<float>(
        prefix + ".bias", {count}, std::span(params + at, static_cast<std::size_t>(count))));
  };
  std::vector<float> w;
  const auto take = [&](std::size_t to, std::int64_t from) { w[to] = params[from]; };
  for (std::size_t l = 0; l < net.conv.size(); ++l) {
    const ConvLayer& c = net.conv[l];
    w.resize(static_cast<std::size_t>(c.patch()) * static_cast<std::size_t>(c.channels));
    visit_conv(c, take);
    file.tensors.push_back(make_tensor<float>(conv_name(name, l) + ".weight",
                                              {c.channels, c.channels_in, c.kernel, c.kernel}, w));
    bias(conv_name(name, l), c.bias, c.channels);
  }
  for (std::size_t l = 0; l < net.dense.size(); ++l) {
    const DenseLayer& layer = net.dense[l];
    const std::string prefix = name + "." + std::to_string(l);
    w.resize(static_cast<std::size_t>(layer.inputs) * static_cast<std::size_t>(layer.outputs));
    visit_dense(net, l, take);
    file.tensors.push_back(
        make_tensor<float>(prefix + ".weight", {layer.outputs, layer.inputs}, w));
    bias(prefix, layer.bias, layer.outputs);
  }
}

void read_net(const TensorFile& file, const std::string& name, const Network& net, float* params,
              const std::string& path) {
  const auto values = [&](const std::string& tensor, const std::vector<std::int64_t>& shape) {
    return reinterpret_cast<const float*>(
        file.expect(tensor, DType::kF32, shape, path).bytes.data());
  };
  const auto bias = [&](const std::string& prefix, std::int64_t at, int count) {
    std::copy_n(values(prefix + ".bias", {count}), count, params + at);
  };
  const float* w = nullptr;
  const auto put = [&](std::size_t from, std::int64_t to) { params[to] = w[from]; };
  for (std::size_t l = 0; l < net.conv.size(); ++l) {
    const ConvLayer& c = net.conv[l];
    w = values(conv_name(name, l) + ".weight", {c.channels, c.channels_in, c.kernel, c.kernel});
    visit_conv(c, put);
    bias(conv_name(name, l), c.bias, c.channels);
  }
  for (std::size_t l = 0; l < net.dense.size(); ++l) {
    const DenseLayer& layer = net.dense[l];
    const std::string prefix = name + "." + std::to_string(l);
    w = values(prefix + ".weight", {layer.outputs, layer.inputs});
    visit_dense(net, l, put);
    bias(prefix, layer.bias, layer.outputs);
  }
}

// The parts of a memory's matrices as torch.nn.GRU names and shapes them: [gates * size, inputs], [gates * size].
struct MemoryPart {
  const char *weight, *bias;
  int inputs;
  std::int64_t weight_at, bias_at;
};

std::vector<MemoryPart> memory_parts(const MemoryLayer& m) {
  std::vector<MemoryPart> parts;
  if (m.kind == MemoryKind::kNone) return parts;
  parts.push_back({".memory.weight_ih", ".memory.bias_ih", m.inputs, m.input_weight, m.input_bias});
  if (m.kind == MemoryKind::kGru) {
    parts.push_back(
        {".memory.weight_hh", ".memory.bias_hh", m.size, m.recurrent_weight, m.recurrent_bias});
  }
  return parts;
}

// Calls visit(index in the file's weight or bias, index in ours) for the numbers of a part.
template <class Visit>
void visit_memory_weights(const MemoryLayer& m, const MemoryPart& part, Visit&& visit) {
  const int width = m.gates() * m.width;
  for (int g = 0; g < m.gates(); ++g) {
    for (int o = 0; o < m.size; ++o) {
      for (int i = 0; i < part.inputs; ++i) {
        visit(static_cast<std::size_t>(g * m.size + o) * static_cast<std::size_t>(part.inputs) +
                  static_cast<std::size_t>(i),
              part.weight_at + static_cast<std::int64_t>(i) * width + g * m.width + o);
      }
    }
  }
}

template <class Visit>
void visit_memory_biases(const MemoryLayer& m, const MemoryPart& part, Visit&& visit) {
  for (int g = 0; g < m.gates(); ++g) {
    for (int o = 0; o < m.size; ++o)
      visit(static_cast<std::size_t>(g * m.size + o), part.bias_at + g * m.width + o);
  }
}

void add_memory(TensorFile& file, const std::string& name, const MemoryLayer& m,
                const float* params) {
  const int outputs = m.gates() * m.size;
  for (const MemoryPart& part : memory_parts(m)) {
    std::vector<float> w(static_cast<std::size_t>(outputs) * static_cast<std::size_t>(part.inputs));
    std::vector<float> b(static_cast<std::size_t>(outputs));
    visit_memory_weights(m, part, [&](std::size_t to, std::int64_t from) { w[to] = params[from]; });
    visit_memory_biases(m, part, [&](std::size_t to, std::int64_t from) { b[to] = params[from]; });
    file.tensors.push_back(make_tensor<float>(name + part.weight, {outputs, part.inputs}, w));
    file.tensors.push_back(make_tensor<float>(name + part.bias, {outputs}, b));
  }
}

void read_memory(const TensorFile& file, const std::string& name, const MemoryLayer& m,
                 float* params, const std::string& path) {
  const int outputs = m.gates() * m.size;
  for (const MemoryPart& part : memory_parts(m)) {
    const auto values = [&](const char* what, std::vector<std::int64_t> shape) {
      const Tensor& t = file.expect(name + what, DType::kF32, shape, path);
      return reinterpret_cast<const float*>(t.bytes.data());
    };
    const float* w = values(part.weight, {outputs, part.inputs});
    const float* b = values(part.bias, {outputs});
    visit_memory_weights(m, part, [&](std::size_t from, std::int64_t to) { params[to] = w[from]; });
    visit_memory_biases(m, part, [&](std::size_t from, std::int64_t to) { params[to] = b[from]; });
  }
}

std::string metadata(const TensorFile& file, const std::string& key, const std::string& path) {
  const auto it = file.metadata.find(key);
  if (it == file.metadata.end()) {
    fail_data(path + ": not a policy of this program (its header has no '" + key + "')");
  }
  return it->second;
}

int number(const std::string& text, int low, int high, const std::string& what,
           const std::string& path) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    fail_data(path + ": header value '" + what + "' = '" + text + "' is not a number from " +
              std::to_string(low) + " to " + std::to_string(high));
  }
  return value;
}

std::vector<int> number_list(const std::string& text, int high, std::size_t longest,
                             const std::string& what, const std::string& path) {
  std::vector<int> values;
  std::size_t at = 0;
  while (at <= text.size() && !text.empty()) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    values.push_back(number(text.substr(at, comma - at), 1, high, what, path));
    at = comma + 1;
    if (values.size() > longest)
      fail_data(path + ": '" + what + "' has more than " + std::to_string(longest) + " numbers");
  }
  return values;
}

// Before anything is allocated: a header may claim any shape. In 64 bits, of what MlpLayout would make.
std::uint64_t network_numbers(const PolicyShape& shape, std::uint64_t outputs) {
  std::uint64_t total = 0, inputs = static_cast<std::uint64_t>(shape.observations());
  const auto dense = [&](std::uint64_t in, std::uint64_t out) { total += (in + 1) * out; };
  if (!shape.conv.empty()) {  // their sizes are within bounds: conv_problem() has seen them
    auto channels = static_cast<std::uint64_t>(shape.frame_stack * shape.observed.shape[0]),
         height = static_cast<std::uint64_t>(shape.observed.shape[1]),
         width = static_cast<std::uint64_t>(shape.observed.shape[2]);
    for (const ConvShape& c : shape.conv) {
      const auto kernel = static_cast<std::uint64_t>(c.kernel),
                 stride = static_cast<std::uint64_t>(c.stride);
      dense(kernel * kernel * channels, static_cast<std::uint64_t>(c.channels));
      channels = static_cast<std::uint64_t>(c.channels);
      height = (height - kernel) / stride + 1;
      width = (width - kernel) / stride + 1;
    }
    inputs = channels * height * width;
  }
  for (const int h : shape.hidden) {
    dense(inputs, static_cast<std::uint64_t>(h));
    inputs = static_cast<std::uint64_t>(h);
  }
  if (shape.memory != MemoryKind::kNone) {
    const auto size = static_cast<std::uint64_t>(shape.memory_size);
    const bool gru = shape.memory == MemoryKind::kGru;
    dense(inputs, (gru ? 3 : 2) * size);
    if (gru) dense(size, 3 * size);
    inputs = size;
  }
  dense(inputs, outputs);
  return total;
}

void check_size(const TensorFile& file, const PolicyShape& shape, const std::string& path) {
  std::uint64_t bytes = 0;
  for (const Tensor& t : file.tensors) bytes += t.bytes.size();
  const auto outputs = static_cast<std::uint64_t>(shape.outputs());
  std::uint64_t wanted = network_numbers(shape, outputs + (shape.trunk == Trunk::kShared ? 1 : 0));
  if (shape.trunk == Trunk::kSeparate) wanted += network_numbers(shape, 1);
  wanted *= sizeof(float);
  // A tensor that is missing is named later; this is about what could not be allocated.
  if (wanted > (std::uint64_t{64} << 20) && wanted > bytes) {
    fail_data(path + ": its header describes a larger network than its tensors hold");
  }
}

// The value of T whose name the header has under `key`; name_of gives T's names.
template <class T>
T named(const TensorFile& file, const std::string& key, std::initializer_list<T> values,
        const char* (*name_of)(T), const std::string& path) {
  const std::string text = metadata(file, key, path);
  std::string known;
  for (const T value : values) {
    if (text == name_of(value)) return value;
    known += (known.empty() ? "" : ", ") + std::string(name_of(value));
  }
  fail_data(path + ": " + key + " '" + text + "' is not one this program has (" + known + ")");
}

void read_network_kind(const TensorFile& file, PolicyShape& shape, const std::string& path) {
  shape.trunk = named(file, "trunk", {Trunk::kSeparate, Trunk::kShared, Trunk::kActorOnly},
                      trunk_name, path);
  shape.distribution =
      named(file, "distribution",
            {RealDistribution::kGaussian, RealDistribution::kSquashed,
             RealDistribution::kDeterministic, RealDistribution::kBeta},
            distribution_name, path);
  shape.memory =
      named(file, "memory", {MemoryKind::kNone, MemoryKind::kGru, MemoryKind::kMinGru}, memory_name, path);
  const bool remembers = shape.memory != MemoryKind::kNone;
  const auto conv = [&](const char* key, int high) {
    return number_list(metadata(file, key, path), high, 8, key, path);
  };
  const auto channels = conv("conv_channels", 4096), kernels = conv("conv_kernel", 64),
             strides = conv("conv_stride", 64);
  if (kernels.size() != channels.size() || strides.size() != channels.size())
    fail_data(path + ": its convolutions have not as many kernels and strides");
  for (std::size_t l = 0; l < channels.size(); ++l)
    shape.conv.push_back({channels[l], kernels[l], strides[l]});
  if (const auto problem = conv_problem(shape.observed, shape.conv); !problem.empty())
    fail_data(path + ": " + problem);
  shape.memory_size = number(metadata(file, "memory_size", path), remembers ? 1 : 0,
                             remembers ? 4096 : 0, "memory_size", path);
}

// What format 1 knows: d numbers in; one choice, or real actions, out.
void read_shape_1(const TensorFile& file, PolicyShape& shape, const std::string& path) {
  const int outputs = number(metadata(file, "outputs", path), 1, 1 << 16, "outputs", path);
  const std::string actions = metadata(file, "actions", path);
  if (actions != "discrete" && actions != "continuous")
    fail_data(path + ": unknown kind of actions '" + actions + "'");
  if (actions == "discrete") {
    shape.choices = {outputs};
  } else {
    shape.reals = outputs;
  }
  const int d = number(metadata(file, "observations", path), 1, 1 << 20, "observations", path);
  shape.observed = {ObservationKind::kReal, {d}, {}, d, d};
}

void read_shape_2(const TensorFile& file, PolicyShape& shape, const std::string& path) {
  const auto get = [&](const char* key) { return metadata(file, key, path); };
  shape.choices = number_list(get("choices"), 1 << 16, 256, "choices", path);
  shape.reals = number(get("reals"), 0, 1 << 16, "reals", path);
  if (shape.choices.empty() && shape.reals == 0) fail_data(path + ": it has no actions");
  if (get("actions") != action_kind(shape))
    fail_data(path + ": header value 'actions' = '" + get("actions") + "' is not what it has");
  shape.frame_stack = number(get("frame_stack"), 1, kMaxFrameStack, "frame_stack", path);
  ObservationSpec& o = shape.observed;
  o.shape = number_list(get("observation_shape"), 1 << 20, 3, "observation_shape", path);
  o.choices = number_list(get("observation_choices"), 1 << 20, 4096, "observation_choices", path);
  const std::string kind = get("observation_kind");
  bool known = false;
  for (const auto k : {ObservationKind::kReal, ObservationKind::kChoices, ObservationKind::kBits,
                       ObservationKind::kPixels}) {
    if (kind != observation_kind_name(k)) continue;
    o.kind = k;
    known = true;
  }
  if (!known) fail_data(path + ": unknown kind of observations '" + kind + "'");
  // Sizes follow from the kind; none may be larger than what can be allocated.
  std::int64_t elements = o.kind == ObservationKind::kChoices ? 0 : 1;
  if (o.kind == ObservationKind::kChoices) {
    for (const int n : o.choices) elements += n;
  } else {
    for (const int side : o.shape) elements = std::min<std::int64_t>(elements * side, 1 << 21);
  }
  const bool good = o.kind == ObservationKind::kChoices
                        ? o.shape == std::vector<int>{static_cast<int>(o.choices.size())}
                        : o.choices.empty() && !o.shape.empty();
  if (!good || elements < 1 || elements > (1 << 20))
    fail_data(path + ": header values 'observation_shape' and 'observation_choices' do not fit");
  o.elements = static_cast<int>(elements);
  switch (o.kind) {
    case ObservationKind::kReal: o.columns = o.elements; break;
    case ObservationKind::kChoices: o.columns = static_cast<int>(o.choices.size()); break;
    case ObservationKind::kBits: o.columns = (o.elements + 31) / 32; break;
    case ObservationKind::kPixels: o.columns = (o.elements + 3) / 4; break;
  }
}

}  // namespace

std::string action_kind(const PolicyShape& shape) {
  if (shape.choices.empty()) return "continuous";
  return shape.reals == 0 ? "discrete" : "mixed";
}

void save_policy(const std::string& path, const std::string& env_id, const std::string& env_params,
                 const PolicyWeights& weights) {
  const MlpLayout& layout = weights.layout;
  TensorFile file;
  const PolicyShape& shape = layout.shape;
  const int format = format_of(shape);
  file.metadata = {
      {"format", kFormats[format - 1]},
      {"env_id", env_id},
      {"env_params", env_params},
      {"observations", std::to_string(shape.observations())},
      {"outputs", std::to_string(shape.outputs())},
      {"actions", action_kind(shape)},
      {"hidden", list_text(shape.hidden)},
      {"activation", activation_name(shape.activation)},
      {"normalize_observations", weights.normalizer.enabled() ? "1" : "0"},
      {"clip_observations", std::to_string(static_cast<int>(weights.normalizer.clip()))}};
  if (format >= 3) {
    file.metadata["trunk"] = trunk_name(shape.trunk);
    file.metadata["distribution"] = distribution_name(shape.distribution);
    std::vector<int> channels, kernels, strides;
    for (const ConvShape& c : shape.conv) {
      channels.push_back(c.channels);
      kernels.push_back(c.kernel);
      strides.push_back(c.stride);
    }
    file.metadata["conv_channels"] = list_text(channels);
    file.metadata["conv_kernel"] = list_text(kernels);
    file.metadata["conv_stride"] = list_text(strides);
    file.metadata["memory"] = memory_name(shape.memory);
    file.metadata["memory_size"] = std::to_string(shape.memory_size);
  }
  if (format >= 2) {
    file.metadata["choices"] = list_text(shape.choices);
    file.metadata["reals"] = std::to_string(shape.reals);
    file.metadata["frame_stack"] = std::to_string(shape.frame_stack);
    file.metadata["observation_kind"] = observation_kind_name(shape.observed.kind);
    file.metadata["observation_shape"] = list_text(shape.observed.shape);
    file.metadata["observation_choices"] = list_text(shape.observed.choices);
  }
  add_net(file, "actor", layout.actor, weights.params.data());
  add_net(file, "critic", layout.critic, weights.params.data());
  add_memory(file, "actor", layout.actor.memory, weights.params.data());
  add_memory(file, "critic", layout.critic.memory, weights.params.data());
  if (layout.has_log_std()) {
    file.tensors.push_back(make_tensor<float>(
        "log_std", {shape.reals},
        std::span(weights.params.data() + layout.log_std, static_cast<std::size_t>(shape.reals))));
  }
  if (weights.normalizer.enabled()) {
    std::vector<double> mean, m2, count;
    for (const Moments& m : weights.normalizer.moments()) {
      mean.push_back(m.mean);
      m2.push_back(m.m2);
      count.push_back(m.count);
    }
    const auto n = static_cast<std::int64_t>(mean.size());
    file.tensors.push_back(make_tensor<double>("normalizer.mean", {n}, mean));
    file.tensors.push_back(make_tensor<double>("normalizer.m2", {n}, m2));
    file.tensors.push_back(make_tensor<double>("normalizer.count", {n}, count));
  }
  write_safetensors(path, file);
}

PolicyFile load_policy(const std::string& path) {
  const TensorFile file = read_safetensors(path, std::uint64_t{1} << 30);
  const std::string format = metadata(file, "format", path);
  const auto known = std::find(std::begin(kFormats), std::end(kFormats), format);
  const auto version = static_cast<int>(known - std::begin(kFormats)) + 1;
  if (known == std::end(kFormats)) {
    fail_data(path + ": policy format '" + format + "' is not one of rollmill-policy-1 to " +
              std::to_string(std::size(kFormats)) + "; a newer rollmill wrote it?");
  }
  check_finite(file, path);
  PolicyShape shape;
  if (version == 1) {
    read_shape_1(file, shape, path);
  } else {
    read_shape_2(file, shape, path);
  }
  shape.activation = version < 3
                         ? named(file, "activation", {Activation::kTanh}, activation_name, path)
                         : named(file, "activation", {Activation::kTanh, Activation::kRelu},
                                 activation_name, path);
  if (version >= 3) read_network_kind(file, shape, path);
  if (version >= 2) {
    // Said twice, for readers that only want to multiply: it must be so.
    const auto agrees = [&](const char* key, int value) {
      number(metadata(file, key, path), value, value, key, path);
    };
    agrees("observations", shape.observations());
    agrees("outputs", shape.outputs());
  }
  shape.hidden = number_list(metadata(file, "hidden", path), 4096, 16, "hidden", path);
  if (shape.hidden.empty() && shape.memory != MemoryKind::kNone)
    fail_data(path + ": a memory without a hidden layer before it");
  check_size(file, shape, path);
  PolicyFile policy;
  policy.env_id = metadata(file, "env_id", path);
  policy.env_params = metadata(file, "env_params", path);
  policy.weights = std::make_unique<PolicyWeights>(shape);
  PolicyWeights& w = *policy.weights;
  read_net(file, "actor", w.layout.actor, w.params.data(), path);
  read_net(file, "critic", w.layout.critic, w.params.data(), path);
  read_memory(file, "actor", w.layout.actor.memory, w.params.data(), path);
  read_memory(file, "critic", w.layout.critic.memory, w.params.data(), path);
  if (w.layout.has_log_std()) {
    const Tensor& t = file.expect("log_std", DType::kF32, {shape.reals}, path);
    std::memcpy(w.params.data() + w.layout.log_std, t.bytes.data(), t.bytes.size());
  }
  const bool normalize = metadata(file, "normalize_observations", path) == "1";
  const int clip =
      number(metadata(file, "clip_observations", path), 1, 1 << 20, "clip_observations", path);
  w.normalizer =
      ObservationNormalizer(shape.observed.elements, normalize, static_cast<float>(clip));
  if (normalize) {
    if (shape.observed.kind != ObservationKind::kReal)
      fail_data(path + ": only real observations have a normaliser");
    std::vector<Moments> moments(static_cast<std::size_t>(shape.observed.elements));
    const auto read = [&](const char* name, double Moments::*field) {
      const Tensor& t = file.expect(name, DType::kF64, {shape.observed.elements}, path);
      const auto* values = reinterpret_cast<const double*>(t.bytes.data());
      for (std::size_t k = 0; k < moments.size(); ++k) moments[k].*field = values[k];
    };
    read("normalizer.mean", &Moments::mean);
    read("normalizer.m2", &Moments::m2);
    read("normalizer.count", &Moments::count);
    for (const Moments& m : moments) {
      if (m.count < 0 || m.m2 < 0)
        fail_data(path + ": its normaliser has a negative count or variance");
    }
    w.normalizer.set_moments(std::move(moments));
  }
  return policy;
}

void check_policy_fits(const PolicyFile& policy, const EnvSpec& spec, const std::string& path) {
  const PolicyShape& have = policy.weights->layout.shape;
  const PolicyShape want =
      shape_for(spec, {have.hidden, have.frame_stack, have.activation, have.trunk,
                       have.distribution, have.memory, have.memory_size, have.conv});
  if (policy.env_id == spec.id && have == want) return;
  const auto text = [](const PolicyShape& s) {
    std::string t = std::to_string(s.observed.elements) + " observations";
    if (s.observed.kind != ObservationKind::kReal)
      t += std::string(" (") + observation_kind_name(s.observed.kind) + ")";
    for (std::size_t c = 0; c < s.choices.size(); ++c)
      t += (c == 0 ? ", " : " + ") + std::to_string(s.choices[c]);
    if (!s.choices.empty()) t += " choices";
    return s.reals == 0 ? t : t + ", " + std::to_string(s.reals) + " real actions";
  };
  fail_data(path + ": this policy is for " + policy.env_id + " (" + text(have) + "), not for " +
            spec.id + " (" + text(want) + ")");
}

}  // namespace rollmill
