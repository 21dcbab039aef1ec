// Trainings as child processes of this same program: one that crashes ends alone. Each has a process group of its own, so
// that Ctrl-C in a terminal reaches the parent only, which passes it on once; and each gets SIGTERM when the parent dies.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace rollmill {

class Children {
 public:
  struct Ended {
    std::size_t id;
    int exit_code;  // 128 + N: ended by signal N
  };

  Children() = default;
  ~Children();  // stops and awaits those that run
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  // `rollmill ARGUMENTS`; what it prints is appended to the file `log`. `id` comes back when it ends. Throws Error kIo.
  void start(std::size_t id, const std::vector<std::string>& arguments, const std::string& log);
  // Those that ended since the last call; does not wait.
  std::vector<Ended> take_ended();
  void signal_all(int number) const;
  std::size_t running() const { return running_.size(); }

 private:
  struct Child {
    pid_t pid;
    std::size_t id;
  };
  std::vector<Child> running_;
};

}  // namespace rollmill
