#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <sstream>
#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "core/config/nearest.h"
#include "core/io/atomic_file.h"
#include "envs/registry.h"
#include "rollout/checkpoint_folder.h"
#include "rollout/export/c_header.h"
#include "rollout/export/description.h"
#include "rollout/export/onnx.h"
#include "rollout/mlp/policy_file.h"
#include "trainer/ignored_inputs.h"
#include "trainer/torchscript.h"

namespace rollmill {
namespace {

struct Format {
  const char* name;
  const char* file;
};
constexpr std::array<Format, 4> kFormats = {{{"onnx", "policy.onnx"},
                                             {"torchscript", "policy.pt"},
                                             {"c", "policy.h"},
                                             {"safetensors", "policy.safetensors"}}};

// "onnx,c" -> those formats in the table's order; "" -> all.
std::vector<Format> chosen_formats(const std::string& list) {
  if (list.empty()) return {kFormats.begin(), kFormats.end()};
  std::vector<std::string> known, asked;
  for (const Format& f : kFormats) known.emplace_back(f.name);
  std::istringstream parts(list);
  for (std::string name; std::getline(parts, name, ',');) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string near = nearest(name, known);
      fail_usage("--format: '" + name + "' is not onnx, torchscript, c or safetensors" +
                 (near.empty() ? "" : "; did you mean '" + near + "'?"));
    }
    asked.push_back(name);
  }
  std::vector<Format> formats;
  for (const Format& f : kFormats) {
    if (std::find(asked.begin(), asked.end(), f.name) != asked.end()) formats.push_back(f);
  }
  return formats;
}

std::string torchscript(const PolicyGraph& graph) {
  try {
    return torchscript_module(graph);
  } catch (const Error& e) {
    throw Error(e.code(), std::string(e.what()) + "; --format onnx,c,safetensors does without it");
  }
}

std::string contents(const std::string& format, const PolicyGraph& graph, const std::string& path) {
  if (format == "onnx") return onnx_model(graph);
  if (format == "torchscript") return torchscript(graph);
  if (format == "c") return c_header(graph);
  return read_file(path, std::uint64_t{1} << 30);  // as it is: load_policy has checked it
}

EnvSpec spec_of(const PolicyFile& policy, const std::string& path) {
  try {
    return find_env(policy.env_id).spec();
  } catch (const Error& e) {
    fail_data(path + ": " + e.what() + "; --plugin loads environments from elsewhere");
  }
}

// A run keeps its export; anything else leaves it where the command is given.
std::string default_folder(const std::string& target) {
  const bool run = std::filesystem::is_directory(checkpoints_dir(target));
  return run ? (std::filesystem::path(target) / "export").string() : "export";
}

}  // namespace

int run_export(const Arguments& arguments) {
  std::string target, list, out;
  bool json = false, quiet = false;
  Args parser("export", "Writes a trained policy for other programs; policy.json describes it.");
  parser.positional("POLICY", target, "run, checkpoint or policy.safetensors");
  parser.option("--format", list, "of onnx,torchscript,c,safetensors some, with commas (all)");
  parser.option("--out", out, "folder for the files (RUN/export, else ./export)");
  parser.flag("--json", json, "print what was written as JSON");
  parser.flag("--quiet", quiet, "print nothing");
  if (!parser.parse(arguments)) return 0;
  const std::vector<Format> formats = chosen_formats(list);
  const std::string path = find_policy_file(target);
  const PolicyFile policy = load_policy(path);
  const EnvSpec spec = spec_of(policy, path);
  check_policy_fits(policy, spec, path);
  const PolicyGraph graph = make_policy_graph(spec, *policy.weights);
  // All of them before the first is written: a format that fails leaves nothing half done.
  std::vector<std::pair<std::string, std::string>> files;
  for (const Format& f : formats) files.emplace_back(f.file, contents(f.name, graph, path));
  const PolicyWeights& weights = *policy.weights;
  files.emplace_back("policy.json", policy_description(spec, policy, graph,
                                                       ignored_fields(spec, weights.layout,
                                                                      weights.params.data())));
  if (out.empty()) out = default_folder(target);
  make_dirs(out);
  nlohmann::ordered_json report;
  report["policy"] = path;
  report["env"] = policy.env_id;
  report["signature"] = signature_text(graph);
  report["files"] = nlohmann::ordered_json::array();
  std::string text;
  for (const auto& [name, bytes] : files) {
    const std::string file = out + "/" + name;
    write_file_atomic(file, bytes);
    report["files"].push_back({{"file", file}, {"bytes", bytes.size()}});
    text += fmt::format("{}  {} bytes  {}\n", file, bytes.size(), signature_text(graph));
  }
  if (json || !quiet) print_out(json ? report.dump(2) + "\n" : text);
  return 0;
}

}  // namespace rollmill
