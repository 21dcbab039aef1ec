#include "generators/play_session.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace rollmill {
namespace {

constexpr std::size_t kMaxPast = 10000;
constexpr std::string_view kRealKeys = "adswjlki";  // lowest and highest of each number
constexpr double kUnbounded = 1e30;                 // a range beyond it is none; 1 stands for it

std::uint32_t word_of(double value) {
  return __builtin_bit_cast(std::uint32_t, static_cast<float>(value));
}

double end_of_range(double end) {
  return std::abs(end) < kUnbounded ? end : std::copysign(1.0, end);
}

std::string shown(char key) { return key == ' ' ? "space" : std::string(1, key); }

}  // namespace

PlaySession::PlaySession(const EnvEntry& entry, const BatchConfig& config)
    : entry_(entry), config_(config), spec_(entry.spec()), number_(config.first_episode) {
  zeros_.assign(spec_.choices.size(), 0);
  for (std::size_t k = spec_.choices.size(); k < spec_.action.size(); ++k) {
    zeros_.push_back(word_of(std::clamp(0.0, spec_.action[k].low, spec_.action[k].high)));
  }
  bind_choices();
  bind_reals();
  open_episode(number_);
}

void PlaySession::bind_choices() {
  const int total = spec_.total_choices();
  std::string keys = spec_.keys;
  for (char c = '0'; spec_.keys.empty() && c <= '9'; ++c) keys += c;
  for (char c = 'a'; spec_.keys.empty() && c <= 'z'; ++c) {
    if (std::string_view("qrun").find(c) == std::string_view::npos) keys += c;
  }
  int choice = 0;
  for (std::size_t column = 0; column < spec_.choices.size(); ++column) {
    help_ += fmt::format("{}{}: ", help_.empty() ? "" : "   ", spec_.action[column].name);
    for (int k = 0; k < spec_.choices[column]; ++k, ++choice) {
      std::vector<std::uint32_t> action = zeros_;
      action[column] = static_cast<std::uint32_t>(k);
      if (choice < static_cast<int>(keys.size())) {
        const char key = keys[static_cast<std::size_t>(choice)];
        help_ += (k == 0 ? "" : " ") + shown(key);
        bind(key, choice, action);
      }
      if (total <= 10) bind(static_cast<char>('0' + choice), choice, action);
    }
    if (!spec_.action[column].note.empty()) help_ += " (" + spec_.action[column].note + ")";
  }
}

void PlaySession::bind_reals() {
  const std::size_t first = spec_.choices.size();
  if (spec_.action.size() == first) return;
  for (std::size_t k = 0; first + k < spec_.action.size() && 2 * k < kRealKeys.size(); ++k) {
    const FieldSpec& f = spec_.action[first + k];
    for (const bool high : {false, true}) {
      std::vector<std::uint32_t> action = zeros_;
      action[first + k] = word_of(end_of_range(high ? f.high : f.low));
      bind(kRealKeys[2 * k + (high ? 1 : 0)], -1, std::move(action));
    }
    help_ += fmt::format("{}{}: {} lowest, {} highest", help_.empty() ? "" : "   ", f.name,
                         kRealKeys[2 * k], kRealKeys[2 * k + 1]);
  }
  bind(' ', -1, zeros_);
  help_ += "   space zero";
}

void PlaySession::bind(char key, int choice, std::vector<std::uint32_t> action) {
  if (find(key) == nullptr) bindings_.push_back({key, choice, std::move(action)});
}

const PlaySession::Binding* PlaySession::find(char key) const {
  for (const Binding& b : bindings_) {
    if (b.key == key) return &b;
  }
  return nullptr;
}

void PlaySession::open_episode(std::uint32_t number) {
  number_ = number;
  config_.first_episode = number;
  episode_ = std::make_unique<SoloEpisode>(entry_, config_);
  start_ = std::make_shared<const SoloEpisode::Snapshot>(episode_->save());
}

void PlaySession::remember() {
  past_.push_back({episode_->save(), start_, number_});
  if (past_.size() > kMaxPast) past_.pop_front();
}

PlaySession::Answer PlaySession::press(char key) {
  switch (key) {
    case 'r':
      remember();
      episode_->load(*start_);
      return Answer::kDone;
    case 'n':
      remember();
      open_episode(number_ + 1);
      return Answer::kDone;
    case 'u': {
      if (past_.empty()) return Answer::kNothingToUndo;
      const Past past = std::move(past_.back());
      past_.pop_back();
      episode_->load(past.snapshot);
      start_ = past.start;
      number_ = past.number;
      return Answer::kDone;
    }
    default: break;
  }
  const Binding* binding = find(key);
  if (binding == nullptr) return Answer::kNoSuchKey;
  if (episode_->ended()) return Answer::kEnded;
  if (binding->choice >= 0 && !episode_->allowed(binding->choice)) return Answer::kNotAllowed;
  remember();
  episode_->step(binding->action);
  return Answer::kDone;
}

const char* PlaySession::explain(Answer answer) {
  switch (answer) {
    case Answer::kNoSuchKey: return "no such key";
    case Answer::kNotAllowed: return "not allowed in this state";
    case Answer::kEnded: return "the episode has ended: r restarts it, n plays the next, u undoes";
    case Answer::kNothingToUndo: return "nothing to undo";
    default: return "";
  }
}

}  // namespace rollmill
