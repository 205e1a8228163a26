// What the simulated driver keeps: memory, streams, graphs, modules. All of it under one lock.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "emulation/runtime.h"

namespace simulator {

/// An allocation on the device or pinned on the host.
struct Region {
    size_t byte_count;
    void *mapping;
    size_t mapping_bytes;
    bool is_pinned;
    std::string origin;
};

/// Work that waits on a stream. Gives an error, 0 for none.
using Operation = std::function<int()>;

struct Graph {
    std::vector<Operation> operations;
};

struct Stream {
    std::deque<Operation> queue;
    /// Operations that were ever put in the queue, and that ever ran.
    uint64_t put = 0, done = 0;
    bool is_blocking = true;
    bool is_running = false;
    std::unique_ptr<Graph> capture;
    bool is_capture_broken = false;
    /// The stream whose recording this one has joined by waiting for an event of it.
    Stream *joined = nullptr;
};

struct Event {
    Stream *stream = nullptr;
    uint64_t at = 0;
    /// The stream whose recording it is part of.
    Stream *recording = nullptr;
};

struct Module {
    void *library;
};

struct Function {
    std::string name;
    Module *module;
    const pbctl_kernel *kernel;
    int dynamic_shared_limit = 48 << 10;
};

/// Everything there is of the simulated machine.
struct Machine {
    std::recursive_mutex lock;
    std::map<uint64_t, Region> regions;
    size_t used_bytes = 0;
    Stream null_stream;
    std::vector<Stream *> streams;
    /// The first error of the device; every later call gives it.
    int sticky = 0;
    std::map<std::string, uint64_t> counts;
    std::map<std::string, std::string> settings;
    int context_count = 0;

    /// Runs a stream's work, all of it or up to a place.
    int flush(Stream &stream, uint64_t up_to = UINT64_MAX);
    /// Runs all work.
    int flush();
    /// Puts work on a stream, or into the graph that it is recorded to.
    int put(Stream *stream, Operation operation);
    /// The region that holds all of a range; nullptr where none does.
    const Region *region(uint64_t address, size_t byte_count) const;
    int fail(int code, const std::string &text);
};

Machine &machine();
/// A variable's value, a null pointer where it is not set.
const char *setting(const char *name);
uint64_t setting(const char *name, uint64_t otherwise);
/// The value for one of several in a list like `75,90`; the last one stands for all that follow.
uint64_t setting(const char *name, int index, uint64_t otherwise);
/// The devices of the machine that CUDA shows, by their numbers among all: what CUDA_VISIBLE_DEVICES leaves.
std::vector<int> visible_devices();
/// The error that a call of a function is to fail with, 0 for none.
int planned_failure(const char *symbol);

}

/// Begins an entry point: takes the lock, counts, and fails where that is planned or the device is broken.
#define SIMULATED(symbol)                                                                                              \
    std::lock_guard<std::recursive_mutex> held(simulator::machine().lock);                                             \
    if (int planned = simulator::planned_failure(#symbol)) return planned;                                             \
    if (simulator::machine().sticky) return simulator::machine().sticky;
