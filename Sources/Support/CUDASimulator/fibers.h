// Threads of a block as fibers, run one at a time in an order that a seed decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "emulation/runtime.h"

namespace simulator {

struct Launch {
    std::string name;
    void (*run)(void **);
    void **arguments;
    unsigned grid[3], block[3];
    size_t shared_bytes;
    unsigned char *shared_begin, *shared_end;
};

/// Runs all blocks. Empty when all went well; else what went wrong, and `code` says as which error.
std::string execute(const Launch &launch, pbctl_runtime &runtime, int &code);

}
