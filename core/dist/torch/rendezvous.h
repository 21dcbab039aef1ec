// How the ranks of a job find one another: c10d's TCPStore, with names of who is missing in its
// errors.
#pragma once

#include <string>
#include <vector>

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "core/dist/process_group.h"

namespace rollmill {

// Joins the store at MASTER_ADDR:MASTER_PORT and waits until every rank has. Under torchrun's agent
// store every rank is a client; otherwise rank 0 serves. Keys are below run id and restart count,
// since the agent's store outlives a restart. Throws Error(kPeer) that names the address and the
// ranks that did not come.
c10::intrusive_ptr<c10d::Store> join_store(const LaunchInfo& launch);

// After a collective failed: tells the others so and returns, as text, which ranks do not say the
// same within a few seconds. They are the ones lost or late.
std::string describe_silent_ranks(c10d::Store& store, const LaunchInfo& launch);

// The first line of a library's message, without its stack trace.
std::string first_line(const char* message);

}  // namespace rollmill
