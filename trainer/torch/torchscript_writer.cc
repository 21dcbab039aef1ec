// The graph's operations as the source text of forward(), its constants as buffers: TorchScript compiles the text when it is
// defined, so that what is written has been checked, and `policy.code` shows it in Python.
#include <sstream>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/jit/api/module.h>

#include "core/base/error.h"
#include "trainer/torchscript.h"

namespace rollmill {
namespace {

class ScriptWriter {
 public:
  explicit ScriptWriter(const PolicyGraph& graph) : g_(graph), module_("Policy") {
    std::string parameters = "self";
    for (const int i : g_.inputs) parameters += ", " + g_.value(i).name + ": Tensor";
    source_ = "def forward(" + parameters + ") -> Dict[str, Tensor]:\n";
    for (const Operation& op : g_.operations)
      source_ += "  " + name(op.output) + " = " + expression(op) + "\n";
    std::string result;
    for (const GraphOutput& o : g_.outputs)
      result += (result.empty() ? "\"" : ", \"") + name(o.value) + "\": " + name(o.value);
    source_ += "  return {" + result + "}\n";
    // What Python's modules have, and torch.jit.freeze and eval() look for.
    module_.register_attribute("training", c10::BoolType::get(), false);
    module_.define(source_);
  }
  void save(std::ostream& out) const { module_.save(out); }

 private:
  const std::string& name(int value) const { return g_.value(value).name; }

  // Buffers are called after the value that is made with them.
  std::string buffer(const Operation& op, const char* what, const std::vector<float>& values,
                     const std::vector<std::int64_t>& shape) {
    const std::string full = name(op.output) + "_" + what;
    module_.register_buffer(full, at::tensor(values, at::kFloat).view(shape));
    return "self." + full;
  }
  std::string constant(const Operation& op) {
    return buffer(op, "constant", op.constant, {1, static_cast<std::int64_t>(op.constant.size())});
  }
  std::string expression(const Operation& op);

  const PolicyGraph& g_;
  torch::jit::Module module_;
  std::string source_;
};

std::string ScriptWriter::expression(const Operation& op) {
  const std::string x = op.inputs.empty() ? "" : name(op.inputs[0]);
  const int width = g_.value(op.output).width;
  switch (op.kind) {
    case OpKind::kDense: {
      const std::string bias = buffer(op, "bias", op.constant, {width});
      return "torch.addmm(" + bias + ", " + x + ", " +
             buffer(op, "weight", op.weight, {g_.value(op.inputs[0]).width, width}) + ")";
    }
    case OpKind::kConv: {
      const ConvGeometry& c = op.conv;
      const auto list = [](const std::vector<int>& numbers) {
        std::string text;
        for (const int n : numbers) text += (text.empty() ? "[" : ", ") + std::to_string(n);
        return text + "]";
      };
      return "torch.conv2d(torch.reshape(" + x + ", " +
             list({-1, c.channels_in, c.height_in, c.width_in}) + "), " +
             buffer(op, "weight", op.weight, {c.channels, c.channels_in, c.kernel, c.kernel}) +
             ", " + buffer(op, "bias", op.constant, {c.channels}) + ", " +
             list({c.stride, c.stride}) + ").flatten(1)";
    }
    case OpKind::kTanh: return "torch.tanh(" + x + ")";
    case OpKind::kRelu: return "torch.relu(" + x + ")";
    case OpKind::kSigmoid: return "torch.sigmoid(" + x + ")";
    case OpKind::kSoftplus: return "torch.softplus(" + x + ")";
    case OpKind::kSum: return x + " + " + name(op.inputs[1]);
    case OpKind::kDifference: return x + " - " + name(op.inputs[1]);
    case OpKind::kProduct: return x + " * " + name(op.inputs[1]);
    case OpKind::kQuotient: return x + " / " + name(op.inputs[1]);
    case OpKind::kAdd: return x + " + " + constant(op);
    case OpKind::kSubtract: return x + " - " + constant(op);
    case OpKind::kMultiply: return x + " * " + constant(op);
    case OpKind::kMinimum: return "torch.minimum(" + x + ", " + constant(op) + ")";
    case OpKind::kMaximum: return "torch.maximum(" + x + ", " + constant(op) + ")";
    case OpKind::kExclude:
      return "torch.where(" + name(op.inputs[1]) + " > 0, " + x + ", " + constant(op) + ")";
    case OpKind::kSlice:  // not torch.narrow, whose shape the optimiser of torch 2.11 gets wrong
      return x + "[:, " + std::to_string(op.first) + ":" + std::to_string(op.first + width) + "]";
    case OpKind::kConcat: {
      std::string parts;
      for (const int i : op.inputs) parts += (parts.empty() ? "" : ", ") + name(i);
      return "torch.cat([" + parts + "], 1)";
    }
    case OpKind::kArgmax: return "torch.argmax(" + x + ", 1, True)";
    case OpKind::kConstant: return constant(op);
  }
  return "";
}

}  // namespace
}  // namespace rollmill

extern "C" void rollmill_write_torchscript(const rollmill::PolicyGraph* graph, std::string* file) {
  try {
    std::ostringstream out;
    rollmill::ScriptWriter(*graph).save(out);
    *file = out.str();
  } catch (const c10::Error& e) {
    const std::string text = e.what_without_backtrace();
    rollmill::fail_device("libtorch: " + text.substr(0, text.find('\n')));
  }
}
