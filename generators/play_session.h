// A person at the keys of one environment: what each key does, and everything can be undone.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "generators/solo_episode.h"

namespace rollmill {

class PlaySession {
 public:
  PlaySession(const EnvEntry& entry, const BatchConfig& config);

  // r: this episode from its start; u: undo (actions, restarts and changes of episode alike); n: the next episode; else an
  // action. The environment's own keys (EnvSpec::keys), digits where it has ten choices or fewer, and for real-valued actions
  // a/d, s/w, j/l, k/i for the lowest and highest value of each number and space for zeros.
  enum class Answer { kDone, kNoSuchKey, kNotAllowed, kEnded, kNothingToUndo };
  Answer press(char key);
  static const char* explain(Answer answer);  // in a few words; empty for kDone

  SoloEpisode& episode() { return *episode_; }
  std::uint32_t episode_number() const { return number_; }
  const std::string& help() const { return help_; }  // the action keys, in a line or two

 private:
  using Start = std::shared_ptr<const SoloEpisode::Snapshot>;
  struct Binding {
    char key;
    int choice;  // counted through all choices; -1: real numbers only
    std::vector<std::uint32_t> action;
  };
  struct Past {
    SoloEpisode::Snapshot snapshot;
    Start start;
    std::uint32_t number;
  };

  void bind_choices();
  void bind_reals();
  void bind(char key, int choice, std::vector<std::uint32_t> action);
  const Binding* find(char key) const;
  void open_episode(std::uint32_t number);
  void remember();

  const EnvEntry& entry_;
  BatchConfig config_;
  EnvSpec spec_;
  std::vector<std::uint32_t> zeros_;  // the action that does least
  std::vector<Binding> bindings_;
  std::string help_;
  std::unique_ptr<SoloEpisode> episode_;
  std::uint32_t number_;
  Start start_;
  std::deque<Past> past_;
};

}  // namespace rollmill
