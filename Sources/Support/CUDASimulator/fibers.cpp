#include "fibers.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <numeric>
#include <random>

#include "state.h"

namespace simulator {
namespace {

constexpr size_t stack_bytes = 128 << 10;
constexpr unsigned thread_limit = 1024;

struct Copy {
    void *shared;
    const void *global;
    int bytes;
};

struct Fiber {
    enum class State { ready, at_barrier, at_exchange, done } state = State::ready;
#if defined(__x86_64__)
    void *stack_pointer = nullptr;
#else
    ucontext_t context;
#endif
    uint3 thread;
    const void *place = nullptr;
    unsigned mask = 0;
    uint64_t given = 0;
    uint64_t seen[32];
    std::deque<std::vector<Copy>> groups;
    std::vector<Copy> open_group;
};

struct Failure {
    int code;
    std::string text;
};

Fiber fibers[thread_limit];
unsigned char *stacks;
Fiber *running;
const Launch *current;
pbctl_runtime *shown;
sigjmp_buf escape;
volatile bool is_running;
volatile uintptr_t fault_address;

#if defined(__x86_64__)
void *scheduler_stack_pointer;

// Saves the registers that a call keeps on the stack it leaves, and takes them from the one it enters.
extern "C" void pbctl_switch(void **from, void *to);
asm(R"(
.text
.type pbctl_switch, @function
pbctl_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size pbctl_switch, .-pbctl_switch
)");
#else
ucontext_t scheduler_context;
#endif

void leave() {
#if defined(__x86_64__)
    pbctl_switch(&running->stack_pointer, scheduler_stack_pointer);
#else
    swapcontext(&running->context, &scheduler_context);
#endif
}

void body() {
    current->run(current->arguments);
    running->state = Fiber::State::done;
    leave();
    abort();
}

void prepare(Fiber &fiber, unsigned index) {
    fiber.state = Fiber::State::ready;
    fiber.groups.clear();
    fiber.open_group.clear();
    unsigned char *top = stacks + (index + 1) * stack_bytes;
#if defined(__x86_64__)
    // Six registers, then the address that the switch returns to; aligned as at a function's entry.
    void **stack = reinterpret_cast<void **>(top) - 2;
    *stack = reinterpret_cast<void *>(&body);
    stack -= 6;
    memset(stack, 0, 6 * sizeof(void *));
    fiber.stack_pointer = stack;
#else
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = top - stack_bytes;
    fiber.context.uc_stack.ss_size = stack_bytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, &body, 0);
#endif
}

void enter(Fiber &fiber) {
    running = &fiber;
    shown->thread = fiber.thread;
#if defined(__x86_64__)
    pbctl_switch(&scheduler_stack_pointer, fiber.stack_pointer);
#else
    swapcontext(&scheduler_context, &fiber.context);
#endif
}

void barrier(const void *place) {
    running->place = place;
    running->state = Fiber::State::at_barrier;
    leave();
}

const uint64_t *exchange(unsigned mask, uint64_t value, const void *place) {
    running->place = place;
    running->mask = mask;
    running->given = value;
    running->state = Fiber::State::at_exchange;
    leave();
    return running->seen;
}

void copy_later(void *shared, const void *global, int bytes) { running->open_group.push_back({shared, global, bytes}); }

void commit() {
    running->groups.push_back(std::move(running->open_group));
    running->open_group.clear();
}

void wait(int groups_left) {
    Fiber &fiber = *running;
    while (fiber.groups.size() > static_cast<size_t>(groups_left)) {
        for (const Copy &copy : fiber.groups.front()) memcpy(copy.shared, copy.global, static_cast<size_t>(copy.bytes));
        fiber.groups.pop_front();
    }
}

std::string place_of(const Fiber &fiber) {
    auto text = [](uint3 v) {
        return "(" + std::to_string(v.x) + ", " + std::to_string(v.y) + ", " + std::to_string(v.z) + ")";
    };
    return current->name + ", block " + text(shown->block) + ", thread " + text(fiber.thread);
}

struct sigaction previous_segv, previous_bus;

void on_fault(int signal, siginfo_t *information, void *context) {
    if (is_running) {
        fault_address = reinterpret_cast<uintptr_t>(information->si_addr);
        siglongjmp(escape, 1);
    }
    const struct sigaction &previous = signal == SIGSEGV ? previous_segv : previous_bus;
    bool is_handled = previous.sa_flags & SA_SIGINFO && previous.sa_sigaction;
    if (is_handled) return previous.sa_sigaction(signal, information, context);
    ::signal(signal, SIG_DFL);
    raise(signal);
}

void prepare_process() {
    if (stacks) return;
    constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    stacks = static_cast<unsigned char *>(
        mmap(nullptr, stack_bytes * thread_limit, PROT_READ | PROT_WRITE, flags, -1, 0));
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, &previous_segv);
    sigaction(SIGBUS, &action, &previous_bus);
}

// A fault may come with a fiber's stack, which is no place for a handler. One a host thread.
void prepare_thread() {
    static thread_local unsigned char *memory;
    if (memory) return;
    size_t bytes = 64 << 10;
    memory = static_cast<unsigned char *>(malloc(bytes));
    stack_t stack = {};
    stack.ss_sp = memory;
    stack.ss_size = bytes;
    sigaltstack(&stack, nullptr);
}

