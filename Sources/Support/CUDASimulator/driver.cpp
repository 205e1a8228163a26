// libcuda's functions.
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "fibers.h"
#include "state.h"

using namespace simulator;

namespace {

enum {
    ok = 0,
    invalid_value = 1,
    out_of_memory = 2,
    no_device = 100,
    invalid_device = 101,
    invalid_image = 200,
    invalid_context = 201,
    invalid_handle = 400,
    not_found = 500,
    illegal_address = 700,
    launch_failed = 719,
    capture_unsupported = 900,
};

constexpr size_t alignment = 256;
constexpr unsigned char canary = 0xc5;
/// Addresses behind an allocation that belong to nothing.
constexpr size_t guard_bytes = 4 << 20;

int device_count() { return static_cast<int>(visible_devices().size()); }
/// A device's number among all of the machine, those that are hidden too.
int place(int device) { return device >= 0 && device < device_count() ? visible_devices()[device] : 0; }
size_t memory_bytes() { return setting("PBCTL_SIMULATOR_MEMORY", 1 << 30); }

thread_local void *current_context;
char context_of_device;

bool is_capturing() {
    for (Stream *stream : machine().streams)
        if (stream->capture) {
            stream->is_capture_broken = true;
            return true;
        }
    return false;
}

/// Bytes behind an allocation that nobody may write.
unsigned char *slack(uint64_t address, const Region &region) {
    return reinterpret_cast<unsigned char *>(address) + region.byte_count;
}
size_t slack_bytes(const Region &region) {
    return (region.byte_count + alignment - 1) / alignment * alignment - region.byte_count;
}

bool is_whole(uint64_t address, const Region &region) {
    const unsigned char *bytes = slack(address, region);
    for (size_t i = 0; i < slack_bytes(region); i++)
        if (bytes[i] != canary) return false;
    return true;
}

/// Memory that ends, as nearly as its alignment allows, at a page that nobody may touch.
uint64_t map(size_t byte_count, bool is_pinned, const char *origin) {
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_t rounded = (byte_count + alignment - 1) / alignment * alignment;
    size_t held = (rounded + page - 1) / page * page;
    void *mapping =
        mmap(nullptr, held + guard_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) return 0;
    auto *bytes = static_cast<unsigned char *>(mapping);
    mprotect(bytes, held, PROT_READ | PROT_WRITE);
    auto address = reinterpret_cast<uint64_t>(bytes + held - rounded);
    // Nothing may rely on what was never written: large memory is spoilt at its ends only, to stay unused.
    size_t spoilt = byte_count < (8u << 20) ? byte_count : (1u << 20);
    memset(reinterpret_cast<void *>(address), 0xff, spoilt);
    memset(reinterpret_cast<unsigned char *>(address) + byte_count, canary, rounded - byte_count);
    machine().regions[address] = {byte_count, mapping, held + guard_bytes, is_pinned, origin};
    return address;
}

int unmap(uint64_t address, bool is_pinned) {
    auto found = machine().regions.find(address);
    if (found == machine().regions.end() || found->second.is_pinned != is_pinned) return invalid_value;
    Region region = found->second;
    bool was_whole = is_whole(address, region);
    machine().regions.erase(found);
    // Stays mapped and closed: whoever uses it later is caught.
    mprotect(region.mapping, region.mapping_bytes, PROT_NONE);
    madvise(region.mapping, region.mapping_bytes, MADV_DONTNEED);
    if (!is_pinned) machine().used_bytes -= region.byte_count;
    return was_whole ? ok : machine().fail(illegal_address, "something wrote behind an allocation's end");
}

int copy(void *target, const void *source, size_t bytes) {
    memmove(target, source, bytes);
    machine().counts["copied_bytes"] += bytes;
    return ok;
}

bool is_device(uint64_t address, size_t bytes) {
    const Region *region = machine().region(address, bytes);
    return region && !region->is_pinned;
}

bool is_pinned(const void *memory, size_t bytes) {
    const Region *region = machine().region(reinterpret_cast<uint64_t>(memory), bytes);
    return region && region->is_pinned;
}

pbctl_runtime runtime;

struct Packed {
    std::vector<unsigned char> bytes;
    std::vector<size_t> offsets;
};

}

