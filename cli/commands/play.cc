#include <unistd.h>
#include <fmt/core.h>

#include <csignal>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "core/base/error.h"
#include "envs/canvas.h"
#include "envs/env_options.h"
#include "envs/show.h"
#include "envs/show_planes.h"
#include "evaluation/protocol.h"
#include "generators/play_session.h"
#include "generators/policy_environment.h"

namespace rollmill {
namespace {

constexpr int kOtherLines = 6;  // of the screen, besides the view
constexpr const char* kGeneralKeys = "u undo   r restart   n next episode   q quit";

std::string state_line(PlaySession& session) {
  SoloEpisode& e = session.episode();
  std::string line = fmt::format("step {}  reward {:.4g}  return {:.6g}", e.steps(),
                                 static_cast<double>(e.reward()), e.episode_return());
  return line + (e.ended() ? "  ended: " + e.outcome() : "") + "\n";
}

std::string head_line(PlaySession& session) {
  return fmt::format("{}  episode {}\n", session.episode().spec().id, session.episode_number());
}

std::string first_lines(const std::string& text, int lines) {
  std::size_t end = 0;
  for (; lines > 0 && end < text.size(); --lines) end = text.find('\n', end) + 1;
  return text.substr(0, end);
}

std::string screen(PlaySession& session, bool picture) {
  const EnvEntry& entry = session.episode().entry();
  const TerminalSize size = terminal_size();
  std::string view;
  if ((entry.render != nullptr || has_planes(session.episode().spec())) &&
      (picture || entry.text == nullptr)) {
    Canvas canvas;
    draw_environment(entry, session.episode().batch(), 0, canvas);
    view = half_blocks(canvas.picture(), size.columns, size.rows - kOtherLines);
  } else {
    view = first_lines(text_of_environment(entry, session.episode().batch(), 0),
                       size.rows - kOtherLines);
  }
  return head_line(session) + view + state_line(session) + session.help() + "\n" + kGeneralKeys +
         "\n";
}

// Keys from the terminal until q, the end of the input, or a signal. Returns the exit code.
int play_at_terminal(PlaySession& session, bool picture) {
  install_signal_handlers();
  {
    RawTerminal terminal;
    std::string message;
    for (int key = 0; key != 'q' && key >= 0;) {
      terminal.show(screen(session, picture) + message + "\n");
      key = terminal.read_key();
      message.clear();
      if (key > 0 && key != 'q') {
        message = PlaySession::explain(session.press(static_cast<char>(key)));
      }
    }
  }
  print_out(head_line(session) + state_line(session));
  return stop_signal() == 0 ? 0 : stop_signal() == SIGINT ? 130 : 75;
}

std::string read_all_input() {
  std::string text;
  char block[4096];
  for (ssize_t n; (n = read(STDIN_FILENO, block, sizeof block)) > 0;) {
    text.append(block, static_cast<std::size_t>(n));
    if (text.size() > std::size_t{1} << 24) fail_usage("the script of keys has more than 16 MiB");
  }
  return text;
}

// Every character of standard input is a key; line breaks are not. Then the final state.
int play_script(PlaySession& session) {
  const std::string script = read_all_input();
  for (std::size_t k = 0; k < script.size() && script[k] != 'q'; ++k) {
    if (script[k] == '\n' || script[k] == '\r') continue;
    const PlaySession::Answer answer = session.press(script[k]);
    if (answer == PlaySession::Answer::kDone) continue;
    const auto byte = static_cast<unsigned char>(script[k]);
    const std::string key =
        byte > ' ' && byte < 127 ? std::string(1, script[k]) : fmt::format("\\x{:02x}", byte);
    fail_usage(fmt::format("standard input, character {}: '{}': {} (keys: {}   {})", k + 1, key,
                           PlaySession::explain(answer), session.help(), kGeneralKeys));
  }
  print_out(head_line(session) +
            text_of_environment(session.episode().entry(), session.episode().batch(), 0) +
            state_line(session));
  return 0;
}

}  // namespace

int run_play(const Arguments& arguments) {
  std::string id;
  std::optional<std::int64_t> seed;
  std::int64_t episode = 0;
  std::vector<std::string> set;
  bool picture = false;
  Args parser("play", "Plays an environment from the keyboard, or from keys on standard input.");
  parser.positional("ENV", id, "environment");
  parser.option("--seed", seed, "instead of the fixed evaluation seed");
  parser.option("--episode", episode, "number of the first episode", 0, 4294967295);
  parser.list("--set", set, "override an environment key, as in --set env.params.gravity=20");
  parser.flag("--picture", picture, "show the picture even if there is a view in characters");
  if (!parser.parse(arguments)) return 0;
  if (seed && *seed < 0) fail_usage("--seed must not be negative");
  const EnvEntry& entry = find_env(id);
  const EnvOptions env = policy_environment("random", id, set);
  BatchConfig config;
  config.params = env.params;
  config.world = env.world;
  config.time_limit = env.time_limit;
  config.seed = seed ? static_cast<std::uint64_t>(*seed) : kEvaluationSeed;
  config.first_episode = static_cast<std::uint32_t>(episode);
  PlaySession session(entry, config);
  const bool terminal = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
  return terminal ? play_at_terminal(session, picture) : play_script(session);
}

}  // namespace rollmill
