#include <cmath>
#include <filesystem>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "core/image/formats.h"
#include "core/io/atomic_file.h"
#include "evaluation/compare.h"
#include "evaluation/curve_plot.h"

namespace rollmill {
namespace {

void write_figure(const std::string& path, const std::string& extension, const Comparison& c) {
  if (extension == ".svg") write_file_atomic(path, to_svg(plot_curves(c)));
  if (extension == ".html") write_file_atomic(path, format_html(c));
  if (extension == ".png") write_file_atomic(path, encode_png(to_picture(plot_curves(c))));
}

}  // namespace

int run_compare(const Arguments& arguments) {
  std::vector<std::string> paths;
  std::string key = "return_mean", x = "step", out;
  std::optional<double> threshold;
  bool json = false;
  Args parser("compare", "Compares training runs: curves over seeds with intervals, and a table.");
  parser.positionals("RUN", paths,
                     "run folders; runs that differ in their seed only are one curve");
  parser.option("--key", key, "the number of metrics.jsonl to compare (return_mean)");
  parser.option("--x", x, "over \"step\" or \"seconds\"");
  parser.option("--threshold", threshold, "also: when runs first come to this value");
  parser.option("--out", out, "write the curves: a name that ends in .html, .svg or .png");
  parser.flag("--json", json, "print the table as JSON");
  if (!parser.parse(arguments)) return 0;
  if (x != "step" && x != "seconds") fail_usage("--x " + x + ": step or seconds");
  if (threshold && !std::isfinite(*threshold)) fail_usage("--threshold must be a number");
  const std::string extension = std::filesystem::path(out).extension().string();
  if (!out.empty() && extension != ".html" && extension != ".svg" && extension != ".png")
    fail_usage("--out " + out + ": a name that ends in .html, .svg or .png");
  const CurveAxis axis = x == "step" ? CurveAxis::kSteps : CurveAxis::kSeconds;
  std::vector<RunCurve> runs;
  for (const std::string& path : paths) runs.push_back(read_run_curve(path, key, axis));
  const Comparison comparison = compare_runs(std::move(runs), key, axis, threshold);
  if (!out.empty()) write_figure(out, extension, comparison);
  print_out(json ? format_json(comparison) : format_text(comparison));
  if (!out.empty() && !json) print_out("  curves  " + out + "\n");
  return 0;
}

}  // namespace rollmill
