#include "core/dist/torch/rendezvous.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "core/base/error.h"

namespace rollmill {
namespace {

using Clock = std::chrono::steady_clock;

std::string place(const LaunchInfo& launch) {
  return "rank " + std::to_string(launch.rank) + " of " + std::to_string(launch.world_size);
}

std::string address(const LaunchInfo& launch) {
  return launch.master_addr + ":" + std::to_string(launch.master_port);
}

// Waits until every rank has set its key; returns those that had not by the deadline.
std::vector<int> missing_ranks(c10d::Store& store, const char* key, int world_size,
                               Clock::time_point deadline) {
  std::vector<int> missing;
  for (int r = 0; r < world_size; ++r) missing.push_back(r);
  for (;;) {
    std::erase_if(missing, [&](int r) { return store.check({key + std::to_string(r)}); });
    if (missing.empty() || Clock::now() >= deadline) return missing;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

std::string join(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < ranks.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(ranks[i]);
  return text;
}

c10::intrusive_ptr<c10d::Store> connect(const LaunchInfo& launch) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(launch.master_port);
  options.isServer = launch.rank == 0 && !launch.agent_store;
  options.waitWorkers = false;  // missing_ranks() waits, and can say for whom
  options.timeout = std::chrono::seconds(launch.timeout_seconds);
  try {
    return c10::make_intrusive<c10d::TCPStore>(launch.master_addr, options);
  } catch (const std::exception& e) {
    const char* what =
        options.isServer ? " cannot serve the rendezvous at " : " cannot reach the rendezvous at ";
    fail_peer(place(launch) + what + address(launch) + " within " +
              std::to_string(launch.timeout_seconds) + " s (" + first_line(e.what()) +
              "); check MASTER_ADDR and MASTER_PORT, " +
              (options.isServer ? "and that the port is free" : "and that rank 0 is running"));
  }
}

}  // namespace

std::string first_line(const char* message) {
  std::string text(message);
  text = text.substr(0, text.find('\n'));
  // c10 puts "[file:line] " or "[enforce fail at file:line] . " in front; the place means nothing
  // to a user.
  if (!text.empty() && text.front() == '[') {
    const std::size_t end = text.find("] ");
    if (end != std::string::npos) text = text.substr(end + 2);
  }
  if (text.starts_with(". ")) text = text.substr(2);
  return text;
}

c10::intrusive_ptr<c10d::Store> join_store(const LaunchInfo& launch) {
  const Clock::time_point deadline = Clock::now() + std::chrono::seconds(launch.timeout_seconds);
  auto store = c10::make_intrusive<c10d::PrefixStore>(
      "rollmill/" + launch.run_id + "/" + std::to_string(launch.restart_count), connect(launch));
  std::vector<int> missing;
  try {
    store->set("joined/" + std::to_string(launch.rank), std::string("1"));
    missing = missing_ranks(*store, "joined/", launch.world_size, deadline);
  } catch (const std::exception& e) {
    fail_peer(place(launch) + " lost the rendezvous at " + address(launch) + " (" +
              first_line(e.what()) + ")");
  }
  if (!missing.empty()) {
    fail_peer(place(launch) + " waited " + std::to_string(launch.timeout_seconds) + " s at " +
              address(launch) + ", but " + join(missing) + " did not join; look at their logs");
  }
  return store;
}

std::string describe_silent_ranks(c10d::Store& store, const LaunchInfo& launch) {
  const int wait = std::clamp(launch.timeout_seconds / 4, 1, 5);
  try {
    store.setTimeout(std::chrono::seconds(wait));
    store.set("failed/" + std::to_string(launch.rank), std::string("1"));
    const std::vector<int> silent = missing_ranks(store, "failed/", launch.world_size,
                                                  Clock::now() + std::chrono::seconds(wait));
    return silent.empty() ? "every rank gave up" : join(silent) + " lost or late";
  } catch (const std::exception&) {
    return "the rendezvous at " + address(launch) + " is gone too";
  }
}

}  // namespace rollmill