extern "C" {

int cuInit(unsigned) {
    SIMULATED(cuInit)
    return device_count() > 0 ? ok : no_device;
}
int cuDriverGetVersion(int *version) {
    SIMULATED(cuDriverGetVersion)
    *version = static_cast<int>(setting("PBCTL_SIMULATOR_DRIVER", 13000));
    return ok;
}
static const char *text_of(int error) {
    switch (error) {
    case ok: return "no error";
    case invalid_value: return "invalid argument";
    case out_of_memory: return "out of memory";
    case no_device: return "no CUDA-capable device is detected";
    case invalid_device: return "invalid device ordinal";
    case invalid_image: return "device kernel image is invalid";
    case invalid_context: return "invalid device context";
    case invalid_handle: return "invalid resource handle";
    case not_found: return "named symbol not found";
    case illegal_address: return "an illegal memory access was encountered";
    case launch_failed: return "unspecified launch failure";
    case capture_unsupported: return "operation not permitted when stream is capturing";
    case 214: return "uncorrectable ECC error encountered";
    default: return "error of the simulated driver";
    }
}
int cuGetErrorName(int error, const char **name) {
    static thread_local char text[32];
    snprintf(text, sizeof text, "CUDA_ERROR_%d", error);
    *name = text;
    return ok;
}
int cuGetErrorString(int error, const char **text) {
    *text = text_of(error);
    return ok;
}
int cuDeviceGetCount(int *count) {
    SIMULATED(cuDeviceGetCount)
    *count = device_count();
    return ok;
}
int cuDeviceGet(int *device, int ordinal) {
    SIMULATED(cuDeviceGet)
    if (ordinal < 0 || ordinal >= device_count()) return invalid_device;
    *device = ordinal;
    return ok;
}
int cuDeviceGetName(char *name, int length, int) {
    SIMULATED(cuDeviceGetName)
    const char *wanted = setting("PBCTL_SIMULATOR_NAME");
    snprintf(name, static_cast<size_t>(length), "%s", wanted ? wanted : "Simulated GPU");
    return ok;
}
int cuDeviceTotalMem_v2(size_t *bytes, int) {
    SIMULATED(cuDeviceTotalMem_v2)
    *bytes = memory_bytes();
    return ok;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    SIMULATED(cuDeviceGetAttribute)
    int capability = static_cast<int>(setting("PBCTL_SIMULATOR_CAPABILITY", place(device), 90));
    switch (attribute) {
    case 38: *value = 64 << 10; return ok;
    case 16: *value = static_cast<int>(setting("PBCTL_SIMULATOR_MULTIPROCESSORS", 4)); return ok;
    case 75: *value = capability / 10; return ok;
    case 76: *value = capability % 10; return ok;
    case 97: *value = 227 << 10; return ok;
    default: return invalid_value;
    }
}
int cuDeviceGetUuid_v2(void *bytes, int device) {
    SIMULATED(cuDeviceGetUuid_v2)
    memset(bytes, place(device) + 1, 16);
    return ok;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
    SIMULATED(cuDevicePrimaryCtxRetain)
    if (device < 0 || device >= device_count()) return invalid_device;
    machine().context_count++;
    *context = &context_of_device;
    return ok;
}
int cuDevicePrimaryCtxRelease_v2(int) {
    std::lock_guard<std::recursive_mutex> held(machine().lock);
    machine().context_count--;
    return ok;
}
int cuCtxSetCurrent(void *context) {
    SIMULATED(cuCtxSetCurrent)
    current_context = context;
    return ok;
}
#define WITH_CONTEXT                                                                                                   \
    if (!current_context) return invalid_context;

int cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes) {
    SIMULATED(cuMemGetInfo_v2)
    WITH_CONTEXT
    *total_bytes = memory_bytes();
    *free_bytes = memory_bytes() - machine().used_bytes;
    return ok;
}
int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
    SIMULATED(cuMemAlloc_v2)
    WITH_CONTEXT
    if (is_capturing()) return capture_unsupported;
    if (bytes == 0) return invalid_value;
    if (bytes > memory_bytes() - machine().used_bytes) return out_of_memory;
    *address = map(bytes, false, "device");
    if (!*address) return out_of_memory;
    machine().used_bytes += bytes;
    return ok;
}
int cuMemFree_v2(uint64_t address) {
    SIMULATED(cuMemFree_v2)
    WITH_CONTEXT
    if (is_capturing()) return capture_unsupported;
    // As the driver does: work that may use it comes first.
    if (int error = machine().flush()) return error;
    return unmap(address, false);
}
int cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
    SIMULATED(cuMemHostAlloc)
    WITH_CONTEXT
    if (bytes == 0) return invalid_value;
    *memory = reinterpret_cast<void *>(map(bytes, true, "pinned"));
    return *memory ? ok : out_of_memory;
}
int cuMemFreeHost(void *memory) {
    SIMULATED(cuMemFreeHost)
    WITH_CONTEXT
    if (int error = machine().flush()) return error;
    return unmap(reinterpret_cast<uint64_t>(memory), true);
}
int cuMemcpyHtoDAsync_v2(uint64_t target, const void *source, size_t bytes, void *stream) {
    SIMULATED(cuMemcpyHtoDAsync_v2)
    WITH_CONTEXT
    if (!is_device(target, bytes)) return invalid_value;
    auto *to = reinterpret_cast<void *>(target);
    if (is_pinned(source, bytes))
        return machine().put(static_cast<Stream *>(stream), [=] { return copy(to, source, bytes); });
    // Other memory is read before the call returns.
    const auto *begin = static_cast<const unsigned char *>(source);
    std::vector<unsigned char> taken(begin, begin + bytes);
    return machine().put(static_cast<Stream *>(stream), [to, taken] { return copy(to, taken.data(), taken.size()); });
}
int cuMemcpyDtoHAsync_v2(void *target, uint64_t source, size_t bytes, void *stream) {
    SIMULATED(cuMemcpyDtoHAsync_v2)
    WITH_CONTEXT
    if (!is_device(source, bytes)) return invalid_value;
    const auto *from = reinterpret_cast<const void *>(source);
    int error = machine().put(static_cast<Stream *>(stream), [=] { return copy(target, from, bytes); });
    if (error) return error;
    auto *wanted = static_cast<Stream *>(stream);
    if (wanted && wanted->capture) return ok;
    if (is_pinned(target, bytes)) {
        // Whoever reads it before the copy is waited for reads nonsense.
        memset(target, 0xff, bytes);
        return ok;
    }
    return machine().flush(wanted ? *wanted : machine().null_stream);
}
int cuMemcpyDtoDAsync_v2(uint64_t target, uint64_t source, size_t bytes, void *stream) {
    SIMULATED(cuMemcpyDtoDAsync_v2)
    WITH_CONTEXT
    if (!is_device(source, bytes) || !is_device(target, bytes)) return invalid_value;
    return machine().put(static_cast<Stream *>(stream), [=] {
        return copy(reinterpret_cast<void *>(target), reinterpret_cast<const void *>(source), bytes);
    });
}
int cuMemsetD8Async(uint64_t target, unsigned char value, size_t bytes, void *stream) {
    SIMULATED(cuMemsetD8Async)
    WITH_CONTEXT
    if (!is_device(target, bytes)) return invalid_value;
    return machine().put(static_cast<Stream *>(stream), [=] {
        memset(reinterpret_cast<void *>(target), value, bytes);
        return ok;
    });
}
int cuStreamCreate(void **stream, unsigned flags) {
    SIMULATED(cuStreamCreate)
    WITH_CONTEXT
    auto *made = new Stream;
    made->is_blocking = !(flags & 1);
    machine().streams.push_back(made);
    *stream = made;
    return ok;
}
int cuStreamDestroy_v2(void *stream) {
    SIMULATED(cuStreamDestroy_v2)
    auto *known = static_cast<Stream *>(stream);
    machine().flush(*known);
    std::erase(machine().streams, known);
    delete known;
    return ok;
}
int cuStreamSynchronize(void *stream) {
    SIMULATED(cuStreamSynchronize)
    WITH_CONTEXT
    if (is_capturing()) return capture_unsupported;
    return machine().flush(stream ? *static_cast<Stream *>(stream) : machine().null_stream);
}
int cuEventCreate(void **event, unsigned) {
    SIMULATED(cuEventCreate)
    *event = new Event;
    return ok;
}
int cuEventDestroy_v2(void *event) {
    SIMULATED(cuEventDestroy_v2)
    delete static_cast<Event *>(event);
    return ok;
}
int cuEventRecord(void *event, void *stream) {
    SIMULATED(cuEventRecord)
    auto *known = stream ? static_cast<Stream *>(stream) : &machine().null_stream;
    Stream *recording = known->capture ? known : known->joined;
    // While it is recorded, order is that of the calls.
    *static_cast<Event *>(event) = recording ? Event{nullptr, 0, recording} : Event{known, known->put, nullptr};
    return ok;
}
int cuEventSynchronize(void *event) {
    SIMULATED(cuEventSynchronize)
    auto *known = static_cast<Event *>(event);
    return known->stream ? machine().flush(*known->stream, known->at) : ok;
}
int cuStreamWaitEvent(void *stream, void *event, unsigned) {
    SIMULATED(cuStreamWaitEvent)
    Event known = *static_cast<Event *>(event);
    if (known.recording && known.recording->capture) {
        auto *waiting = static_cast<Stream *>(stream);
        if (waiting != known.recording) waiting->joined = known.recording;
        return ok;
    }
    if (!known.stream) return ok;
    return machine().put(static_cast<Stream *>(stream), [known] { return machine().flush(*known.stream, known.at); });
}
int cuEventElapsedTime(float *milliseconds, void *, void *) {
    SIMULATED(cuEventElapsedTime)
    *milliseconds = 1;
    return ok;
}

