// What the simulator and a kernel compiled for it tell each other.
#pragma once

#include <cstddef>
#include <cstdint>

struct uint3 {
    unsigned x, y, z;
};
typedef uint3 dim3;

/// What a running thread is, and what it may ask of the others.
struct pbctl_runtime {
    uint3 thread, block, block_size, grid;
    unsigned char *dynamic_shared;
    /// Waits for the block. `place` tells calls apart: all threads must come to the same.
    void (*barrier)(const void *place);
    /// Gives a value to the lanes of a mask and returns those of all 32.
    const uint64_t *(*exchange)(unsigned mask, uint64_t value, const void *place);
    /// Copies when it is waited for, and no sooner.
    void (*copy_later)(void *shared, const void *global, int bytes);
    void (*commit)();
    void (*wait)(int groups_left);
};

/// A kernel as the simulator launches it.
struct pbctl_kernel {
    void (*run)(void **arguments);
    /// Bytes of each argument.
    const size_t *sizes;
    size_t count;
};
