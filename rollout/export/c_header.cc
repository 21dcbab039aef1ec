#include "rollout/export/c_header.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "core/base/build_info.h"
#include "rollout/export/c_pieces.h"

namespace rollmill {
namespace {

// Where a value lies in the generated code: base[offset] and on.
struct Place {
  std::string base;
  int offset = 0;

  std::string pointer() const { return offset == 0 ? base : fmt::format("{} + {}", base, offset); }
  std::string at_i() const {
    return offset == 0 ? base + "[i]" : fmt::format("{}[{} + i]", base, offset);
  }
};

class Writer {
 public:
  explicit Writer(const PolicyGraph& graph) : g_(graph) {
    for (const int i : g_.inputs) places_[i] = {g_.value(i).name};
  }
  std::string text();

 private:
  bool has(OutputRole role) const {
    return std::any_of(g_.outputs.begin(), g_.outputs.end(),
                       [&](const GraphOutput& o) { return o.role == role; });
  }
  std::string upper() const {
    std::string name = g_.name;
    for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return name;
  }
  std::string array(const Operation& op, const char* what, const std::vector<float>& values);
  std::string constant_at_i(const Operation& op);
  std::string second_at_i(const Operation& op) const { return places_.at(op.inputs[1]).at_i(); }
  std::set<int> needed_by(OutputRole role) const;
  void place_outputs();
  void add_operations(OutputRole role, const std::string& indent);
  void add(const Operation& op, const std::string& indent);
  void loop(const Operation& op, const std::string& indent, const std::string& expression);
  std::string input_parameters(bool with_mask) const;
  std::string names_of(OutputRole role) const;
  void add_policy();
  void add_act();
  std::string opening() const;

