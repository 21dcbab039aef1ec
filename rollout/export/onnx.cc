#include "rollout/export/onnx.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/build_info.h"
#include "rollout/export/protobuf.h"

namespace rollmill {
namespace {

constexpr std::int64_t kOpset = 13, kIrVersion = 7;

// Numbers of fields and enums in onnx.proto.
namespace model {
constexpr int kIrVersion = 1, kProducerName = 2, kProducerVersion = 3, kGraph = 7, kOpset = 8;
}
namespace graph {
constexpr int kNode = 1, kName = 2, kInitializer = 5, kDocumentation = 10, kInput = 11,
              kOutput = 12;
}
namespace node {
constexpr int kInput = 1, kOutput = 2, kName = 3, kKind = 4, kAttribute = 5;
}
namespace attribute {
constexpr int kName = 1, kInteger = 3, kIntegers = 8, kType = 20;
constexpr std::int64_t kTypeInteger = 2, kTypeIntegers = 7;
}  // namespace attribute
namespace tensor {
constexpr int kDimension = 1, kType = 2, kName = 8, kRaw = 9;
constexpr std::int64_t kFloat = 1, kInt64 = 7;
}  // namespace tensor
namespace value_info {
constexpr int kName = 1, kType = 2, kDocumentation = 3;
}

// The formats' raw data is little-endian, as every machine that this builds for.
template <class T>
ProtobufMessage tensor_message(const std::string& name, std::int64_t type,
                               const std::vector<std::int64_t>& shape, std::span<const T> values) {
  ProtobufMessage m;
  for (const std::int64_t d : shape) m.integer(tensor::kDimension, d);
  m.integer(tensor::kType, type).bytes(tensor::kName, name);
  m.bytes(tensor::kRaw, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
  return m;
}

ProtobufMessage value_info_message(const GraphValue& v) {
  ProtobufMessage batch, width, shape, tensor_type, type, info;
  if (v.constant) {
    batch.integer(1, 1);  // dim_value
  } else {
    batch.bytes(2, "batch");  // dim_param
  }
  width.integer(1, v.width);
  shape.message(1, batch).message(1, width);
  tensor_type.integer(1, v.integer ? tensor::kInt64 : tensor::kFloat).message(2, shape);
  type.message(1, tensor_type);
  info.bytes(value_info::kName, v.name).message(value_info::kType, type);
  return info.bytes(value_info::kDocumentation, v.meaning);
}

class OnnxGraph {
 public:
  explicit OnnxGraph(const PolicyGraph& policy) : policy_(policy) {}

  ProtobufMessage message() {
    for (const Operation& op : policy_.operations) add(op);
    graph_.bytes(graph::kName, policy_.name)
        .bytes(graph::kDocumentation, "A policy for " + policy_.env_id);
    for (const int i : policy_.inputs)
      graph_.message(graph::kInput, value_info_message(policy_.value(i)));
    for (const GraphOutput& o : policy_.outputs)
      graph_.message(graph::kOutput, value_info_message(policy_.value(o.value)));
    return graph_;
  }

 private:
  const std::string& name(int value) const { return policy_.value(value).name; }

  // Initialisers are called after the value that is made with them.
  std::string floats(const Operation& op, const char* what, const std::vector<std::int64_t>& shape,
                     const std::vector<float>& values) {
    const std::string full = name(op.output) + "." + what;
    graph_.message(graph::kInitializer, tensor_message<float>(full, tensor::kFloat, shape, values));
    return full;
  }
  std::string integers(const Operation& op, const char* what,
                       const std::vector<std::int64_t>& values) {
    const std::string full = name(op.output) + "." + what;
    const auto size = static_cast<std::int64_t>(values.size());
    graph_.message(graph::kInitializer,
                   tensor_message<std::int64_t>(full, tensor::kInt64, {size}, values));
    return full;
  }
  std::string constant(const Operation& op) {
    return floats(op, "constant", {1, static_cast<std::int64_t>(op.constant.size())}, op.constant);
  }

  struct Attribute {
    const char* name;
    std::vector<std::int64_t> values;
    bool list = false;
  };
  void node(const char* kind, const std::vector<std::string>& inputs, const std::string& output,
            const std::vector<Attribute>& attributes = {}) {
    ProtobufMessage m;
    for (const std::string& input : inputs) m.bytes(node::kInput, input);
    m.bytes(node::kOutput, output).bytes(node::kName, output).bytes(node::kKind, kind);
    for (const Attribute& a : attributes) {
      ProtobufMessage encoded;
      encoded.bytes(attribute::kName, a.name);
      for (const std::int64_t value : a.values)
        encoded.integer(a.list ? attribute::kIntegers : attribute::kInteger, value);
      encoded.integer(attribute::kType,
                      a.list ? attribute::kTypeIntegers : attribute::kTypeInteger);
      m.message(node::kAttribute, encoded);
    }
    graph_.message(graph::kNode, m);
  }

  void add(const Operation& op);
  void add_conv(const Operation& op, const std::string& x, const std::string& y);

  const PolicyGraph& policy_;
  ProtobufMessage graph_;
};

void OnnxGraph::add_conv(const Operation& op, const std::string& x, const std::string& y) {
  const ConvGeometry& c = op.conv;
  const std::string planes = y + ".planes", result = y + ".result";
  // 0: the batch, as it is.
  node("Reshape", {x, integers(op, "shape", {0, c.channels_in, c.height_in, c.width_in})}, planes);
  const std::string weight =
      floats(op, "weight", {c.channels, c.channels_in, c.kernel, c.kernel}, op.weight);
  node("Conv", {planes, weight, floats(op, "bias", {c.channels}, op.constant)}, result,
       {{"kernel_shape", {c.kernel, c.kernel}, true}, {"strides", {c.stride, c.stride}, true}});
  node("Flatten", {result}, y, {{"axis", {1}}});
}

void OnnxGraph::add(const Operation& op) {
  const std::string& y = name(op.output);
  const std::string x = op.inputs.empty() ? "" : name(op.inputs[0]);
  const std::int64_t width = policy_.value(op.output).width;
  switch (op.kind) {
    case OpKind::kDense: {
      const std::int64_t inputs = policy_.value(op.inputs[0]).width;
      const std::string weight = floats(op, "weight", {inputs, width}, op.weight);
      return node("Gemm", {x, weight, floats(op, "bias", {width}, op.constant)}, y);
    }
    case OpKind::kConv: return add_conv(op, x, y);
    case OpKind::kTanh: return node("Tanh", {x}, y);
    case OpKind::kRelu: return node("Relu", {x}, y);
    case OpKind::kSigmoid: return node("Sigmoid", {x}, y);
    case OpKind::kSoftplus: return node("Softplus", {x}, y);
    case OpKind::kSum: return node("Add", {x, name(op.inputs[1])}, y);
    case OpKind::kDifference: return node("Sub", {x, name(op.inputs[1])}, y);
    case OpKind::kProduct: return node("Mul", {x, name(op.inputs[1])}, y);
    case OpKind::kQuotient: return node("Div", {x, name(op.inputs[1])}, y);
    case OpKind::kAdd: return node("Add", {x, constant(op)}, y);
    case OpKind::kSubtract: return node("Sub", {x, constant(op)}, y);
    case OpKind::kMultiply: return node("Mul", {x, constant(op)}, y);
    case OpKind::kMinimum: return node("Min", {x, constant(op)}, y);
    case OpKind::kMaximum: return node("Max", {x, constant(op)}, y);
    case OpKind::kExclude: {
      const std::string allowed = y + ".allowed";
      node("Greater", {name(op.inputs[1]), floats(op, "zero", {1}, {0.0f})}, allowed);
      return node("Where", {allowed, x, constant(op)}, y);
    }
    case OpKind::kSlice: {
      const std::string first = integers(op, "first", {op.first});
      return node("Slice",
                  {x, first, integers(op, "end", {op.first + width}), integers(op, "axis", {1})},
                  y);
    }
    case OpKind::kConcat: {
      std::vector<std::string> parts;
      for (const int i : op.inputs) parts.push_back(name(i));
      return node("Concat", parts, y, {{"axis", {1}}});
    }
    case OpKind::kArgmax: return node("ArgMax", {x}, y, {{"axis", {1}}, {"keepdims", {1}}});
    case OpKind::kConstant: return node("Identity", {constant(op)}, y);
  }
}

}  // namespace

std::string onnx_model(const PolicyGraph& policy) {
  ProtobufMessage opset, m;
  opset.bytes(1, "").integer(2, kOpset);  // domain: the default one
  m.integer(model::kIrVersion, kIrVersion).bytes(model::kProducerName, "rollmill");
  m.bytes(model::kProducerVersion, build_info()).message(model::kOpset, opset);
  return m.message(model::kGraph, OnnxGraph(policy).message()).encoded();
}

}  // namespace rollmill