int cuModuleLoadData(void **module, const void *image) {
    SIMULATED(cuModuleLoadData)
    WITH_CONTEXT
    const auto *header = static_cast<const Elf64_Ehdr *>(image);
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64) return invalid_image;
    size_t bytes = header->e_shoff + static_cast<size_t>(header->e_shentsize) * header->e_shnum;
    if (header->e_shoff == 0 || bytes > (64u << 20)) return invalid_image;
    int file = memfd_create("kernels", MFD_CLOEXEC);
    // The kernel reads the image, and says so where it is shorter than its header claims.
    size_t written = 0;
    while (file >= 0 && written < bytes) {
        ssize_t count = write(file, static_cast<const char *>(image) + written, bytes - written);
        if (count <= 0) break;
        written += static_cast<size_t>(count);
    }
    void *library = nullptr;
    if (written == bytes) {
        // The loader takes a path that it has seen for the library that it has loaded.
        static size_t count = 0;
        std::string path = "/proc/self/fd/";
        for (size_t i = 0; i <= count; i++) path += "./";
        count++;
        library = dlopen((path + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
    }
    if (file >= 0) close(file);
    if (!library) return invalid_image;
    auto bind = reinterpret_cast<void (*)(pbctl_runtime *)>(dlsym(library, "pbctl_simulator_bind"));
    if (!bind) return invalid_image;
    bind(&runtime);
    *module = new Module{library};
    return ok;
}
int cuModuleUnload(void *module) {
    SIMULATED(cuModuleUnload)
    machine().flush();
    auto *known = static_cast<Module *>(module);
    dlclose(known->library);
    delete known;
    return ok;
}
int cuModuleGetFunction(void **function, void *module, const char *name) {
    SIMULATED(cuModuleGetFunction)
    auto *known = static_cast<Module *>(module);
    auto *kernel = static_cast<const pbctl_kernel *>(dlsym(known->library, (std::string(name) + "__kernel").c_str()));
    if (!kernel) return not_found;
    *function = new Function{name, known, kernel};
    return ok;
}
int cuFuncSetAttribute(void *function, int attribute, int value) {
    SIMULATED(cuFuncSetAttribute)
    if (attribute != 8 || value < 0 || value > 227 << 10) return invalid_value;
    static_cast<Function *>(function)->dynamic_shared_limit = value;
    return ok;
}
int cuLaunchKernel(
    void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
    unsigned block_z, unsigned shared_bytes, void *stream, void **arguments, void **) {
    SIMULATED(cuLaunchKernel)
    WITH_CONTEXT
    auto *known = static_cast<Function *>(function);
    uint64_t threads = static_cast<uint64_t>(block_x) * block_y * block_z;
    if (!grid_x || !grid_y || !grid_z || threads == 0 || threads > 1024 || grid_y > 65535 || grid_z > 65535 ||
        shared_bytes > static_cast<unsigned>(known->dynamic_shared_limit))
        return invalid_value;
    auto packed = std::make_shared<Packed>();
    for (size_t i = 0; i < known->kernel->count; i++) {
        size_t at = (packed->bytes.size() + 15) / 16 * 16;
        packed->offsets.push_back(at);
        packed->bytes.resize(at + known->kernel->sizes[i]);
        memcpy(packed->bytes.data() + at, arguments[i], known->kernel->sizes[i]);
    }
    return machine().put(static_cast<Stream *>(stream), [=] {
        std::vector<void *> pointers;
        for (size_t offset : packed->offsets) pointers.push_back(packed->bytes.data() + offset);
        auto bound = [&](const char *symbol) {
            auto find = reinterpret_cast<unsigned char *(*)()>(dlsym(known->module->library, symbol));
            return find ? find() : nullptr;
        };
        Launch launch{
            known->name, known->kernel->run, pointers.data(), {grid_x, grid_y, grid_z}, {block_x, block_y, block_z},
            shared_bytes, bound("pbctl_shared_begin"), bound("pbctl_shared_end")};
        machine().counts["launches"]++;
        int code = 0;
        std::string failure = execute(launch, runtime, code);
        if (!failure.empty()) return machine().fail(code, failure);
        for (const auto &[address, region] : machine().regions)
            if (!is_whole(address, region))
                return machine().fail(illegal_address, known->name + " wrote behind an allocation's end");
        return static_cast<int>(ok);
    });
}
int cuStreamBeginCapture_v2(void *stream, int) {
    SIMULATED(cuStreamBeginCapture_v2)
    auto *known = static_cast<Stream *>(stream);
    if (!known || known->capture) return invalid_value;
    known->capture = std::make_unique<Graph>();
    known->is_capture_broken = false;
    return ok;
}
int cuStreamEndCapture(void *stream, void **graph) {
    std::lock_guard<std::recursive_mutex> held(machine().lock);
    auto *known = static_cast<Stream *>(stream);
    if (!known->capture) return invalid_value;
    // The recording ends, whatever becomes of it.
    auto captured = std::move(known->capture);
    for (Stream *other : machine().streams)
        if (other->joined == known) other->joined = nullptr;
    if (int planned = planned_failure("cuStreamEndCapture")) return planned;
    if (machine().sticky) return machine().sticky;
    if (known->is_capture_broken) return capture_unsupported;
    *graph = captured.release();
    return ok;
}
int cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long) {
    SIMULATED(cuGraphInstantiateWithFlags)
    *executable = new Graph(*static_cast<Graph *>(graph));
    return ok;
}
int cuGraphLaunch(void *executable, void *stream) {
    SIMULATED(cuGraphLaunch)
    machine().counts["graph_launches"]++;
    for (const Operation &operation : static_cast<Graph *>(executable)->operations)
        if (int error = machine().put(static_cast<Stream *>(stream), operation)) return error;
    return ok;
}
int cuGraphExecDestroy(void *executable) {
    SIMULATED(cuGraphExecDestroy)
    machine().flush();
    delete static_cast<Graph *>(executable);
    return ok;
}
int cuGraphDestroy(void *graph) {
    SIMULATED(cuGraphDestroy)
    delete static_cast<Graph *>(graph);
    return ok;
}

}