  const PolicyGraph& g_;
  std::map<int, Place> places_;
  std::set<int> done_, locals_;  // operations that are in the code; values with a name of its own
  int width_ = 0;                // of the outputs
  std::string arrays_, code_;
};

std::string Writer::array(const Operation& op, const char* what, const std::vector<float>& values) {
  const std::string name = fmt::format("{}_{}_{}", g_.name, g_.value(op.output).name, what);
  arrays_ += c_array(name, values);
  return name;
}

std::string Writer::constant_at_i(const Operation& op) {
  if (op.constant.size() == 1) return c_number(op.constant[0]);
  return array(op, "constant", op.constant) + "[i]";
}

// Operations that outputs of this role need.
std::set<int> Writer::needed_by(OutputRole role) const {
  std::set<int> values, operations;
  for (const GraphOutput& o : g_.outputs) {
    if (o.role == role) values.insert(o.value);
  }
  for (int k = static_cast<int>(g_.operations.size()) - 1; k >= 0; --k) {
    const Operation& op = g_.operations[static_cast<std::size_t>(k)];
    if (values.count(op.output) == 0) continue;
    operations.insert(k);
    values.insert(op.inputs.begin(), op.inputs.end());
  }
  return operations;
}

void Writer::place_outputs() {
  for (const GraphOutput& o : g_.outputs) {
    switch (o.role) {
      case OutputRole::kDistribution:
        places_[o.value] = {"outputs", width_};
        width_ += g_.value(o.value).width;
        break;
      case OutputRole::kAction: places_[o.value] = {g_.value(o.value).name}; break;
      case OutputRole::kValue: places_[o.value] = {"value"}; break;
      case OutputRole::kMemory:
        places_[o.value] = {"memory"};
        break;  // nobody reads the old one then
    }
  }
}

void Writer::add_operations(OutputRole role, const std::string& indent) {
  for (const int k : needed_by(role)) {
    if (done_.insert(k).second) add(g_.operations[static_cast<std::size_t>(k)], indent);
  }
}

void Writer::loop(const Operation& op, const std::string& indent, const std::string& expression) {
  code_ += fmt::format("{}for (int i = 0; i < {}; ++i) {} = {};\n", indent,
                       g_.value(op.output).width, places_[op.output].at_i(), expression);
}

void Writer::add(const Operation& op, const std::string& indent) {
  const GraphValue& y = g_.value(op.output);
  const Place x = op.inputs.empty() ? Place() : places_.at(op.inputs[0]);
  if (op.kind == OpKind::kSlice && places_.count(op.output) == 0) {  // no copy
    places_[op.output] = {x.base, x.offset + op.first};
    locals_.insert(op.output);
    return;
  }
  if (places_.emplace(op.output, Place{y.name}).second) {
    locals_.insert(op.output);
    code_ += fmt::format("{}{} {}[{}];\n", indent, y.integer ? "int" : "float", y.name, y.width);
  }
  const auto compare = [&](const char* sign) {
    const std::string c = constant_at_i(op);
    return loop(op, indent, fmt::format("{0} {1} {2} ? {0} : {2}", x.at_i(), sign, c));
  };
  switch (op.kind) {
    case OpKind::kDense: {
      const std::string weight = array(op, "weight", op.weight);
      code_ += fmt::format("{}{}_dense({}, {}, {}, {}, {}, {});\n", indent, g_.name, x.pointer(),
                           g_.value(op.inputs[0]).width, weight, array(op, "bias", op.constant),
                           y.width, places_[op.output].pointer());
      return;
    }
    case OpKind::kConv: {
      const ConvGeometry& c = op.conv;
      const std::string weight = array(op, "weight", op.weight);
      code_ += fmt::format("{}{}_conv({}, {}, {}, {}, {}, {}, {}, {}, {}, {});\n", indent, g_.name,
                           x.pointer(), c.channels_in, c.height_in, c.width_in, weight,
                           array(op, "bias", op.constant), c.channels, c.kernel, c.stride,
                           places_[op.output].pointer());
      return;
    }
    case OpKind::kTanh: return loop(op, indent, fmt::format("{}_tanh({})", g_.name, x.at_i()));
    case OpKind::kRelu: return loop(op, indent, fmt::format("{0} > 0.0f ? {0} : 0.0f", x.at_i()));
    case OpKind::kSigmoid:  // of tanh: one approximation, and no overflow
      return loop(op, indent, fmt::format("0.5f + 0.5f * {}_tanh(0.5f * {})", g_.name, x.at_i()));
    case OpKind::kSoftplus:
      return loop(op, indent, fmt::format("{}_softplus({})", g_.name, x.at_i()));
    case OpKind::kSum: return loop(op, indent, x.at_i() + " + " + second_at_i(op));
    case OpKind::kDifference: return loop(op, indent, x.at_i() + " - " + second_at_i(op));
    case OpKind::kProduct: return loop(op, indent, x.at_i() + " * " + second_at_i(op));
    case OpKind::kQuotient: return loop(op, indent, x.at_i() + " / " + second_at_i(op));
    case OpKind::kAdd: return loop(op, indent, x.at_i() + " + " + constant_at_i(op));
    case OpKind::kSubtract: return loop(op, indent, x.at_i() + " - " + constant_at_i(op));
    case OpKind::kMultiply: return loop(op, indent, x.at_i() + " * " + constant_at_i(op));
    case OpKind::kMinimum: return compare("<");
    case OpKind::kMaximum: return compare(">");
    case OpKind::kExclude:
      return loop(op, indent,
                  fmt::format("{} > 0.0f ? {} : {}", second_at_i(op), x.at_i(), constant_at_i(op)));
    case OpKind::kSlice: return loop(op, indent, Place{x.base, x.offset + op.first}.at_i());
    case OpKind::kConcat: {
      Place to = places_[op.output];
      for (const int input : op.inputs) {
        code_ += fmt::format("{}for (int i = 0; i < {}; ++i) {} = {};\n", indent,
                             g_.value(input).width, to.at_i(), places_.at(input).at_i());
        to.offset += g_.value(input).width;
      }
      return;
    }
    case OpKind::kArgmax:
      code_ += fmt::format("{}{}[{}] = {}_argmax({}, {});\n", indent, places_[op.output].base,
                           places_[op.output].offset, g_.name, x.pointer(),
                           g_.value(op.inputs[0]).width);
      return;
    case OpKind::kConstant: return loop(op, indent, constant_at_i(op));
  }
}

// Observation, mask if asked for, memory.
std::string Writer::input_parameters(bool with_mask) const {
  std::string text;
  for (const int i : g_.inputs) {
    if (i != g_.inputs[0] && i != g_.memory && !with_mask) continue;
    text += fmt::format("{}{}float* {}", text.empty() ? "" : ", ", i == g_.memory ? "" : "const ",
                        g_.value(i).name);
  }
  return text;
}

// "logits[3], mean[2]".
std::string Writer::names_of(OutputRole role) const {
  std::string text;
  for (const GraphOutput& o : g_.outputs) {
    if (o.role != role) continue;
    const GraphValue& v = g_.value(o.value);
    text += fmt::format("{}{}[{}]", text.empty() ? "" : ", ", v.name, v.width);
  }
  return text;
}

void Writer::add_policy() {
  const bool value = has(OutputRole::kValue);
  code_ +=
      fmt::format("\n// outputs: {}, one after another{}.\n", names_of(OutputRole::kDistribution),
                  value ? "; value may be null: it is not computed then" : "");
  code_ += fmt::format("static inline void {}_policy({}, float* outputs{}) {{\n", g_.name,
                       input_parameters(false), value ? ", float* value" : "");
  add_operations(OutputRole::kDistribution, "  ");
  add_operations(OutputRole::kMemory, "  ");
  if (value) {
    code_ += "  if (!value) return;\n";
    add_operations(OutputRole::kValue, "  ");
  }
  code_ += "}\n";
}

// Everything an action needs beyond the mask is among the distribution's parameters.
void Writer::add_act() {
  std::string parameters = input_parameters(true);
  for (const GraphOutput& o : g_.outputs) {
    const GraphValue& v = g_.value(o.value);
    if (o.role == OutputRole::kAction)
      parameters += fmt::format(", {}* {}", v.integer ? "int" : "float", v.name);
  }
  code_ += fmt::format("\n// The greedy action: {}", names_of(OutputRole::kAction));
  // Arrays within NAME_policy are not seen here.
  std::erase_if(places_, [&](const auto& place) { return locals_.count(place.first) != 0; });
  code_ += fmt::format(".\nstatic inline void {}_act({}) {{\n", g_.name, parameters);
  code_ +=
      fmt::format("  float outputs[{}];\n  {}_policy(observation{}, outputs{});\n", width_, g_.name,
                  g_.memory < 0 ? "" : ", memory", has(OutputRole::kValue) ? ", 0" : "");
  add_operations(OutputRole::kAction, "  ");
  code_ += "}\n";
}

std::string Writer::opening() const {
  std::string text =
      c_comment(fmt::format("A policy for {}, in C99 or C++; it needs nothing but itself. "
                            "Written by rollmill {}.",
                            g_.env_id, build_info()));
  const auto describe = [&](int value) {
    const GraphValue& v = g_.value(value);
    text += c_comment(fmt::format("{}[{}]: {}", v.name, v.width, v.meaning));
  };
  text += "//\n";
  for (const int i : g_.inputs) describe(i);
  for (const GraphOutput& o : g_.outputs) {
    if (o.role != OutputRole::kMemory) describe(o.value);
  }
  if (g_.memory >= 0) text += "// Each call replaces memory by that of the next step.\n";
  text += fmt::format("\n#ifndef {0}_POLICY_H\n#define {0}_POLICY_H\n\n", upper());
  for (const int i : g_.inputs) {
    text += fmt::format("#define {}_{} {}\n", upper(),
                        i == g_.inputs[0] ? "OBSERVATIONS"
                        : i == g_.memory  ? "MEMORY"
                                          : "MASK_SIZE",
                        g_.value(i).width);
  }
  text += fmt::format("#define {}_OUTPUTS {}\n", upper(), width_);
  for (const GraphOutput& o : g_.outputs) {
    if (o.role != OutputRole::kAction) continue;
    text += fmt::format("#define {}_{} {}\n", upper(),
                        g_.value(o.value).integer ? "CHOICES" : "REAL_ACTIONS",
                        g_.value(o.value).width);
  }
  return text;
}

std::string Writer::text() {
  place_outputs();
  add_policy();
  add_act();
  std::string helpers;
  for (const auto& [kind, source] : {std::pair<OpKind, const char*>{OpKind::kTanh, kCTanh},
                                     {OpKind::kSoftplus, kCSoftplus},
                                     {OpKind::kDense, kCDense},
                                     {OpKind::kConv, kCConv},
                                     {OpKind::kArgmax, kCArgmax}}) {
    const bool used =
        std::any_of(g_.operations.begin(), g_.operations.end(), [k = kind](const Operation& op) {
          const bool by_tanh = op.kind == OpKind::kSigmoid || op.kind == OpKind::kSoftplus;
          return op.kind == k || (k == OpKind::kTanh && by_tanh);
        });
    if (used) helpers += fmt::format(fmt::runtime(source), g_.name);
  }
  return opening() + arrays_ + helpers + code_ + "\n#endif\n";
}

}  // namespace

std::string c_header(const PolicyGraph& graph) { return Writer(graph).text(); }

}  // namespace rollmill