std::vector<unsigned> order_of(unsigned count, uint64_t salt) {
    std::vector<unsigned> order(count);
    std::iota(order.begin(), order.end(), 0u);
    const char *wanted = setting("PBCTL_SIMULATOR_ORDER");
    if (!wanted || !strcmp(wanted, "forward")) return order;
    if (!strcmp(wanted, "reverse")) {
        std::reverse(order.begin(), order.end());
        return order;
    }
    std::mt19937_64 random(strtoull(wanted, nullptr, 10) ^ salt * 0x9e3779b97f4a7c15u);
    for (unsigned i = count; i > 1; i--) std::swap(order[i - 1], order[random() % i]);
    return order;
}

/// Lets a warp's lanes run until none can go on by itself.
void run_warp(unsigned first, unsigned count) {
    for (;;) {
        bool went_on = false;
        for (unsigned lane = 0; lane < count; lane++) {
            Fiber &fiber = fibers[first + lane];
            if (fiber.state != Fiber::State::ready) continue;
            enter(fiber);
            went_on = true;
        }
        for (unsigned lane = 0; lane < count; lane++) {
            Fiber &fiber = fibers[first + lane];
            if (fiber.state != Fiber::State::at_exchange) continue;
            unsigned mask = fiber.mask & (count == 32 ? ~0u : (1u << count) - 1);
            if (!(mask >> lane & 1)) throw Failure{719, place_of(fiber) + ": a warp operation without its own lane"};
            bool is_complete = true;
            for (unsigned other = 0; other < count; other++) {
                const Fiber &peer = fibers[first + other];
                if (!(mask >> other & 1)) continue;
                is_complete = is_complete && peer.state == Fiber::State::at_exchange && peer.mask == fiber.mask &&
                              peer.place == fiber.place;
            }
            if (!is_complete) continue;
            uint64_t values[32] = {};
            for (unsigned other = 0; other < count; other++)
                if (mask >> other & 1) values[other] = fibers[first + other].given;
            for (unsigned other = 0; other < count; other++) {
                if (!(mask >> other & 1)) continue;
                memcpy(fibers[first + other].seen, values, sizeof values);
                fibers[first + other].state = Fiber::State::ready;
            }
            went_on = true;
        }
        if (!went_on) break;
    }
    for (unsigned lane = 0; lane < count; lane++)
        if (fibers[first + lane].state == Fiber::State::at_exchange)
            throw Failure{719, place_of(fibers[first + lane]) + ": a warp operation that not all its lanes come to"};
}

void run_block(unsigned thread_count, uint64_t salt) {
    for (unsigned i = 0; i < thread_count; i++) {
        unsigned x = current->block[0], y = current->block[1];
        fibers[i].thread = {i % x, i / x % y, i / (x * y)};
        prepare(fibers[i], i);
    }
    std::vector<unsigned> warps = order_of((thread_count + 31) / 32, salt);
    for (;;) {
        for (unsigned warp : warps) run_warp(warp * 32, std::min(32u, thread_count - warp * 32));
        const Fiber *first = nullptr;
        for (unsigned i = 0; i < thread_count; i++) {
            if (fibers[i].state != Fiber::State::at_barrier) continue;
            if (!first) first = &fibers[i];
            if (fibers[i].place != first->place)
                throw Failure{719, place_of(fibers[i]) + ": waits at another barrier than the block's other threads"};
        }
        if (!first) return;
        for (unsigned i = 0; i < thread_count; i++) {
            if (fibers[i].state == Fiber::State::done)
                throw Failure{719, place_of(fibers[i]) + ": ended while others wait at a barrier"};
            fibers[i].state = Fiber::State::ready;
        }
    }
}

}

std::string execute(const Launch &launch, pbctl_runtime &runtime, int &code) {
    prepare_process();
    prepare_thread();
    current = &launch;
    shown = &runtime;
    runtime.barrier = barrier;
    runtime.exchange = exchange;
    runtime.copy_later = copy_later;
    runtime.commit = commit;
    runtime.wait = wait;
    runtime.block_size = {launch.block[0], launch.block[1], launch.block[2]};
    runtime.grid = {launch.grid[0], launch.grid[1], launch.grid[2]};
    // Dynamic shared memory ends at a page that nobody may touch.
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_t held = (launch.shared_bytes + page - 1) / page * page;
    auto *pages = static_cast<unsigned char *>(
        mmap(nullptr, held + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(pages + held, page, PROT_NONE);
    runtime.dynamic_shared = pages + held - (launch.shared_bytes + 15) / 16 * 16;
    std::string failure;
    unsigned threads = launch.block[0] * launch.block[1] * launch.block[2];
    uint64_t count = static_cast<uint64_t>(launch.grid[0]) * launch.grid[1] * launch.grid[2];
    if (sigsetjmp(escape, 1) == 0) {
        is_running = true;
        try {
            std::vector<unsigned> blocks = order_of(static_cast<unsigned>(count), count);
            for (unsigned index : blocks) {
                runtime.block = {
                    index % launch.grid[0], index / launch.grid[0] % launch.grid[1],
                    index / (launch.grid[0] * launch.grid[1])};
                if (launch.shared_begin)
                    memset(launch.shared_begin, 0xff, static_cast<size_t>(launch.shared_end - launch.shared_begin));
                memset(runtime.dynamic_shared, 0xff, launch.shared_bytes);
                run_block(threads, index);
            }
        } catch (const Failure &error) {
            code = error.code;
            failure = error.text;
        }
    } else {
        char address[32];
        snprintf(address, sizeof address, "0x%zx", static_cast<size_t>(fault_address));
        code = 700;
        failure = place_of(*running) + ": touches " + address + ", which is no memory of the device";
    }
    is_running = false;
    munmap(pages, held + page);
    return failure;
}

}
