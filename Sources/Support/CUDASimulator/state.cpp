#include "state.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "include/cuda_simulator.h"

using simulator::machine;

void cuda_simulator_set(const char *name, const char *value) {
    std::lock_guard<std::recursive_mutex> held(machine().lock);
    machine().counts.clear();
    if (value) {
        machine().settings[name] = value;
    } else {
        machine().settings.erase(name);
    }
}

void cuda_simulator_repair(void) {
    std::lock_guard<std::recursive_mutex> held(machine().lock);
    machine().sticky = 0;
    machine().null_stream.queue.clear();
    for (simulator::Stream *stream : machine().streams) stream->queue.clear();
}

namespace simulator {

const char *setting(const char *name) {
    auto found = machine().settings.find(name);
    return found == machine().settings.end() ? getenv(name) : found->second.c_str();
}

uint64_t setting(const char *name, uint64_t otherwise) {
    const char *text = setting(name);
    return text && *text ? strtoull(text, nullptr, 10) : otherwise;
}

uint64_t setting(const char *name, int index, uint64_t otherwise) {
    const char *text = setting(name);
    if (!text || !*text) return otherwise;
    for (const char *comma; index > 0 && (comma = strchr(text, ',')); index--) text = comma + 1;
    return strtoull(text, nullptr, 10);
}

std::vector<int> visible_devices() {
    int count = static_cast<int>(setting("PBCTL_SIMULATOR_DEVICES", 1));
    std::vector<int> devices;
    const char *text = setting("CUDA_VISIBLE_DEVICES");
    if (!text) {
        for (int device = 0; device < count; device++) devices.push_back(device);
        return devices;
    }
    // As with the real one, the first that is none ends the list.
    for (char *end = nullptr; *text; text = *end ? end + 1 : end) {
        long device = strtol(text, &end, 10);
        if (end == text || device < 0 || device >= count) break;
        devices.push_back(static_cast<int>(device));
    }
    return devices;
}

static void report() {
    const char *path = getenv("PBCTL_SIMULATOR_REPORT");
    if (!path) return;
    FILE *file = fopen(path, "w");
    if (!file) return;
    size_t leaked = 0;
    for (const auto &[address, region] : machine().regions) {
        leaked += region.byte_count;
        fprintf(file, "leak:%s %zu\n", region.origin.c_str(), region.byte_count);
    }
    fprintf(file, "leaked_bytes %zu\n", leaked);
    for (const auto &[name, count] : machine().counts)
        fprintf(file, "%s %llu\n", name.c_str(), static_cast<unsigned long long>(count));
    fclose(file);
}

Machine &machine() {
    // Never destroyed: threads may call to the very end of the process.
    static Machine *machine = [] {
        atexit(report);
        return new Machine;
    }();
    return *machine;
}

int planned_failure(const char *symbol) {
    uint64_t count = ++machine().counts[symbol];
    const char *plan = setting("PBCTL_SIMULATOR_FAIL");
    if (!plan) return 0;
    size_t length = strlen(symbol);
    if (strncmp(plan, symbol, length) != 0 || plan[length] != ':') return 0;
    char *rest = nullptr;
    uint64_t wanted = strtoull(plan + length + 1, &rest, 10);
    int error = count == wanted && *rest == ':' ? atoi(rest + 1) : 0;
    if (error < 0) raise(-error);
    return error;
}

int Machine::fail(int code, const std::string &text) {
    sticky = code;
    fprintf(stderr, "simulated device: %s\n", text.c_str());
    return code;
}

int Machine::flush(Stream &stream, uint64_t up_to) {
    if (stream.is_running) return 0;
    stream.is_running = true;
    while (!stream.queue.empty() && stream.done < up_to && !sticky) {
        Operation operation = std::move(stream.queue.front());
        stream.queue.pop_front();
        stream.done++;
        operation();
    }
    stream.is_running = false;
    return sticky;
}

int Machine::flush() {
    flush(null_stream);
    for (Stream *stream : streams) flush(*stream);
    return sticky;
}

int Machine::put(Stream *wanted, Operation operation) {
    Stream &stream = wanted ? *wanted : null_stream;
    if (Stream *recording = stream.capture ? &stream : stream.joined) {
        recording->capture->operations.push_back(std::move(operation));
        return 0;
    }
    // The null stream and those that block on it wait for each other.
    if (!wanted) {
        for (Stream *other : streams)
            if (other->is_blocking) flush(*other);
    } else if (stream.is_blocking) {
        flush(null_stream);
    }
    stream.queue.push_back(std::move(operation));
    stream.put++;
    return sticky;
}

const Region *Machine::region(uint64_t address, size_t byte_count) const {
    auto next = regions.upper_bound(address);
    if (next == regions.begin()) return nullptr;
    const auto &[start, region] = *std::prev(next);
    return address + byte_count <= start + region.byte_count ? &region : nullptr;
}

}
