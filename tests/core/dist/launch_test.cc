// What a launcher may say, and every way in which it may contradict itself. Also the world of one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "core/base/error.h"
#include "core/dist/process_group.h"

namespace rollmill {
namespace {

constexpr const char* kNames[] = {"RANK",
                                  "WORLD_SIZE",
                                  "LOCAL_RANK",
                                  "LOCAL_WORLD_SIZE",
                                  "MASTER_ADDR",
                                  "MASTER_PORT",
                                  "TORCHELASTIC_RUN_ID",
                                  "TORCHELASTIC_RESTART_COUNT",
                                  "TORCHELASTIC_USE_AGENT_STORE",
                                  "ROLLMILL_TIMEOUT",
                                  "ROLLMILL_MODULE_DIR"};
using Variables = std::map<std::string, std::string>;

LaunchInfo read(const Variables& variables) {
  for (const char* name : kNames) unsetenv(name);
  for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
  return read_launch_info();
}

const Variables kTorchrun = {{"RANK", "3"},
                             {"WORLD_SIZE", "4"},
                             {"LOCAL_RANK", "1"},
                             {"LOCAL_WORLD_SIZE", "2"},
                             {"MASTER_ADDR", "node7"},
                             {"MASTER_PORT", "29400"},
                             {"TORCHELASTIC_RUN_ID", "job"},
                             {"TORCHELASTIC_RESTART_COUNT", "2"},
                             {"TORCHELASTIC_USE_AGENT_STORE", "True"}};

Variables with(Variables variables, const std::string& name, const std::string& value) {
  variables[name] = value;
  return variables;
}
Variables without(Variables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

// The message of the usage error; fails when there is none.
std::string usage_error(const Variables& variables) {
  try {
    read(variables);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage);
    const std::string message = e.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  ADD_FAILURE() << "accepted";
  return "";
}

TEST(Launch, ReadsTorchrunsVariables) {
  const LaunchInfo info = read(kTorchrun);
  EXPECT_TRUE(info.launched);
  EXPECT_EQ(info.rank, 3);
  EXPECT_EQ(info.world_size, 4);
  EXPECT_EQ(info.local_rank, 1);
  EXPECT_EQ(info.local_world_size, 2);
  EXPECT_EQ(info.master_addr, "node7");
  EXPECT_EQ(info.master_port, 29400);
  EXPECT_EQ(info.run_id, "job");
  EXPECT_EQ(info.restart_count, 2);
  EXPECT_TRUE(info.agent_store);
  EXPECT_EQ(info.timeout_seconds, 120);
  EXPECT_EQ(read(with(kTorchrun, "ROLLMILL_TIMEOUT", "7")).timeout_seconds, 7);
  EXPECT_FALSE(read(with(kTorchrun, "TORCHELASTIC_USE_AGENT_STORE", "False")).agent_store);
}

TEST(Launch, NothingSetIsASingleProcess) {
  EXPECT_FALSE(read({}).launched);
  EXPECT_FALSE(read({{"MASTER_ADDR", "left over"}}).launched);
  EXPECT_FALSE(read({{"WORLD_SIZE", "1"}}).launched);
}

TEST(Launch, AWorldOfOneNeedsNoRendezvous) {
  const LaunchInfo info = read({{"RANK", "0"}, {"WORLD_SIZE", "1"}});
  EXPECT_TRUE(info.launched);
  EXPECT_EQ(make_process_group(info, false)->backend(), "single");
}

TEST(Launch, WithoutALocalWorldSizeOnlyTheLoopbackHoldsAllRanks) {
  Variables two = {{"RANK", "1"},
                   {"WORLD_SIZE", "2"},
                   {"LOCAL_RANK", "1"},
                   {"MASTER_PORT", "1"},
                   {"MASTER_ADDR", "127.0.0.1"}};
  EXPECT_EQ(read(two).local_world_size, 2);
  EXPECT_EQ(read(with(two, "MASTER_ADDR", "node7")).local_world_size, 1);
  EXPECT_EQ(read(with(with(two, "MASTER_ADDR", "node7"), "WORLD_SIZE", "8")).local_world_size, 2);
}

TEST(Launch, EveryMissingVariableIsNamed) {
  for (const char* name : {"WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}) {
    EXPECT_NE(usage_error(without(kTorchrun, name)).find(name), std::string::npos) << name;
    EXPECT_NE(usage_error(with(kTorchrun, name, "")).find(name), std::string::npos) << name;
  }
  EXPECT_NE(usage_error(without(kTorchrun, "RANK")).find("RANK is not"), std::string::npos);
  EXPECT_NE(
      usage_error({{"RANK", "0"}}).find("WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT"),
      std::string::npos);
}

TEST(Launch, WrongValuesAreNamed) {
  for (const char* name : {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT",
                           "TORCHELASTIC_RESTART_COUNT", "ROLLMILL_TIMEOUT"}) {
    for (const char* value : {"x", "1x", "-1", "1.5", "99999999999999", " 1"}) {
      EXPECT_NE(usage_error(with(kTorchrun, name, value)).find(name), std::string::npos)
          << name << "=" << value;
    }
  }
  EXPECT_NE(usage_error(with(kTorchrun, "RANK", "4")).find("WORLD_SIZE=4"), std::string::npos);
  EXPECT_NE(usage_error(with(kTorchrun, "LOCAL_RANK", "2")).find("LOCAL_WORLD_SIZE"),
            std::string::npos);
  EXPECT_NE(usage_error(with(kTorchrun, "MASTER_PORT", "0")).find("MASTER_PORT"),
            std::string::npos);
  EXPECT_NE(usage_error(with(kTorchrun, "MASTER_PORT", "65536")).find("MASTER_PORT"),
            std::string::npos);
}

TEST(ProcessGroup, OneProcessHasNothingToDo) {
  const auto group = make_process_group(LaunchInfo{}, false);
  float x[] = {1, 2};
  group->all_reduce_sum(x, 2, "test");
  EXPECT_EQ(x[0], 1);
  EXPECT_EQ(x[1], 2);
  EXPECT_EQ(group->all_gather("bytes", "test"), std::vector<std::string>{"bytes"});
  group->barrier("test");
  EXPECT_EQ(group->rank(), 0);
  EXPECT_EQ(group->world_size(), 1);
}

TEST(ProcessGroup, AMissingModuleSaysWhatToDo) {
  read({});
  setenv("ROLLMILL_MODULE_DIR", "/nonexistent", 1);
  LaunchInfo info;
  info.world_size = 2;
  try {
    make_process_group(info, false);
    FAIL() << "made a group without the module";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage);
    EXPECT_NE(std::string(e.what()).find("librollmill_torch.so was not found in /nonexistent"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace rollmill
